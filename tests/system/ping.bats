#!/usr/bin/env bats
# Ping sockets under byway run, and what travels beside datagrams: where and how they came, when, and ICMP errors.
load lib

@test "ping of iputils: replies with their ttl and time, by address, to itself, to nobody" {
	start_daemon
	command -v ping >/dev/null || skip "ping is not installed"
	run byway run ping -4 -n -c 3 -i 0.2 -W 2 "$HOST"
	echo "$output"
	[ "$status" -eq 0 ]
	contains "$output" "3 received, 0% packet loss"
	contains "$output" "64 bytes from $HOST: icmp_seq=1 ttl=64 time="
	fails contains "$output" WARNING
	run byway run ping -4 -n -c 1 -W 2 -s 20000 "$STACK"
	echo "$output"
	contains "$output" "20008 bytes from $STACK: icmp_seq=1 ttl=64"
	run byway run ping -4 -n -c 2 -i 0.2 -W 5 198.18.0.77
	echo "$output"
	[ "$status" -eq 1 ]
	contains "$output" "Destination Host Unreachable"
}

@test "two pings at once have identifiers of their own; a raw socket is refused" {
	start_daemon
	background byway run ping -4 -n -q -c 20 -i 0.1 "$HOST" >"$T/one"
	first=$JOB
	byway run ping -4 -n -q -c 20 -i 0.1 "$HOST" >"$T/two"
	ended "$first" 10
	contains "$(cat "$T/one")" "20 received"
	contains "$(cat "$T/two")" "20 received"
	run byway run --verbose python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)'
	contains "$output" "PermissionError"
	contains "$output" "raw sockets are not to be had"
}

@test "who may not open sockets may not ping, and that is logged" {
	need_root
	start_daemon Access.Open=root
	open_folders
	chmod 666 "$BYWAY_SOCKET"
	run setpriv --reuid 65534 --regid 65534 --clear-groups "$BYWAY" run ping -4 -n -c 1 "$HOST"
	echo "$output"
	[ "$status" -ne 0 ]
	log_has "refused to .*uid 65534.*may not open sockets"
}

@test "IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, SO_TIMESTAMP and how to go" {
	start_daemon
	timeout 20 byway run python3 - "$STACK" <<-'P'
		import socket, struct, sys, time
		own = sys.argv[1]
		a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		a.bind((own, 0))
		IP_PKTINFO = 8
		def got(s):
		    data, control, flags, sender = s.recvmsg(100, 512)
		    return {(l, t): v for l, t, v in control}
		a.settimeout(5)
		b.sendto(b"x", a.getsockname())
		assert got(a) == {}
		for option in (IP_PKTINFO, socket.IP_RECVTOS, 12):
		    a.setsockopt(socket.IPPROTO_IP, option, 1)
		a.setsockopt(socket.SOL_SOCKET, 29, 1)
		b.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 7)
		b.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x20)
		b.sendto(b"x", a.getsockname())
		c = got(a)
		assert c[0, socket.IP_TTL] == struct.pack("i", 7), c
		assert c[0, socket.IP_TOS] == b"\x20", c
		assert c[0, IP_PKTINFO][8:] == socket.inet_aton(own), c
		assert abs(struct.unpack("ll", c[1, 29])[0] - time.time()) < 3
		b.sendmsg([b"y"], [(0, socket.IP_TTL, struct.pack("i", 9)), (0, socket.IP_TOS, struct.pack("i", 0x40)),
		                   (0, IP_PKTINFO, struct.pack("i4s4x", 0, socket.inet_aton("127.0.0.1")))], 0, a.getsockname())
		data, control, flags, sender = a.recvmsg(100, 512)
		c = {(l, t): v for l, t, v in control}
		assert c[0, socket.IP_TTL] == struct.pack("i", 9) and c[0, socket.IP_TOS] == b"\x40", c
		assert sender[0] == "127.0.0.1", sender
		a.connect(b.getsockname() if b.getsockname()[0] != "0.0.0.0" else (own, b.getsockname()[1]))
		b.connect(a.getsockname())
		b.send(b"z")
		assert got(a)[0, socket.IP_TTL] == struct.pack("i", 7)
	P
}

@test "ICMP errors of UDP: the next call, and the queue of IP_RECVERR" {
	start_daemon
	timeout 20 byway run python3 - "$HOST" <<-'P'
		import errno, select, socket, struct, sys
		peer = sys.argv[1]
		def refused(call):
		    try:
		        call()
		    except ConnectionRefusedError:
		        return
		    raise Exception("not refused")
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.settimeout(5)
		s.connect((peer, 9))
		s.send(b"x")
		refused(lambda: s.recvfrom(100))
		s.send(b"x")
		select.select([s], [], [], 5)
		assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
		assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
		s.send(b"x")
		select.select([s], [], [], 5)
		refused(lambda: s.sendmsg([b"x"]))
		u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		u.settimeout(5)
		u.setsockopt(socket.IPPROTO_IP, 11, 1)
		u.sendto(b"quoted", (peer, 9))
		refused(lambda: u.recvfrom(100))
		data, control, flags, to = u.recvmsg(100, 512, socket.MSG_ERRQUEUE)
		assert data == b"quoted" and to == (peer, 9) and flags & socket.MSG_ERRQUEUE, (data, to, flags)
		(level, kind, value), = control
		assert (level, kind) == (0, 11)
		error, origin, icmp, code = struct.unpack("IBBB", value[:7])
		assert (error, origin, icmp, code) == (errno.ECONNREFUSED, 2, 3, 3)
		assert value[16 + 4:16 + 8] == socket.inet_aton(peer)
		u.setblocking(False)
		try:
		    u.recvmsg(100, 512, socket.MSG_ERRQUEUE)
		    raise Exception("a second error")
		except BlockingIOError:
		    pass
	P
}

@test "SO_BINDTODEVICE knows the stack's link and no other" {
	start_daemon
	timeout 20 byway run python3 - "$LINK" <<-'P'
		import socket, sys
		s = socket.socket()
		s.setsockopt(socket.SOL_SOCKET, 25, sys.argv[1].encode())
		assert s.getsockopt(socket.SOL_SOCKET, 25, 16).rstrip(b"\0").decode() == sys.argv[1]
		try:
		    s.setsockopt(socket.SOL_SOCKET, 25, b"eth77")
		    raise Exception("bound to a device that is not there")
		except OSError as e:
		    assert e.errno == 19, e
		s.setsockopt(socket.SOL_SOCKET, 25, b"")
		assert s.getsockopt(socket.SOL_SOCKET, 25, 16) == b""
	P
}

@test "byway list and byway show know ping sockets" {
	start_daemon
	background byway run python3 -c 'import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP); s.bind(("0.0.0.0", 77)); time.sleep(60)'
	wait_for 5 sockets_are 1 '.proto == "ping" and .local == "*:77" and .state == "UNCONN"'
	run byway show "$(socket_id '.proto == "ping"')"
	echo "$output"
	contains "$output" ping
	[ "$(byway list -tun | grep -c ping)" -eq 0 ]
}
