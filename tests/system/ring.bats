#!/usr/bin/env bats
# Connections whose bytes go through memory shared with the owner (byway_ring): ring.c holds both ends.
load lib

RING=$BUILD/tests/system/ring
export MEBIBYTES

sum() { byway stats --json | jq --arg name "$1" '[.counters[] | select(.name == $name) | .value] | add'; }

scene() { timeout $((30 * SLOW)) "$RING" "$@"; }

# SCENE...: in the background, until it says that it is ready.
play() {
	background "$RING" "$@" >"$T/said" 2>&1
	wait_for 10 grep -q ready "$T/said"
}

all_given_back() { [ "$(sum daemon.ring_memory)" -eq 0 ]; }
calls_are_over() { no_connections && all_given_back; }

# Nothing of it all went through the pair.
@test "bytes both ways in pieces of all sizes, each direction ending by itself" {
	start_daemon
	scene bytes 65536
	scene bytes
	scene bytes 4194304
	[ "$(sum daemon.ring_read_bytes)" -eq $((3 * MEBIBYTES << 20)) ]
	[ "$(sum daemon.ring_write_bytes)" -eq $((3 * MEBIBYTES << 20)) ]
	[ "$(sum daemon.owner_write_bytes)" -eq 0 ]
	wait_for 5 calls_are_over
}

@test "the same without offloads, with busy polling, with two workers" {
	start_daemon Link.Offload=no
	MEBIBYTES=8 scene bytes 65536
	stop_daemon
	start_daemon Worker.BusyPoll=100us
	MEBIBYTES=16 scene bytes
	scene turns
	stop_daemon
	start_daemon Worker.Count=2
	for i in 1 2 3 4; do
		MEBIBYTES=8 scene bytes 65536
	done
	scene turns
	wait_for 5 all_given_back
}

@test "calls that wait: a byte there and back" {
	start_daemon
	scene turns
}

@test "the ends: FIN either way, RST, close with and without unread data" {
	start_daemon
	scene end
	scene end 65536
	scene reset
	scene unread
	wait_for 5 all_given_back
}

@test "what waits in the pair when the ring is made keeps its place, and so does an end" {
	start_daemon
	scene before 65536
	scene before
	scene ended
	scene over
	scene urgent
}

@test "who cannot have one is told why, and keeps its connection" {
	# A user leaves as much as he has: of this two rings of 132 KiB, and not a third.
	start_daemon Control.RingMemory=600K
	scene refused 65536
	scene budget
	wait_for 5 all_given_back
}

@test "bytes in a ring count as not read: SIOCINQ, byway list" {
	start_daemon
	play queues
	sockets_are 1 '.state == "ESTABLISHED" and ."recv-q" == 12345'
}

@test "the daemon dies: owners that read and owners that poll wake up to ECONNRESET" {
	local job

	start_daemon
	for job in wait sleep; do
		play "$job"
		kill -KILL "$DAEMON"
		wait_for 5 is_gone "$DAEMON"
		DAEMON=
		ended "$JOB" 5
		start_daemon
	done
}

@test "the daemon ends in order: the owner sees the end" {
	start_daemon
	play hold
	stop_daemon
}

@test "byway kill: ECONNABORTED for the owner, as the host has it; a timeout: ETIMEDOUT" {
	start_daemon
	ERRNO=103 play wait
	byway kill "$(socket_id '.state == "ESTABLISHED"')"
	ended "$JOB" 5
	stop_daemon
	start_daemon TCP.KeepAliveIdle=1s TCP.KeepAliveInterval=1s TCP.KeepAliveProbes=2
	ERRNO=110 KEEPALIVE=1 play wait
	ip link set "$LINK" down
	ended "$JOB" 10
}

@test "the owner is killed: what it has written arrives; RST when it has not read all" {
	start_daemon
	scene killed
	play hold
	kill -KILL "$JOB"
	wait_for 5 calls_are_over
}

@test "owners that lie about their positions lose the connection, and it is counted" {
	start_daemon Services.Echo=yes
	play hold
	scene lies
	[ "$(sum daemon.ring_lies)" -eq 4 ]
	[ "$(printf 'still here' | timeout 5 nc -N "$STACK" 7)" = "still here" ]
	kill -0 "$JOB"
}

@test "the memory cannot be cut; holes in it, bells without end and bells that are full harm nobody else" {
	start_daemon Services.Echo=yes
	scene memory
	play bells
	[ "$(printf 'still here' | timeout 5 nc -N "$STACK" 7)" = "still here" ]
	kill -KILL "$JOB"
	wait_for 5 calls_are_over
}

@test "holes in the memory all the time: others go on" {
	start_daemon Services.Echo=yes
	play holes
	env -u BYWAY_SOCKET timeout 10 "$BUILD/tests/bench/load" rr "$STACK" 2
	kill -KILL "$JOB"
	wait_for 5 calls_are_over
}

@test "an owner that reads nothing: only its own window closes" {
	start_daemon Services.Echo=yes
	play deaf 65536
	[ "$(printf 'still here' | timeout 5 nc -N "$STACK" 7)" = "still here" ]
	scene bytes 65536
}

@test "who is awake is not woken, and no payload passes through a system call to the owner" {
	start_daemon
	scene awake
	[ "$(sum daemon.ring_bells)" -eq 0 ]
	[ "$(sum daemon.owner_writes)" -eq 0 ]
	[ "$(sum daemon.ring_write_bytes)" -eq $((MEBIBYTES << 20)) ]
	# Nothing is copied but into the ring, unless that is full.
	[ "$(sum tcp.in_copied_bytes)" -le $((MEBIBYTES << 20)) ]
}

# No call began in the last three seconds: strace says of the one it finds only that it was left.
quiet() {
	timeout 3 strace -f -qq -p "$1" -o "$T/calls" || [ $? -eq 124 ]
	! grep -v "detached ...>" "$T/calls"
}

@test "an idle ring costs no system call, neither here nor there" {
	[ "${BYWAY_SANITIZE:-none}" = none ] || skip "the leak check and strace are both tracers"
	sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	start_daemon Worker.BusyPoll=100us
	play sleep
	local i
	for i in {1..10}; do
		! quiet "$DAEMON" || break
	done
	quiet "$DAEMON"
	quiet "$JOB"
}
