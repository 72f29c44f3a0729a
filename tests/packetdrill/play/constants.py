"""The names that a script can use for numbers: the C library's, as far as Python has them, and Linux's own."""
import errno
import fcntl
import os
import select
import socket
import struct
import termios

PREFIXES = {
    socket: ("AF_", "SOCK_", "SOL_", "SO_", "IPPROTO_", "IP_", "TCP_", "MSG_", "SHUT_", "INADDR_"),
    select: ("POLL", "EPOLL"),
    os: ("O_", "SPLICE_F_"),
    fcntl: ("F_",),
    termios: ("FIO", "TIOC"),
}

# Linux's numbers that Python does not name.
LINUX = {
    "NULL": 0, "true": 1, "false": 0,
    "EPOLL_CTL_ADD": 1, "EPOLL_CTL_DEL": 2, "EPOLL_CTL_MOD": 3,
    "SIOCINQ": 0x541b, "SIOCOUTQ": 0x5411, "SIOCOUTQNSD": 0x894b,
    "MSG_FASTOPEN": 0x20000000, "MSG_ZEROCOPY": 0x4000000, "MSG_MORE": 0x8000, "MSG_NOSIGNAL": 0x4000,
    "MSG_ERRQUEUE": 0x2000, "MSG_WAITFORONE": 0x10000, "MSG_EOR": 0x80,
    "TCP_THIN_LINEAR_TIMEOUTS": 16, "TCP_THIN_DUPACK": 17, "TCP_USER_TIMEOUT": 18, "TCP_REPAIR": 19,
    "TCP_FASTOPEN": 23, "TCP_TIMESTAMP": 24, "TCP_NOTSENT_LOWAT": 25, "TCP_CC_INFO": 26,
    "TCP_SAVE_SYN": 27, "TCP_SAVED_SYN": 28, "TCP_FASTOPEN_CONNECT": 30, "TCP_ULP": 31,
    "TCP_FASTOPEN_KEY": 33, "TCP_FASTOPEN_NO_COOKIE": 34, "TCP_ZEROCOPY_RECEIVE": 35,
    "TCP_INQ": 36, "TCP_CM_INQ": 36, "TCP_TX_DELAY": 37,
    "SO_BUSY_POLL": 46, "SO_MAX_PACING_RATE": 47, "SO_MEMINFO": 55, "SO_ZEROCOPY": 60, "SO_TIMESTAMPING": 37,
    "SCM_TIMESTAMPING": 37,
    "IP_TOS": 1, "IP_TTL": 2, "IP_MTU_DISCOVER": 10, "IP_RECVERR": 11, "IP_MTU": 14, "IP_FREEBIND": 15,
    "IP_PMTUDISC_DONT": 0, "IP_PMTUDISC_WANT": 1, "IP_PMTUDISC_DO": 2, "IP_PMTUDISC_PROBE": 3,
    "SOF_TIMESTAMPING_TX_SOFTWARE": 1 << 1, "SOF_TIMESTAMPING_SOFTWARE": 1 << 4,
    "SOF_TIMESTAMPING_OPT_ID": 1 << 7, "SOF_TIMESTAMPING_TX_SCHED": 1 << 8, "SOF_TIMESTAMPING_TX_ACK": 1 << 9,
    "SCM_TSTAMP_SND": 0, "SCM_TSTAMP_SCHED": 1, "SCM_TSTAMP_ACK": 2,
    "SO_EE_ORIGIN_ZEROCOPY": 5, "SO_EE_ORIGIN_TIMESTAMPING": 4, "SO_EE_ORIGIN_ICMP": 2,
    "SO_EE_CODE_ZEROCOPY_COPIED": 1,
}

# What code in a script can call the values of TCP_INFO.
CODE = {
    "TCP_ESTABLISHED": 1, "TCP_SYN_SENT": 2, "TCP_SYN_RECV": 3, "TCP_FIN_WAIT1": 4, "TCP_FIN_WAIT2": 5,
    "TCP_TIME_WAIT": 6, "TCP_CLOSE": 7, "TCP_CLOSE_WAIT": 8, "TCP_LAST_ACK": 9, "TCP_LISTEN": 10,
    "TCP_CLOSING": 11,
    "TCP_CA_Open": 0, "TCP_CA_Disorder": 1, "TCP_CA_CWR": 2, "TCP_CA_Recovery": 3, "TCP_CA_Loss": 4,
    "TCPI_OPT_TIMESTAMPS": 1, "TCPI_OPT_SACK": 2, "TCPI_OPT_WSCALE": 4, "TCPI_OPT_ECN": 8,
    "TCPI_OPT_ECN_SEEN": 16, "TCPI_OPT_SYN_DATA": 32, "TCPI_OPT_USEC_TS": 64, "TCPI_OPT_TFO_CHILD": 128,
    "TCP_INFINITE_SSTHRESH": 0x7fffffff,
}


def value(word):
    """KeyError: there is no such constant."""
    if word in LINUX:
        return LINUX[word]
    if word.isdigit():
        return int(word)
    for module, prefixes in PREFIXES.items():
        if word.startswith(prefixes) and hasattr(module, word):
            return int(getattr(module, word))
    if word.startswith("E") and hasattr(errno, word):
        return getattr(errno, word)
    raise KeyError(word)


def errno_value(word):
    return getattr(errno, word, None)


def function(name, argument):
    """htons and inet_addr: the number whose bytes in memory are those of the network."""
    if name == "htons":
        return struct.unpack("=H", struct.pack("!H", argument))[0]
    if name == "inet_addr":
        return struct.unpack("=I", socket.inet_aton(argument.decode()))[0]
    raise KeyError(name)


# Linux's struct tcp_info, in its order: width in bytes and name. The two bytes of bits come apart in tcp_info().
TCP_INFO = [
    *((1, name) for name in "state ca_state retransmits probes backoff options".split()),
    (1, "wscales"), (1, "limits"),
    *((4, name) for name in (
        "rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv "
        "last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space "
        "total_retrans").split()),
    *((8, name) for name in "pacing_rate max_pacing_rate bytes_acked bytes_received".split()),
    *((4, name) for name in "segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out".split()),
    *((8, name) for name in "delivery_rate busy_time rwnd_limited sndbuf_limited".split()),
    *((4, name) for name in "delivered delivered_ce".split()),
    *((8, name) for name in "bytes_sent bytes_retrans".split()),
    *((4, name) for name in "dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash".split()),
    *((2, name) for name in "total_rto total_rto_recoveries".split()),
    (4, "total_rto_time"),
]
TCP_INFO_FORMAT = "=" + "".join({1: "B", 2: "H", 4: "I", 8: "Q"}[width] for width, _ in TCP_INFO)


def tcp_info(data):
    """The variables tcpi_... of a TCP_INFO."""
    values = dict(zip((name for _, name in TCP_INFO), struct.unpack_from(TCP_INFO_FORMAT, data)))
    values["snd_wscale"] = values["wscales"] & 15
    values["rcv_wscale"] = values.pop("wscales") >> 4
    values["delivery_rate_app_limited"] = values["limits"] & 1
    values["fastopen_client_fail"] = values.pop("limits") >> 1 & 3
    return {"tcpi_" + name: number for name, number in values.items()}


def meminfo(data):
    names = ("RMEM_ALLOC", "RCVBUF", "WMEM_ALLOC", "SNDBUF", "FWD_ALLOC", "WMEM_QUEUED", "OPTMEM", "BACKLOG", "DROPS")
    return {"SK_MEMINFO_" + name: number for name, number in zip(names, struct.unpack_from("=9I", data))}


def bbr_info(data):
    low, high, min_rtt, pacing_gain, cwnd_gain = struct.unpack_from("=5I", data)
    return {"bbr_bw_lo": low, "bbr_bw_hi": high, "bbr_bw": high << 32 | low, "bbr_min_rtt": min_rtt,
            "bbr_pacing_gain": pacing_gain, "bbr_cwnd_gain": cwnd_gain}
