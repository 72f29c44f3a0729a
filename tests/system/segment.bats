#!/usr/bin/env bats
# Many UDP datagrams with one call and in one frame: UDP_SEGMENT and UDP_GRO of programs under byway
# run, and what the host's senders and receivers of such see of the stack.
load lib

SEGMENT=$BUILD/tests/system/segment

sum() { byway stats --json | jq --arg name "$1" '[.counters[] | select(.name == $name) | .value] | add'; }

udp_bound() { sockets_are 1 ".proto == \"udp\" and (.local | endswith(\":$1\"))"; }

host_bound() { ss -Huln "sport = :$1" | grep -q .; }

# HOW: a receiver on the stack; on the host, whose hardware address is known, as few datagrams wait for that.
stack_receives() {
	background byway run "$SEGMENT" receive 7000 1 "$1" >"$T/received"
	wait_for 5 udp_bound 7000
}
host_receives() {
	ping -c 1 -W 2 -q "$STACK"
	background "$SEGMENT" receive 7000 1 "$1" >"$T/received"
	wait_for 5 host_bound 7000
}

# 10 times 33 datagrams of 1,200 bytes, the last of each 33 shorter.
on_host() { "$SEGMENT" send "$STACK" 7000 1200 33 10 "$1" >"$T/sent"; }
on_stack() { byway run "$SEGMENT" send "${2:-$HOST}" 7000 1200 33 10 "$1" >"$T/sent"; }

# [CALLS]: all came as they were sent, each by itself, or with so many calls.
all_came() {
	ended "$JOB" 10
	cat "$T/sent" "$T/received"
	[ "$(head -1 "$T/sent")" = "$(head -1 "$T/received")" ]
	[ "$(cut -d' ' -f1 "$T/sent")" -eq 330 ]
	[ "$(sed -n 2p "$T/received")" = "${1:-330} calls" ]
}

@test "the host sends many in one frame: a reader gets them one by one, or together if it asks" {
	start_daemon
	stack_receives single
	on_host control
	all_came
	[ "$(sum udp.in)" -eq 330 ]
	[ "$(sum link.in)" -lt 60 ]
	stack_receives together
	on_host option
	all_came 10
	stack_receives together
	on_host single
	all_came
}

@test "the same with a link that carries each by itself" {
	start_daemon Link.Offload=no
	stack_receives together
	on_host control
	all_came
}

@test "one call sends many, in one frame: the host's readers get them one by one, or together" {
	start_daemon
	host_receives single
	on_stack control
	all_came
	[ "$(sum udp.out)" -eq 330 ]
	[ "$(sum link.out)" -lt 60 ]
	host_receives together
	on_stack control
	all_came 10
	host_receives single
	on_stack option
	all_came
}

@test "one call sends many over a link that carries each by itself" {
	start_daemon Link.Offload=no
	host_receives single
	on_stack control
	all_came
	[ "$(sum link.segmented)" -eq 10 ]
	host_receives single
	on_stack option
	all_came
}

@test "one call sends many to a program on the same stack" {
	start_daemon
	stack_receives single
	on_stack control "$STACK"
	all_came
	stack_receives together
	on_stack control 127.0.0.1
	all_came 10
}

@test "an owner sends many with one message, and is given each by itself" {
	start_daemon
	host_receives single
	"$SEGMENT" send "$HOST" 7000 1200 33 10 owner >"$T/sent"
	all_came
	background "$SEGMENT" receive 7000 1 owner >"$T/received"
	wait_for 5 udp_bound 7000
	on_host control
	all_came
}

# LENGTH SIZE: a frame from somebody whose word the host passes on, as it does that of a guest's. Newer hosts refuse
# what is no row of datagrams.
merged() { "$HERE/frames.py" merged "$LINK" "$(stack_mac)" "$STACK" 9 "$1" "$2" >/dev/null; }

@test "what a frame says of itself is believed as far as it can be: a row has up to 128 datagrams" {
	start_daemon Services.Discard=yes
	ping -c 1 -W 2 -q "$STACK"
	merged 129 1
	merged 60000 1
	merged 1000 0
	merged 128 1
	wait_for 5 counted udp.in 128
	merged 1000 2000
	wait_for 5 counted udp.in 129
	[ "$(sum udp.in)" -le 130 ]
	ping -c 1 -W 2 -q "$STACK"
}
