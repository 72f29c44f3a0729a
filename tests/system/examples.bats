#!/usr/bin/env bats
# The programs of docs/examples, on the stack and with peers of the host.
load lib

EXAMPLES=$BUILD/docs/examples

start_server() {
	background "$EXAMPLES/echo-server" "$1" </dev/null
	wait_for 5 stack_listens "$1"
}

@test "the echo server gives each of many clients its own bytes back" {
	local i jobs=()
	start_daemon
	start_server 7000
	random_file "$T/data" 2
	for i in 1 2 3 4 5 6 7 8; do
		background timeout 60 nc -N "$STACK" 7000 <"$T/data" >"$T/got$i"
		jobs+=("$JOB")
	done
	for i in 1 2 3 4 5 6 7 8; do
		ended "${jobs[i - 1]}" 60
		same "$T/data" "$T/got$i"
	done
	wait_for 5 no_connections
}

@test "the echo client sends and reads at once" {
	start_daemon Services.Echo=yes
	random_file "$T/data" 5
	background "$EXAMPLES/echo-server" 7000 </dev/null
	wait_for 5 stack_listens 7000
	timeout 60 "$EXAMPLES/echo-client" "$STACK" 7000 <"$T/data" >"$T/got"
	same "$T/data" "$T/got"
	run "$EXAMPLES/echo-client" "$STACK" 7001 </dev/null
	[ "$status" -eq 1 ]
	contains "$output" "Connection refused"
}

@test "a client that reads nothing holds up no other" {
	start_daemon
	start_server 7000
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	background python3 -c 'import socket, sys, time
s = socket.create_connection((sys.argv[1], 7000)); s.settimeout(1)
try:
    while True: s.send(bytes(65536))
except TimeoutError: pass
print("full", flush=True); time.sleep(60)' "$STACK" >"$T/said"
	wait_for 20 grep -q full "$T/said"
	[ "$(echo hello | timeout 10 nc -N "$STACK" 7000)" = hello ]
}
