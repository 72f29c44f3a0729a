# What all system tests share: a daemon for each test, waiting without fixed sleeps, and the
# check that nothing is left behind. Loaded by every .bats file.
#
# BUILD is the build directory, BYWAY_SANITIZE the value of meson's b_sanitize.

bats_require_minimum_version 1.5.0

HOST=198.18.0.1
STACK=198.18.0.2
LINK=byway0
: "${BUILD:?the build directory}"
BYWAY=$BUILD/cli/byway
BYWAYD=$BUILD/daemon/bywayd
OWNER=$BUILD/tests/system/owner
HERE=$BATS_TEST_DIRNAME
export PATH=$BUILD/cli:$PATH

# Sanitizers cost time: limits are longer and transfers smaller with them.
SLOW=1
MEBIBYTES=100
if [ "${BYWAY_SANITIZE:-none}" != none ]; then
	SLOW=5
	MEBIBYTES=16
fi

# ---- before and after each test ----

setup() {
	T=$BATS_TEST_TMPDIR
	export BYWAY_SOCKET=$T/control.sock
	# A finding of a sanitizer, in whatever process, leaves a file, and the file fails the test.
	export ASAN_OPTIONS="${ASAN_OPTIONS:-}:log_path=$T/sanitizer"
	export UBSAN_OPTIONS="${UBSAN_OPTIONS:-}:log_path=$T/sanitizer:print_stacktrace=1"
	DAEMON=
	JOBS=()
}

teardown() { byway_teardown; }

byway_teardown() {
	local job failed=0

	for job in "${JOBS[@]}"; do
		kill -KILL "$job" 2>/dev/null || true
	done
	if [ -n "$DAEMON" ]; then
		stop_daemon || failed=1
	fi
	no_findings || failed=1
	if [ "$failed" -ne 0 ] || [ "${BATS_TEST_COMPLETED:-}" != 1 ]; then
		sed 's/^/log: /' "$T"/log* 2>/dev/null
	fi
	return "$failed"
}

# A leak check that our SIGKILL cuts short says so in the same place; that is no finding.
no_findings() {
	local file

	for file in "$T"/sanitizer*; do
		if grep -qsE 'ERROR: |runtime error: |SUMMARY: ' "$file"; then
			sed 's/^/sanitizer: /' "$file"
			return 1
		fi
	done
}

# ---- waiting ----

# SECONDS COMMAND...: until the command succeeds; fails after the time.
wait_for() {
	local limit=$1 end=$((SECONDS + $1 * SLOW + 1))
	shift
	until "$@"; do
		if [ "$SECONDS" -ge "$end" ]; then
			echo "not true within $limit s: $*"
			return 1
		fi
		sleep 0.05
	done
}

is_gone() { ! kill -0 "$1" 2>/dev/null; }

# Runs in the background, without the descriptors that tests keep open; JOB is its pid. Input is
# named because a shell gives /dev/null to what it starts in the background otherwise.
background() {
	"$@" <&0 3>&- 5>&- 6>&- &
	JOB=$!
	JOBS+=("$JOB")
}

# [SECONDS] PID: waits for the end of a job of ours and returns its exit status.
ended() {
	local status=0
	wait_for "$2" is_gone "$1" || return 124
	wait "$1" || status=$?
	return "$status"
}

# ---- the daemon ----

# OPTION...: starts bywayd and waits until it answers.
launch() {
	"$BYWAYD" "$@" </dev/null >>"$T/log" 2>&1 3>&- 5>&- 6>&- &
	DAEMON=$!
	wait_for 10 daemon_answers_or_died
	if is_gone "$DAEMON"; then
		DAEMON=
		echo "bywayd did not start"
		return 1
	fi
}

# Section.Key=value...: starts bywayd with the defaults otherwise.
start_daemon() {
	local set=() one

	for one in "Control.Socket=$BYWAY_SOCKET" "$@"; do
		set+=(--set "$one")
	done
	launch --config /dev/null "${set[@]}"
}

daemon_answers_or_died() { is_gone "$DAEMON" || byway status >/dev/null 2>&1; }

# In order: SIGTERM, exit status 0, no interface left.
stop_daemon() {
	local pid=$DAEMON status=0

	DAEMON=
	kill -TERM "$pid" || { echo "bywayd had died"; wait "$pid"; return 1; }
	if ! wait_for 10 is_gone "$pid"; then
		kill -KILL "$pid"
		return 1
	fi
	wait "$pid" || status=$?
	if [ "$status" -ne 0 ]; then
		echo "bywayd ended with status $status"
		return 1
	fi
	if ip link show "$LINK" >/dev/null 2>&1; then
		echo "$LINK is still there"
		return 1
	fi
}

log_has() { grep -qE -- "$1" "$T/log"; }

# ---- looking in ----

# JQ-CONDITION: how many sockets of the table fulfil it.
sockets() { byway list --json | jq "[.sockets[] | select($1)] | length"; }
# NUMBER JQ-CONDITION
sockets_are() { [ "$(sockets "$2")" = "$1" ]; }
# PORT: somebody listens there on the stack; on the host.
stack_listens() { sockets_are 1 ".state == \"LISTEN\" and (.local | endswith(\":$1\"))"; }
host_listens() { [ -n "$(ss -Hltn "sport = :$1")" ]; }
# No connection of any kind, except what listens and TIME-WAIT.
no_connections() { sockets_are 0 '.proto == "tcp" and .state != "LISTEN" and .state != "TIME-WAIT"'; }
no_tcp() { sockets_are 0 '.proto == "tcp" and .state != "LISTEN"'; }
# JQ-CONDITION: the ID of the one socket that fulfils it.
socket_id() { byway list --json | jq -e "[.sockets[] | select($1)] | if length == 1 then .[0].id else error end"; }
# NAME: a counter of the stack.
counter() { byway stats --json | jq -e ".counters[] | select(.name == \"$1\") | .value"; }
# NAME LEAST
counted() { [ "$(counter "$1")" -ge "$2" ]; }

# The stack's hardware address, as the host has learnt it.
stack_mac() {
	ping -c 1 -W 2 "$STACK" >/dev/null
	ip neigh show "$STACK" dev "$LINK" | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p'
}

# ---- files ----

# FILE MEBIBYTES
random_file() { head -c "$2"M /dev/urandom >"$1"; }
same() {
	cmp "$1" "$2"
}

# ---- conditions ----

# TEXT PART: PART is somewhere in TEXT.
contains() {
	case $1 in
	*"$2"*) return 0 ;;
	esac
	echo "\"$2\" is not in: $1"
	return 1
}

fails() {
	if "$@"; then
		echo "did not fail: $*"
		return 1
	fi
}

# COMMAND...: as user 65534 with an open /dev/net/tun, where we are root; where we are an ordinary user, as we are.
# The node is one of our own in our mount namespace; the machine's stays as it is.
as_user() {
	if [ "$IN_NETNS_AS" = user ]; then
		"$@"
		return
	fi
	if [ "$(stat -c %a /dev/net/tun)" != 666 ]; then
		mount -t tmpfs -o mode=755 byway-dev /dev/net
		mknod -m 666 /dev/net/tun c 10 200
	fi
	open_folders
	cd /
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

# Lets other users into the test's folder and what lies in it.
open_folders() {
	chmod 711 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test"
	chmod -R a+rwX "$T"
}

# Before `run as_user`: what `run` runs is a shell of its own, in which nobody hears of a skip.
need_user_namespaces() {
	[ "$IN_NETNS_AS" = user ] || setpriv --reuid 65534 --regid 65534 --clear-groups unshare -r -n -m true ||
		skip "user namespaces are not allowed to ordinary users here"
}

need_root() { [ "$IN_NETNS_AS" = root ] || skip "needs root outside a user namespace"; }

# ---- transfers of $BATS_FILE_TMPDIR/data in at most so many seconds ----

# To the stack: the host's nc into byway listen.
transfer_in() {
	background byway listen 7777 </dev/null >"$T/got"
	wait_for 5 stack_listens 7777
	timeout "$1" nc -N "$STACK" 7777 <"$BATS_FILE_TMPDIR/data"
	ended "$JOB" 10
	same "$BATS_FILE_TMPDIR/data" "$T/got"
	rm "$T/got"
}

# From the stack: byway connect into the host's nc.
transfer_out() {
	background nc -l "$HOST" 5001 >"$T/got"
	wait_for 5 host_listens 5001
	timeout "$1" byway connect "$HOST" 5001 <"$BATS_FILE_TMPDIR/data"
	ended "$JOB" 10
	same "$BATS_FILE_TMPDIR/data" "$T/got"
	rm "$T/got"
}

# Both at once over one connection: the echo service.
transfer_echo() {
	timeout "$1" nc -N "$STACK" 7 <"$BATS_FILE_TMPDIR/data" >"$T/got"
	same "$BATS_FILE_TMPDIR/data" "$T/got"
	rm "$T/got"
}
