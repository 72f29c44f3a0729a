#!/usr/bin/env bats
# What a daemon's work costs, in calls and copies, which no load of the machine changes.
load lib

LOAD=$BUILD/tests/bench/load

setup_file() {
	# The host's own router solicitations would wake the daemon.
	sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	# A sender that paces itself makes frames as small as its pace.
	sysctl -qw net.ipv4.tcp_congestion_control=cubic
}

# NAME...: the sum of these counters.
sum() {
	byway stats --json | jq --arg names "$*" '[.counters[] | select(.name | IN($names | split(" ")[])) | .value] | add'
}

all_calls() { sum daemon.turns daemon.link_reads daemon.link_reads_empty daemon.link_writes; }

# How many frames there are at a time is the sender's and the machine's business: it may be one, and then there is
# the wait for it, the read that finds no more, and its ACK.
@test "bulk into the stack moves over 30 KiB a read, with three other calls for each at most" {
	start_daemon Services.Discard=yes
	env -u BYWAY_SOCKET "$LOAD" out "$STACK" 1
	byway stats --json | jq -c '[.counters[] | select(.name | startswith("daemon.link") or . == "daemon.turns") | {(.name): .value}] | add'
	[ "$(sum link.in_bytes)" -gt $((30 * 1024 * $(sum daemon.link_reads))) ]
	[ "$(all_calls)" -le $((4 * $(sum daemon.link_reads))) ]
}

@test "bulk out of the stack writes over 30 KiB a system call" {
	start_daemon Services.Chargen=yes
	env -u BYWAY_SOCKET "$LOAD" in "$STACK" 1
	[ "$(sum link.out_bytes)" -gt $((30 * 1024 * $(sum daemon.link_writes))) ]
}

@test "bulk of an owner: over 30 KiB a call to it and from it, and no byte copied twice on its way to it" {
	start_daemon
	background env -u BYWAY_SOCKET "$LOAD" serve
	wait_for 10 host_listens 19
	env BYWAY_SOCKET="$BYWAY_SOCKET" "$LOAD" in "$HOST" 1
	[ "$(sum daemon.owner_write_bytes)" -gt $((30 * 1024 * $(sum daemon.owner_writes))) ]
	[ "$(sum tcp.in_copied_bytes)" -le "$(sum tcp.in_bytes)" ]
	env BYWAY_SOCKET="$BYWAY_SOCKET" "$LOAD" out "$HOST" 1
	[ "$(sum daemon.owner_read_bytes)" -gt $((30 * 1024 * $(sum daemon.owner_reads))) ]
}

@test "bulk over rings: no payload in a call to the owner or from it, no byte copied twice, a wake-up for 16 KiB at most" {
	start_daemon
	background env BYWAY_SOCKET="$BYWAY_SOCKET" BYWAY_RING=0 "$LOAD" serve 60 1000
	wait_for 10 stack_listens 1009
	env -u BYWAY_SOCKET "$LOAD" out "$STACK+1000" 1
	[ "$(sum tcp.in_copied_bytes)" -le "$(sum tcp.in_bytes)" ]
	env -u BYWAY_SOCKET "$LOAD" in "$STACK+1000" 1
	byway stats --json | jq -c '[.counters[] | select(.name | startswith("daemon.ring") or startswith("daemon.owner")) | {(.name): .value}] | add'
	# A client may have sent a little before there was a ring.
	[ "$(sum daemon.owner_write_bytes daemon.owner_read_bytes)" -lt 1000000 ]
	[ "$(sum daemon.ring_write_bytes daemon.ring_read_bytes)" -gt $((16384 * $(sum daemon.ring_bells daemon.ring_knocks))) ]
}

# Segments that come one by one are stored until the turn ends, and then go to the owner together.
@test "bulk to an owner without offloads: a call for each four segments at most" {
	start_daemon Link.Offload=no
	background env -u BYWAY_SOCKET "$LOAD" serve
	wait_for 10 host_listens 19
	env BYWAY_SOCKET="$BYWAY_SOCKET" "$LOAD" in "$HOST" 1
	[ "$(sum link.in)" -gt $((4 * $(sum daemon.owner_writes))) ]
	[ "$(sum daemon.owner_write_bytes)" -gt $((4 * 1448 * $(sum daemon.owner_writes))) ]
}

# The two wake each other for each filling of a narrow pair: more than half of the writes find it full then.
@test "bulk to an owner that reads: its pair is widened, and few writes find it full" {
	start_daemon
	background env BYWAY_SOCKET="$BYWAY_SOCKET" "$LOAD" serve 60 1000
	wait_for 10 stack_listens 1009
	env -u BYWAY_SOCKET "$LOAD" out "$STACK+1000" 1
	echo "$(sum daemon.owner_writes_full) of $(sum daemon.owner_writes)"
	[ $(($(sum daemon.owner_writes_full) * 4)) -le "$(sum daemon.owner_writes)" ]
}

writes_much='
import os, socket, sys
l = socket.create_server(("", 7777))
c, _ = l.accept()
print("accepted", flush=True)
sys.stdin.readline()
c.setblocking(False)
print("wrote", os.write(c.fileno(), bytes(900000)), flush=True)
sys.stdin.readline()
'

# The first window of a fresh connection is full before the second lot is read.
@test "what an owner wrote goes out lot by lot: the first before the next is read" {
	[ "${BYWAY_SANITIZE:-none}" = none ] || skip "the leak check and strace are both tracers"
	local tracer

	start_daemon TCP.SendBuffer=4M
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	background byway run -- python3 -c "$writes_much" <"$T/hold" >"$T/owner"
	wait_for 5 stack_listens 7777
	background nc "$STACK" 7777 >/dev/null
	wait_for 5 grep -q accepted "$T/owner"
	kill -STOP "$DAEMON"
	strace -e trace=recvmsg,writev -e signal=none -o "$T/calls" -p "$DAEMON" &
	tracer=$!
	sleep 0.5
	echo >&5
	wait_for 5 grep -q wrote "$T/owner"
	cat "$T/owner"
	kill -CONT "$DAEMON"
	wait_for 10 counted daemon.owner_read_bytes "$(sed -n 's/^wrote //p' "$T/owner")"
	kill -INT "$tracer"
	wait "$tracer" || true
	exec 5>&-
	awk '/^recvmsg/ && $NF >= 16384 {print "read", $NF} /^writev/ {print "written", $NF}' "$T/calls" | tee "$T/order"
	[ "$(grep -c read "$T/order")" -ge 2 ]
	[ "$(sed -n '1s/ .*//p; 2s/ .*//p' "$T/order" | xargs)" = "read written" ]
}

@test "an owner that reads nothing has no more in its pair than one that begins" {
	local given

	start_daemon
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	background byway listen 7777 <"$T/hold" >/dev/null
	wait_for 5 stack_listens 7777
	exec 6<>"/dev/tcp/$STACK/7777"
	echo first >&6
	wait_for 5 counted daemon.owner_write_bytes 6
	kill -STOP "$JOB"
	timeout 2 head -c 8M /dev/zero >&6 || true
	given=$(sum daemon.owner_write_bytes)
	kill -CONT "$JOB"
	exec 5>&- 6>&-
	echo "$given bytes"
	[ "$given" -gt 100000 ] && [ "$given" -lt 400000 ]
}

@test "a connection costs its owner's daemon at most 19 calls beside those for frames" {
	[ "${BYWAY_SANITIZE:-none}" = none ] || skip "the leak check and strace are both tracers"
	local tracer count calls

	start_daemon
	background env BYWAY_SOCKET="$BYWAY_SOCKET" "$LOAD" serve 60 1000
	wait_for 10 stack_listens 1007
	strace -f -c -U calls,name -o "$T/calls" -p "$DAEMON" &
	tracer=$!
	sleep 0.5
	count=$(env -u BYWAY_SOCKET "$LOAD" crr "$STACK+1000" 1 1 | awk '{print $5}')
	kill -INT "$tracer"
	wait "$tracer" || true
	cat "$T/calls"
	calls=$(awk '$1 ~ /^[0-9]+$/ && $2 !~ /^(read|writev?|epoll_.*wait.*|total)$/ {n += $1} END {print n}' "$T/calls")
	echo "$calls calls for $count connections"
	[ "$count" -gt 100 ] && [ "$calls" -le $((19 * count)) ]
}

@test "a round trip takes four calls with a service, and seven with an owner" {
	local calls trips

	start_daemon Services.Echo=yes
	env -u BYWAY_SOCKET "$LOAD" rr "$STACK" 1
	trips=$(sum daemon.link_writes)
	calls=$(all_calls)
	echo "$calls calls for $trips frames"
	[ "$trips" -gt 100 ] && [ "$calls" -le $((4 * trips)) ]
	background env -u BYWAY_SOCKET "$LOAD" serve
	wait_for 10 host_listens 7
	env BYWAY_SOCKET="$BYWAY_SOCKET" "$LOAD" rr "$HOST" 1
	trips=$(($(sum daemon.link_writes) - trips))
	calls=$(($(all_calls) + $(sum daemon.owner_reads daemon.owner_writes) - calls))
	echo "$calls calls for $trips frames with an owner"
	[ "$trips" -gt 100 ] && [ "$calls" -le $((7 * trips)) ]
}

# A gather list costs the kernel more than the copying of a small frame costs us.
@test "a small frame is written in one piece" {
	[ "${BYWAY_SANITIZE:-none}" = none ] || skip "the leak check and strace are both tracers"
	start_daemon Services.Echo=yes
	background strace -f -qq -e trace=write,writev -p "$DAEMON" -o "$T/calls"
	env -u BYWAY_SOCKET "$LOAD" rr "$STACK" 1
	[ "$(grep -c 'write(' "$T/calls")" -gt 100 ]
	! grep 'writev(' "$T/calls"
}

@test "a conversation sets no timers: neither by waits with a limit nor by the alarm, but for one in fifty round trips" {
	[ "${BYWAY_SANITIZE:-none}" = none ] || skip "the leak check and strace are both tracers"
	start_daemon Services.Echo=yes
	background strace -f -qq -e trace=epoll_pwait2,timerfd_settime -p "$DAEMON" -o "$T/calls"
	env -u BYWAY_SOCKET "$LOAD" rr "$STACK" 1 >"$T/said"
	local trips timers
	trips=$(sed 's/.* count \([0-9]*\) .*/\1/' "$T/said")
	timers=$(grep -c 'tv_nsec=[1-9]' "$T/calls") || true # those of 0 do not wait
	echo "$timers timers in $trips round trips"
	[ "$trips" -gt 500 ]
	[ $((timers * 50)) -lt "$trips" ]
}

@test "a handshake that nobody answers ends in its time, on a link where nothing else happens" {
	# Seven seconds: by then the announcements of the start wake the daemon no more.
	start_daemon TCP.SynRetries=2
	byway run -- ip neigh replace 198.18.0.9 lladdr 02:00:00:00:00:09 dev "$LINK" nud permanent
	run timeout 20 byway connect 198.18.0.9 9
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"timed out"* ]]
}

@test "busy polling: as many turns as before, but few of them sleep" {
	start_daemon Services.Echo=yes Worker.BusyPoll=10ms
	env -u BYWAY_SOCKET "$LOAD" rr "$STACK" 1
	[ "$(sum daemon.waits)" -lt $(($(sum daemon.turns) / 4)) ]
}

# No call began in the last three seconds: strace says of the one it finds only that it was left.
quiet() {
	timeout 3 strace -f -qq -p "$DAEMON" -o "$T/calls" || [ $? -eq 124 ]
	! grep -v "detached ...>" "$T/calls"
}

@test "an idle daemon makes no system call, busy polling or not" {
	[ "${BYWAY_SANITIZE:-none}" = none ] || skip "the leak check and strace are both tracers"
	start_daemon Services.Echo=yes Services.Discard=yes Worker.BusyPoll=100us
	ping -c 1 -W 2 "$STACK"
	env -u BYWAY_SOCKET "$LOAD" rr "$STACK" 0.2
	# What the start and the connection leave behind ends: announcements, the status line, TIME-WAIT.
	local i
	for i in {1..10}; do
		! quiet || return 0
	done
	false
}
