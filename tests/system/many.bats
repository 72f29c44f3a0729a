#!/usr/bin/env bats
# Many connections at once, and the accept queue in the table.
load lib

# PORT: two hundred connections from the host, seen in the table, then used, then gone.
two_hundred() {
	mkfifo "$T/go"
	exec 5<>"$T/go"
	background "$HERE/many.py" "$STACK" "$1" 200 100000 <"$T/go" >"$T/said"
	wait_for 20 grep -q connected "$T/said"
	wait_for 5 sockets_are 200 ".state == \"ESTABLISHED\" and (.local | endswith(\":$1\"))"
	echo go >&5
	exec 5>&-
	ended "$JOB" 40
	grep -q "all right" "$T/said"
	wait_for 10 no_connections
}

@test "two hundred connections at once to the echo service, each with its own data" {
	start_daemon Services.Echo=yes
	two_hundred 7
	[ "$(counter tcp.passive_opens)" -eq 200 ]
}

@test "two hundred connections at once to one local process" {
	start_daemon
	background "$OWNER" echo 7777 256
	wait_for 5 stack_listens 7777
	two_hundred 7777
}

@test "two hundred connections at once, opened by local processes" {
	start_daemon
	background socat "TCP-LISTEN:5001,bind=$HOST,reuseaddr,fork,backlog=256" SYSTEM:cat
	wait_for 5 host_listens 5001
	local i pids=()
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	for i in {1..200}; do
		# Each waits for the end of the fifo, which comes to all at once.
		background bash -c "{ echo hello from $i; read -r end; } <'$T/hold' 5>&- | byway connect $HOST 5001 >'$T/got.$i' 5>&-"
		pids+=("$JOB")
	done
	wait_for 30 sockets_are 200 '.state == "ESTABLISHED" and (.peer | endswith(":5001"))'
	run byway list --noheadings --raw --output PROCESS,UID --port 5001
	[ "$(sort -u <<<"$output")" = "byway $(id -u)" ]
	exec 5>&-
	for i in "${pids[@]}"; do
		ended "$i" 10
	done
	for i in {1..200}; do
		[ "$(cat "$T/got.$i")" = "hello from $i" ]
	done
	wait_for 10 no_connections
}

@test "the budget of sockets of one user: the next gets EMFILE, the others go on" {
	start_daemon Control.SocketsPerUser=3 Services.Echo=yes
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	local i
	for i in 1 2 3; do
		background byway connect "$STACK" 7 <"$T/hold"
	done
	wait_for 5 sockets_are 3 '.state == "ESTABLISHED" and (.peer | endswith(":7"))'
	run byway connect "$STACK" 7 </dev/null
	[ "$status" -eq 1 ]
	contains "$output" "Too many open files"
	exec 5>&-
	wait_for 5 no_connections
	echo again | timeout 5 byway connect "$STACK" 7
}

@test "the accept queue's length and limit are shown for a listener" {
	start_daemon
	background "$OWNER" listen 7777 20
	wait_for 5 stack_listens 7777
	[ "$(byway list --port 7777 --noheadings --raw --output RECV-Q,SEND-Q)" = "0 20" ]
	background "$HERE/many.py" "$STACK" 7777 8 10 </dev/null >/dev/null 2>&1
	wait_for 10 sockets_are 1 '.state == "LISTEN" and .["recv-q"] == 8'
	[ "$(byway list --port 7777 --state LISTEN --noheadings --raw --output RECV-Q,SEND-Q)" = "8 20" ]
}
