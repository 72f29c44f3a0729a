#!/usr/bin/env bats
# Each call, error and readiness on the host's sockets and under byway run: the transcripts of
# semantics.c agree but for what semantics.known lists with its reason.
load lib

PROGRAM=$BUILD/tests/system/semantics

# The cases that differ, with their lines: "-" the host's, then "+" ours.
differences() { # HOST OURS
	diff -U1000 "$1" "$2" | awk '
		function flush() {if (host ours != "") printf "%s\n%s%s", name, host, ours; host = ours = ""}
		/^ \[/ {flush(); name = substr($0, 2)}
		/^- / {host = host $0 "\n"}
		/^\+ / {ours = ours $0 "\n"}
		END {flush()}'
}

# On the host's sockets, over a veth to a namespace of its own.
on_host() {
	background unshare -n sleep 100
	local other=$JOB
	wait_for 5 differs "$(readlink /proc/self/ns/net)" "/proc/$other/ns/net"
	nsenter -t "$other" -n "$HERE/settings"
	ip link add veth0 type veth peer name veth1
	ip link set veth1 netns "$other"
	ip addr add "$HOST/24" dev veth0
	ip link set veth0 up
	nsenter -t "$other" -n sysctl -qw net.ipv4.ping_group_range="0 2147483647" # the stack lets all who may open sockets
	nsenter -t "$other" -n sh -c "ip link set lo up; ip addr add $STACK/24 dev veth1; ip link set veth1 up"
	wait_for 5 ping -c 1 -W 1 -q -I "$HOST" "$STACK"
	background "$PROGRAM" peer "$HOST"
	local served=$JOB
	wait_for 5 host_listens 9007
	nsenter -t "$other" -n "$PROGRAM" test "$STACK" "$HOST" >"$T/host"
	ip link del veth0
	kill -KILL "-$served" "$other"
}

differs() { [ "$1" != "$(readlink "$2")" ]; }

@test "sockets under byway run do what the host's do" {
	need_root
	on_host
	start_daemon
	background "$PROGRAM" peer "$HOST"
	local served=$JOB
	wait_for 5 host_listens 9007
	byway run "$PROGRAM" test "$STACK" "$HOST" >"$T/ours"
	kill -KILL "-$served"
	run grep -B3 "^  ended by ALRM" "$T/host" # a case that hangs there compares nothing
	[ "$output" = "" ] || { echo "$output"; false; }
	[ "$(grep -c '^\[' "$T/ours")" -ge 240 ]
	differences "$T/host" "$T/ours" >"$T/differences"
	grep -v '^#' "$HERE/semantics.known" | grep -v '^$' >"$T/known"
	diff "$T/known" "$T/differences"
}
