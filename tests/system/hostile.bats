#!/usr/bin/env bats
# Local processes that do not play by the rules, and a link that goes away: rows L1, L2, L3, L7
# and L9. Whatever they do, the daemon answers others.
load lib

AS=() # what comes before, to be another user
hostile() {
	cp "$HERE/hostile.py" "$T/"
	"${AS[@]}" python3 "$T/hostile.py" "$1" "$BYWAY_SOCKET" "${@:2}"
}

descriptors() { find "/proc/$DAEMON/fd" -mindepth 1 | wc -l; }
descriptors_are() { [ "$(descriptors)" = "$1" ]; }
# kB of memory of the daemon.
resident() { awk '/^VmRSS/ {print $2}' "/proc/$DAEMON/status"; }
served() { timeout $((2 * SLOW)) byway status >/dev/null; }

# WHAT ARGUMENT...: runs it beside the test until `exec 9>&-`, and waits for it to say that it is ready.
beside() {
	mkfifo "$T/hold"
	hostile "$@" <"$T/hold" >"$T/beside" 2>&1 3>&- &
	JOB=$!
	JOBS+=("$JOB")
	exec 9>"$T/hold"
	wait_for 20 grep -qE "ready|done" "$T/beside" || { cat "$T/beside"; return 1; }
}

@test "L1: malformed messages are answered in words, or end their conversation; others are served" {
	start_daemon
	local before after
	before=$(descriptors)
	hostile malformed >"$T/out"
	cat "$T/out"
	[ "$(wc -l <"$T/out")" -eq 10 ]
	contains "$(cat "$T/out")" "unknown type: "
	fails grep -q 'attribute too [a-z]*: \(passed\|ended\)' "$T/out"
	served
	wait_for 3 descriptors_are "$before"
}

@test "L1: a hundred thousand requests as fast as they go: all are answered, and so is everybody else" {
	start_daemon
	hostile storm 100000 >"$T/out"
	cat "$T/out"
	read -r answered worst <"$T/out"
	[ "$answered" -eq 100000 ]
	[ "$worst" -lt $((1000 * SLOW)) ]
}

@test "L2: conversations that say nothing are bounded by user, and leave room for others" {
	need_root
	start_daemon Access.Open=nobody
	local before
	before=$(descriptors)
	open_folders
	AS=(setpriv --reuid 65534 --regid 65534 --clear-groups env PATH=/usr/bin:/bin)
	beside silent 2000
	served
	[ "$(descriptors)" -le $((before + 130)) ]
	log_has "too many conversations of this user"
	exec 9>&-
	ended "$JOB" 10
	wait_for 5 descriptors_are "$before"
}

@test "L2: who never reads its answers is disconnected and costs bounded memory" {
	start_daemon Services.Discard=yes
	local before
	before=$(resident)
	beside deaf 1000
	served
	[ $(($(resident) - before)) -lt $((20000 * SLOW)) ]
	served
	exec 9>&-
	ended "$JOB" 10
}

@test "L2: descriptors that nobody asked for are not kept" {
	start_daemon
	local before
	before=$(descriptors)
	beside gifts 100
	descriptors_are $((before + 1))
	exec 9>&-
	ended "$JOB" 10
	wait_for 3 descriptors_are "$before"
}

@test "L2: a guard that is made blocking does not make the daemon wait" {
	start_daemon
	background nc -l 9999 </dev/null
	beside guard
	grep -q 'drained [1-9]' "$T/beside"
	ip addr add 198.18.0.77/24 dev "$LINK" # now the handshake ends, and the daemon looks for what was parked
	sleep 2
	served
	exec 9>&-
	ended "$JOB" 10
}

@test "L2: a socket that is closed while its bind waits is not dealt with as one in the way" {
	start_daemon TCP.PortRange=50000-50000
	beside abandoned 150
	grep 'refused [1-9]' "$T/beside"
	served
	exec 9>&-
	ended "$JOB" 10
}

@test "L3: readers that stop in the middle of large dumps block nobody" {
	start_daemon TCP.Backlog=2000 Services.Echo=yes
	local before
	mkfifo "$T/many-hold"
	background python3 "$HERE/many.py" "$STACK" 7 900 10 <>"$T/many-hold" >"$T/many"
	wait_for 20 grep -q connected "$T/many"
	before=$(resident)
	beside deaf 30
	for _ in 1 2 3 4 5; do served; done
	[ "$(byway list --json | jq '.sockets | length')" -gt 900 ]
	[ $(($(resident) - before)) -lt $((20000 * SLOW)) ]
	exec 9>&-
	ended "$JOB" 10
}

# As root and as nobody: WHAT ARGUMENT... of share.py, on the stack, until `exec 9>&-`; what it says is in $T/NAME.
start_shared() {
	need_root
	cp "$HERE/share.py" "$BYWAY" "$T/"
	start_daemon Access.Open=nobody
	open_folders
	mkfifo "$T/hold"
	exec 9<>"$T/hold"
}
as_root() { "$T/byway" run -- python3 "$T/share.py" "$@" <"$T/hold"; }
as_nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups env PATH=/usr/bin:/bin "$T/byway" run -- python3 "$T/share.py" "$@" \
		<"$T/hold"
}
# NAME: how many it has got.
got() { sed -n 's/^got //p' "$T/$1"; }
has_got() { [ -n "$(got "$1")" ]; }

@test "one user's datagrams that wait for their rest leave room for another's" {
	start_shared
	background as_nobody corks "$HOST" 100 >"$T/many"
	wait_for 20 has_got many
	background as_root corks "$HOST" 1 >"$T/one"
	wait_for 20 has_got one
	echo "$(got many), then $(got one)"
	[ "$(got many)" -ge 20 ]
	[ "$(got one)" -eq 1 ]
	exec 9>&-
}

# Socket pairs in the network namespace that have more room than new ones, the listeners' too.
wide_pairs() { ss -Hxm | grep -o 'tb[0-9]*' | awk '{n += (substr($1, 3) + 0 > 400000)} END {print n + 0}'; }

# The owner's ends are wide from the beginning, ours when that helps.
@test "one user's bulk leaves room for another's pairs to be wide" {
	local before
	start_shared
	before=$(wide_pairs)
	background as_nobody readers 6000 140 >"$T/many"
	background as_root readers 6001 4 >"$T/few"
	wait_for 10 stack_listens 6000
	wait_for 10 stack_listens 6001
	background python3 "$T/share.py" writers "$STACK" 6000 140 <"$T/hold" >/dev/null
	wait_for 60 has_got many
	[ "$(wide_pairs)" -le $((before + 128)) ]
	[ "$(wide_pairs)" -ge $((before + 124)) ]
	before=$(wide_pairs)
	background python3 "$T/share.py" writers "$STACK" 6001 4 <"$T/hold" >/dev/null
	wait_for 20 has_got few
	echo "$before, then $(wide_pairs)"
	[ "$(wide_pairs)" -gt $((before + 4)) ]
	exec 9>&-
}

@test "L7: out of descriptors, the one request fails, and it works again when there are some" {
	start_daemon Services.Echo=yes
	local now
	sleep 0.5 # the conversation that start_daemon asked in is over
	now=0
	for _ in 1 2; do # behind the second number that is free: one for the conversation
		while [ -e "/proc/$DAEMON/fd/$now" ]; do now=$((now + 1)); done
		now=$((now + 1))
	done
	prlimit --pid "$DAEMON" --nofile="$now:"
	run timeout 10 byway connect "$STACK" 7 </dev/null
	[ "$status" -ne 0 ]
	ping -c 1 -W 2 "$STACK"
	echo still here | timeout 5 nc -N "$STACK" 7 >"$T/echo"
	[ "$(cat "$T/echo")" = "still here" ]
	prlimit --pid "$DAEMON" --nofile=1024:
	wait_for 5 served
	wait_for 5 eval 'echo back | timeout 5 byway connect "$STACK" 7 | grep -q back'
}

@test "L9: the host's MTU changed is reported" {
	start_daemon
	ip link set "$LINK" mtu 1400
	wait_for 3 log_has "$LINK: the host's side now has MTU 1400, the stack has 1500"
	ping -c 1 -W 2 -s 1300 "$STACK"
	ip link set "$LINK" mtu 1500
	wait_for 3 log_has "MTU 1500, the stack has 1500"
	ping -c 1 -W 2 -s 1470 "$STACK"
}

@test "L9: the host's address removed is reported, and all goes on when it returns" {
	start_daemon Services.Echo=yes
	background byway listen 7777
	wait_for 5 stack_listens 7777
	ip addr del "$HOST/24" dev "$LINK"
	wait_for 3 log_has "$HOST was removed: the host no longer reaches the stack"
	served
	ip addr add "$HOST/24" dev "$LINK"
	wait_for 3 log_has "$HOST is there"
	wait_for 5 ping -c 1 -W 1 "$STACK"
	stack_listens 7777
}

@test "L9: the interface taken away: the daemon ends with an error, to be started anew" {
	start_daemon
	local status=0
	ip link del "$LINK"
	wait_for 10 is_gone "$DAEMON" || log_has "$LINK is back"
	log_has "interface $LINK was taken away"
	if is_gone "$DAEMON"; then
		wait "$DAEMON" || status=$?
		DAEMON=
		[ "$status" -eq 1 ]
		log_has "cannot be had again by this process; ending, to be started anew"
		start_daemon
	fi
	wait_for 5 ping -c 1 -W 1 "$STACK"
}
