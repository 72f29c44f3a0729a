#!/usr/bin/env bats
# ICMP echo and ARP, on a TAP and on a TUN.
load lib

@test "ping is answered" {
	start_daemon
	run ping -c 3 -i 0.2 -W 2 "$STACK"
	[ "$status" -eq 0 ]
	contains "$output" "3 received"
	counted icmp.echo_in 3
	counted icmp.echo_replies_out 3
}

@test "a ping of 60,000 bytes is put together, answered and cut up again" {
	start_daemon
	run ping -c 3 -i 0.2 -W 2 -s 60000 "$STACK"
	[ "$status" -eq 0 ]
	contains "$output" "3 received"
	counted ip4.reassembled 3
	counted ip4.fragments_out 120
}

@test "a ping of 60,000 bytes goes through a TUN with an MTU of 1280" {
	start_daemon Link.Type=tun Link.MTU=1280
	run ping -c 2 -i 0.2 -W 2 -s 60000 "$STACK"
	[ "$status" -eq 0 ]
	contains "$output" "2 received"
	contains "$(ip -o link show "$LINK")" "mtu 1280 "
}

@test "I4: the largest possible ping is answered" {
	start_daemon
	run ping -c 1 -W 2 -s 65507 "$STACK"
	[ "$status" -eq 0 ]
}

@test "I4: fragments that end beyond 65,535, or overlap, are dropped with their datagram" {
	start_daemon
	"$HERE/frames.py" ping-of-death "$LINK" "$(stack_mac)" "$STACK"
	wait_for 3 counted ip4.fragments_dropped 1
	"$HERE/frames.py" teardrop "$LINK" "$(stack_mac)" "$STACK"
	wait_for 3 counted ip4.fragments_overlap 1
	[ "$(counter ip4.reassembled)" -eq 0 ]
	ping -c 1 -W 2 "$STACK"
}

@test "arping is answered" {
	start_daemon
	run arping -c 2 -f -w 3 -I "$LINK" "$STACK"
	[ "$status" -eq 0 ]
	contains "$output" "reply from $STACK"
	counted arp.replies_out 1
}

@test "arping for another address is not answered" {
	start_daemon
	run arping -c 2 -w 2 -I "$LINK" 198.18.0.99
	[ "$status" -ne 0 ]
	contains "$output" "Received 0 "
}

@test "only the addresses configured are answered, all of them" {
	start_daemon Network.Address=198.18.0.2/24 Network.Address=198.18.0.3/24
	ping -c 1 -W 2 198.18.0.2
	ping -c 1 -W 2 198.18.0.3
	fails ping -c 1 -W 1 198.18.0.4
}

@test "E4: a claim of our address is defended, counted and logged" {
	start_daemon Stack.AddressProbe=off
	ping -c 1 -W 2 "$STACK"
	"$HERE/frames.py" arp-claim "$LINK" "$STACK"
	wait_for 3 counted arp.conflicts 1
	wait_for 3 counted arp.defences 1
	wait_for 3 log_has "$STACK is claimed by another host, 02:aa:bb:cc:dd:01"
	"$HERE/frames.py" arp-claim "$LINK" "$STACK"
	wait_for 3 counted arp.conflicts 2
	[ "$(counter arp.defences)" -eq 1 ]
	ping -c 1 -W 2 "$STACK"
}

@test "our address is probed for and announced" {
	start_daemon Stack.AddressProbe=strict
	wait_for 12 counted arp.announcements_out 1
	[ "$(counter arp.probes_out)" -eq 3 ]
	ping -c 1 -W 2 "$STACK"
}

@test "the host's interface set down and up again is reported, and the stack answers again" {
	start_daemon
	ping -c 1 -W 2 "$STACK"
	ip link set "$LINK" down
	wait_for 3 log_has "$LINK was set down"
	ip link set "$LINK" up
	wait_for 3 log_has "$LINK was set up again"
	wait_for 5 ping -c 1 -W 1 "$STACK"
}
