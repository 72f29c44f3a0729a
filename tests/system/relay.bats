#!/usr/bin/env bats
# A path that loses, duplicates and reorders, between the stack and the kernel's TCP in another
# namespace: each byte arrives, both ways.
load lib
. "$BATS_TEST_DIRNAME/../relay/topology.sh"

MEBI=10

teardown() {
	local pid

	for pid in ${RELAY:-} ${PEER_A:-} ${PEER_K:-}; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	byway_teardown
}

# 1 % lost, 1 % twice, 5 % two milliseconds late, each way; a round trip of 4 ms.
rough_path() {
	RELAY_LOG=$T/relay
	topology_up
	in_a "$HERE/settings"
	start_daemon Network.Gateway=198.18.0.1
	relay_up --seed "$1" --delay 2000 --loss 10000 --duplicate 10000 --reorder 50000 --reorder-by 2000
	wait_for 5 in_a ping -c 1 -W 1 "$STACK" >/dev/null
	random_file "$T/data" "$MEBI"
}

# It really did to both directions what it is there for.
path_was_rough() {
	local line

	kill -TERM "$RELAY"
	wait_for 5 is_gone "$RELAY"
	cat "$RELAY_LOG"
	[ "$(grep -cE 'lost [1-9][0-9]* .*duplicated [1-9][0-9]* reordered [1-9]' "$RELAY_LOG")" -eq 2 ]
}

a_listens() { [ -n "$(in_a ss -Hltn "sport = :$1")" ]; }

@test "to the stack" {
	rough_path 1
	background byway listen 7777 </dev/null >"$T/got"
	wait_for 5 stack_listens 7777
	in_a timeout 120 nc -N "$STACK" 7777 <"$T/data"
	ended "$JOB" 10
	same "$T/data" "$T/got"
	path_was_rough
}

@test "from the stack" {
	rough_path 2
	background nsenter -t "$PEER_A" -n -- nc -l "$CLIENT" 5001 >"$T/got"
	wait_for 5 a_listens 5001
	timeout 120 byway connect "$CLIENT" 5001 <"$T/data"
	ended "$JOB" 10
	same "$T/data" "$T/got"
	path_was_rough
}
