/* Every counter of the stack, by layer: X(identifier, "name", "what it counts"). Names are stable. */
#ifndef BYWAY_STACK_COUNTERS_H
#define BYWAY_STACK_COUNTERS_H

#define STACK_COUNTERS(X) \
	X(link_in, "link.in", "frames received") \
	X(link_in_bytes, "link.in_bytes", "bytes received") \
	X(link_out, "link.out", "frames handed to the link") \
	X(link_out_bytes, "link.out_bytes", "bytes handed to the link") \
	X(link_out_failed, "link.out_failed", "frames that the link did not take") \
	X(link_in_short, "link.in_short", "frames shorter than their header") \
	X(link_in_type, "link.in_unknown_type", "frames of an unknown type") \
	X(link_in_not_ours, "link.in_not_ours", "frames to another hardware address") \
	X(link_gso_software, "link.segmented", "large segments cut in software") \
	X(loopback, "link.loopback", "packets to ourselves") \
	X(loopback_drops, "link.loopback_drops", "packets to ourselves dropped for lack of room") \
	X(arp_in, "arp.in", "ARP packets received") \
	X(arp_in_bad, "arp.in_bad", "ARP packets dropped as malformed") \
	X(arp_in_unsolicited, "arp.in_unsolicited", "ARP replies nobody asked for") \
	X(arp_requests_out, "arp.requests_out", "ARP requests sent") \
	X(arp_replies_out, "arp.replies_out", "ARP replies sent") \
	X(arp_probes_out, "arp.probes_out", "ARP probes sent (RFC 5227)") \
	X(arp_announcements_out, "arp.announcements_out", "ARP announcements sent (RFC 5227)") \
	X(arp_conflicts, "arp.conflicts", "claims of our address by others") \
	X(arp_defences, "arp.defences", "defences of our address") \
	X(arp_failed, "arp.failed", "neighbours that did not answer") \
	X(arp_queue_drops, "arp.queue_drops", "packets dropped from a full neighbour queue") \
	X(arp_cache_full, "arp.cache_full", "entries refused or evicted by a full cache") \
	X(arp_rate_limited, "arp.rate_limited", "ARP replies not sent for the rate limit") \
	X(ip_in, "ip4.in", "packets received") \
	X(ip_in_bad_header, "ip4.in_bad_header", "packets with a bad version, length or TTL") \
	X(ip_in_bad_checksum, "ip4.in_bad_checksum", "packets with a bad header checksum") \
	X(ip_in_bad_source, "ip4.in_bad_source", "packets from an impossible source") \
	X(ip_in_not_ours, "ip4.in_not_ours", "packets to an address that is not ours") \
	X(ip_in_options, "ip4.in_options", "packets dropped for their options") \
	X(ip_in_unknown_proto, "ip4.in_unknown_protocol", "packets of an unknown protocol") \
	X(ip_delivered, "ip4.delivered", "packets handed to a transport") \
	X(ip_out, "ip4.out", "packets sent") \
	X(ip_out_no_route, "ip4.out_no_route", "packets without a route") \
	X(ip_out_too_big, "ip4.out_too_big", "packets too big and not to be fragmented") \
	X(frag_in, "ip4.fragments_in", "fragments received") \
	X(frag_reassembled, "ip4.reassembled", "datagrams put together") \
	X(frag_dropped, "ip4.fragments_dropped", "fragments dropped: malformed or over the budget") \
	X(frag_overlap, "ip4.fragments_overlap", "datagrams dropped for overlapping fragments") \
	X(frag_timeout, "ip4.fragments_timeout", "datagrams that never completed") \
	X(frag_out, "ip4.fragments_out", "fragments sent") \
	X(icmp_in, "icmp.in", "messages received") \
	X(icmp_in_bad, "icmp.in_bad", "messages dropped as malformed") \
	X(icmp_in_ignored, "icmp.in_ignored", "errors that did not fit a connection, and unused types") \
	X(icmp_in_errors, "icmp.in_errors", "errors handed to a transport") \
	X(icmp_echo_in, "icmp.echo_in", "echo requests received") \
	X(icmp_echo_out, "icmp.echo_replies_out", "echo replies sent") \
	X(icmp_errors_out, "icmp.errors_out", "errors sent") \
	X(icmp_rate_limited, "icmp.rate_limited", "answers not sent for the rate limit") \
	X(udp_in, "udp.in", "datagrams delivered") \
	X(udp_in_bad, "udp.in_bad", "datagrams with a bad length or port") \
	X(udp_in_bad_checksum, "udp.in_bad_checksum", "datagrams with a bad checksum") \
	X(udp_in_no_port, "udp.in_no_port", "datagrams to a closed port") \
	X(udp_in_full, "udp.in_queue_full", "datagrams dropped for a full receive queue") \
	X(udp_out, "udp.out", "datagrams sent") \
	X(tcp_in, "tcp.in", "segments received") \
	X(tcp_in_bad, "tcp.in_bad", "segments with a malformed header") \
	X(tcp_in_bad_checksum, "tcp.in_bad_checksum", "segments with a bad checksum") \
	X(tcp_in_no_socket, "tcp.in_no_socket", "segments to a closed port or unknown connection") \
	X(tcp_in_duplicate, "tcp.in_duplicate", "segments with nothing new") \
	X(tcp_in_copied_bytes, "tcp.in_copied_bytes", "bytes copied to a receive queue, as their reader did not take them from the frame") \
	X(tcp_in_out_of_order, "tcp.in_out_of_order", "segments stored out of order") \
	X(tcp_in_ooo_dropped, "tcp.in_ooo_dropped", "out-of-order segments dropped for the budget") \
	X(tcp_in_window, "tcp.in_outside_window", "segments outside the receive window") \
	X(tcp_in_paws, "tcp.in_paws", "segments with an old timestamp") \
	X(tcp_in_bad_ack, "tcp.in_bad_ack", "segments that acknowledge what was never sent") \
	X(tcp_in_no_memory, "tcp.in_no_memory", "payload not stored for lack of memory") \
	X(tcp_in_after_close, "tcp.in_after_close", "data for an owner that has closed") \
	X(tcp_in_rst, "tcp.in_resets", "resets accepted") \
	X(tcp_in_rst_ignored, "tcp.in_resets_ignored", "resets not accepted") \
	X(tcp_challenge_acks, "tcp.challenge_acks", "challenge ACKs sent (RFC 5961)") \
	X(tcp_challenges_limited, "tcp.challenges_limited", "challenge ACKs not sent for the rate limit") \
	X(tcp_out, "tcp.out", "segments sent") \
	X(tcp_out_bytes, "tcp.out_bytes", "payload bytes sent") \
	X(tcp_in_bytes, "tcp.in_bytes", "payload bytes received in order") \
	X(tcp_out_rst, "tcp.resets_out", "resets sent") \
	X(tcp_rst_limited, "tcp.resets_limited", "resets not sent for the rate limit") \
	X(tcp_retransmissions, "tcp.retransmissions", "segments sent again") \
	X(tcp_fast_retransmits, "tcp.fast_retransmits", "losses found by duplicate ACKs or SACK") \
	X(tcp_loss_probes, "tcp.loss_probes", "probes for a lost tail (RFC 8985)") \
	X(tcp_ecn_ce_in, "tcp.ecn_marks_in", "data segments marked by a router on their way (RFC 3168)") \
	X(tcp_ecn_reductions, "tcp.ecn_reductions", "windows reduced because the peer reported marks") \
	X(tcp_undos, "tcp.spurious_recoveries", "recoveries undone: nothing was lost") \
	X(tcp_dsacks_in, "tcp.dsacks_in", "duplicates that the peer reported (RFC 2883)") \
	X(tcp_timeouts, "tcp.timeouts", "retransmission timeouts") \
	X(tcp_delayed_acks, "tcp.delayed_acks", "ACKs sent by the delayed-ACK timer") \
	X(tcp_zero_window_probes, "tcp.zero_window_probes", "probes into a closed window") \
	X(tcp_keepalives, "tcp.keepalives", "keepalive probes sent") \
	X(tcp_active_opens, "tcp.active_opens", "connections we opened") \
	X(tcp_passive_opens, "tcp.passive_opens", "connections accepted by a listener") \
	X(tcp_attempt_fails, "tcp.attempt_fails", "handshakes that failed") \
	X(tcp_aborts_timeout, "tcp.aborts_timeout", "connections given up: no answer") \
	X(tcp_aborts_memory, "tcp.aborts_memory", "connections given up: no memory") \
	X(tcp_aborts_unread, "tcp.aborts_unread", "connections reset: closed with data unread") \
	X(tcp_half_open_full, "tcp.half_open_full", "SYNs that met a full half-open table") \
	X(tcp_cookies_sent, "tcp.cookies_sent", "SYN cookies sent (RFC 4987)") \
	X(tcp_cookies_good, "tcp.cookies_good", "connections made by a SYN cookie") \
	X(tcp_cookies_bad, "tcp.cookies_bad", "ACKs with a SYN cookie that is forged or too old") \
	X(tcp_accept_full, "tcp.accept_queue_full", "handshakes held up by a full accept queue") \
	X(tcp_fastopen_active, "tcp.fastopen_active", "connections of ours whose data in the SYN was taken (RFC 7413)") \
	X(tcp_fastopen_active_fails, "tcp.fastopen_active_fails", "connections of ours where Fast Open did not work") \
	X(tcp_fastopen_passive, "tcp.fastopen_passive", "connections made by a SYN with a good Fast Open cookie") \
	X(tcp_fastopen_cookies_sent, "tcp.fastopen_cookies_sent", "Fast Open cookies given to clients") \
	X(tcp_fastopen_cookies_bad, "tcp.fastopen_cookies_bad", "SYNs with a Fast Open cookie that is forged or too old") \
	X(tcp_fastopen_full, "tcp.fastopen_full", "SYNs with a good cookie that met the limit: an ordinary handshake") \
	X(tcp_time_wait, "tcp.time_wait", "connections that entered TIME-WAIT") \
	X(tcp_time_wait_reused, "tcp.time_wait_reused", "TIME-WAIT reused by a new SYN (RFC 6191)") \
	X(tcp_time_wait_full, "tcp.time_wait_full", "TIME-WAIT cut short by a full table") \
	X(tcp_mtu_black_holes, "tcp.mtu_black_holes", "paths that silently dropped full segments (RFC 4821)") \
	X(tcp_mtu_probes, "tcp.mtu_probes", "larger segments sent to try the path") \
	X(tcp_mtu_probes_passed, "tcp.mtu_probes_passed", "those that got through") \
	X(tcp_mtu_probes_lost, "tcp.mtu_probes_lost", "those that did not") \
	X(tcp_transitions, "tcp.transitions", "state changes") \
	X(tcp_rests, "tcp.rests", "idle connections that gave back the memory that only traffic needs") \
	X(mem_failures, "memory.failures", "allocations refused by a budget")

enum stack_counter_id {
#define COUNTER_ENUM(id, name, help) COUNT_##id,
	STACK_COUNTERS(COUNTER_ENUM)
#undef COUNTER_ENUM
	COUNTER_COUNT
};

#define COUNT(s, id) ((s)->counter[COUNT_##id]++)
#define COUNT_ADD(s, id, n) ((s)->counter[COUNT_##id] += (n))

#endif
