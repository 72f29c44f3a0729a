#!/usr/bin/env bats
# The owner dies, the daemon dies, the daemon is asked to end: what peers and owners see.
load lib

# Arguments of peer.py: a peer on the host with one connection, which says how that ended.
peer() {
	background python3 "$HERE/peer.py" "$@" >"$T/peer"
}

peer_connected() { grep -q connected "$T/peer"; }
peer_saw() { # WORDS
	ended "$PEER" 15
	cat "$T/peer"
	grep -qx "$1" "$T/peer"
}

@test "L4: byway connect is killed while it sends: the peer sees the end, the table is empty" {
	start_daemon
	peer listen "$HOST" 5001 read
	PEER=$JOB
	wait_for 5 host_listens 5001
	background byway connect "$HOST" 5001 </dev/zero
	wait_for 5 peer_connected
	wait_for 10 counted tcp.out_bytes 1000000
	kill -KILL "$JOB"
	peer_saw "end of file"
	wait_for 5 no_connections
}

@test "L4: byway connect is killed with data unread: the peer sees a reset" {
	start_daemon
	peer listen "$HOST" 5001 write
	PEER=$JOB
	wait_for 5 host_listens 5001
	mkfifo "$T/hold" "$T/unread"
	exec 5<>"$T/hold" 6<>"$T/unread"
	background byway connect "$HOST" 5001 <"$T/hold" >"$T/unread"
	wait_for 5 peer_connected
	# Nobody reads the fifo: the connection fills up to the peer.
	wait_for 10 counted tcp.in_bytes 200000
	kill -KILL "$JOB"
	peer_saw "reset"
	wait_for 5 no_tcp
}

@test "L4: byway listen is killed while it receives: the peer sees a reset" {
	start_daemon
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	background byway listen 7777 <"$T/hold" >/dev/null
	local owner=$JOB
	wait_for 5 stack_listens 7777
	peer connect "$STACK" 7777 write
	PEER=$JOB
	wait_for 5 peer_connected
	wait_for 10 counted tcp.in_bytes 1000000
	kill -KILL "$owner"
	peer_saw "reset"
	wait_for 5 no_tcp
}

@test "L4: byway listen is killed while nothing is under way: the peer sees the end of file" {
	start_daemon
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	background byway listen 7777 <"$T/hold" >/dev/null
	local owner=$JOB
	wait_for 5 stack_listens 7777
	peer connect "$STACK" 7777 read
	PEER=$JOB
	wait_for 5 peer_connected
	wait_for 5 sockets_are 1 '.state == "ESTABLISHED"'
	kill -KILL "$owner"
	peer_saw "end of file"
	wait_for 5 no_connections
}

@test "L4: a listener is killed: its port is closed, waiting connections are reset" {
	start_daemon
	background "$OWNER" listen 7777 20
	local owner=$JOB
	wait_for 5 stack_listens 7777
	peer connect "$STACK" 7777 read
	PEER=$JOB
	wait_for 5 peer_connected
	wait_for 5 sockets_are 1 '.state == "ESTABLISHED"'
	kill -KILL "$owner"
	peer_saw "reset"
	wait_for 5 sockets_are 0 '.state == "LISTEN"'
	run timeout 5 nc -v -w 3 "$STACK" 7777 </dev/null
	contains "$output" "Connection refused"
}

@test "L4: a process with two hundred connections is killed: all of them end" {
	start_daemon
	background "$OWNER" echo 7777 256
	local owner=$JOB
	wait_for 5 stack_listens 7777
	mkfifo "$T/go"
	exec 5<>"$T/go"
	background "$HERE/many.py" "$STACK" 7777 200 1000 <"$T/go" >"$T/said" 2>&1
	wait_for 20 grep -q connected "$T/said"
	wait_for 10 sockets_are 200 '.state == "ESTABLISHED"'
	kill -KILL "$owner"
	wait_for 10 sockets_are 0 '.state == "ESTABLISHED" or .state == "LISTEN"'
	exec 5>&-
	ended "$JOB" 10 || true
	wait_for 10 no_connections
	[ "$(counter memory.failures)" -eq 0 ]
}

@test "the daemon is killed: owners see the end, the interface goes, it starts again at once" {
	start_daemon Services.Echo=yes
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	background byway connect "$STACK" 7 <"$T/hold"
	local connected=$JOB
	background byway listen 7777 <"$T/hold"
	local listening=$JOB
	wait_for 5 sockets_are 1 '.state == "ESTABLISHED" and (.peer | endswith(":7"))'
	wait_for 5 stack_listens 7777
	kill -KILL "$DAEMON"
	wait_for 5 is_gone "$DAEMON"
	wait_for 5 fails ip link show "$LINK"
	exec 5>&-
	run ended "$connected" 5
	[ "$status" -ne 124 ]
	run ended "$listening" 5
	[ "$status" -eq 1 ]
	start_daemon Services.Echo=yes
	wait_for 5 ping -c 1 -W 1 "$STACK"
	[ "$(echo again | nc -N -w 3 "$STACK" 7)" = again ]
}

@test "SIGTERM: the host's peer sees the end of file, not a reset, and no interface is left" {
	start_daemon Services.Echo=yes
	peer connect "$STACK" 7 read
	PEER=$JOB
	wait_for 5 peer_connected
	wait_for 5 sockets_are 1 '.state == "ESTABLISHED"'
	stop_daemon
	peer_saw "end of file"
}

@test "SIGTERM: what an owner wrote before it arrives before the end of file" {
	start_daemon
	random_file "$T/data" 1
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	background nc -l "$HOST" 5001 >"$T/got"
	local host=$JOB
	wait_for 5 host_listens 5001
	background bash -c "cat '$T/data' '$T/hold' 5>&- | exec byway connect $HOST 5001"
	wait_for 5 counted tcp.out_bytes $((1 << 20))
	stop_daemon
	ended "$host" 5
	same "$T/data" "$T/got"
	exec 5>&-
}

@test "SIGTERM: owners of listeners are told" {
	start_daemon
	background byway listen 7777 </dev/null
	local listening=$JOB
	wait_for 5 stack_listens 7777
	stop_daemon
	run ended "$listening" 5
	[ "$status" -eq 1 ]
}

@test "byway kill ends a connection: the peer sees a reset" {
	start_daemon Services.Echo=yes
	peer connect "$STACK" 7 read
	PEER=$JOB
	wait_for 5 peer_connected
	wait_for 5 sockets_are 1 '.state == "ESTABLISHED"'
	byway kill "$(socket_id '.state == "ESTABLISHED"')"
	peer_saw "reset"
	wait_for 5 no_tcp
	run byway kill 999999
	[ "$status" -eq 1 ]
}
