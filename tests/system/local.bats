#!/usr/bin/env bats
# Local processes on the stack: byway listen and byway connect against the host's programs and
# against each other, and the errors that reach them.
load lib

# `byway connect` must fail with status 1 and these words.
connect_says() { # WORDS ADDRESS PORT
	run byway connect "$2" "$3" </dev/null
	echo "$output"
	[ "$status" -eq 1 ]
	contains "$output" "$1"
}

start_listen() { # PORT FILE...: byway listen PORT <in >out
	background byway listen "$1" <"$2" >"$3"
	wait_for 5 stack_listens "$1"
}

start_host_listen() { # PORT IN OUT
	background nc -N -l "$HOST" "$1" <"$2" >"$3"
	wait_for 5 host_listens "$1"
}

@test "byway listen and the host's nc: binary data both ways" {
	start_daemon
	random_file "$T/a" 1
	random_file "$T/b" 2
	start_listen 7777 "$T/a" "$T/b.got"
	timeout 20 nc -N "$STACK" 7777 <"$T/b" >"$T/a.got"
	ended "$JOB" 5
	same "$T/a" "$T/a.got"
	same "$T/b" "$T/b.got"
	wait_for 5 no_connections
}

@test "byway connect and the host's nc: binary data both ways" {
	start_daemon
	random_file "$T/a" 1
	random_file "$T/b" 2
	start_host_listen 7777 "$T/a" "$T/b.got"
	timeout 20 byway connect "$HOST" 7777 <"$T/b" >"$T/a.got"
	ended "$JOB" 5
	same "$T/a" "$T/a.got"
	same "$T/b" "$T/b.got"
	wait_for 5 no_connections
}

@test "half close: the peer's end of file comes first, then the answer goes back" {
	start_daemon
	background socat "TCP-LISTEN:7777,bind=$HOST,reuseaddr" SYSTEM:'wc -c'
	wait_for 5 host_listens 7777
	# wc answers only after it has seen the end of what byway connect sends.
	run bash -c "head -c 123456 /dev/zero | timeout 10 byway connect $HOST 7777"
	[ "$status" -eq 0 ]
	[ "$output" -eq 123456 ]
}

@test "half close the other way: byway listen sends on after the host's end of file" {
	start_daemon
	random_file "$T/a" 1
	mkfifo "$T/answer"
	exec 5<>"$T/answer"
	background byway listen 7777 <"$T/answer" >"$T/a.got"
	local listening=$JOB
	wait_for 5 stack_listens 7777
	background nc -N "$STACK" 7777 <"$T/a" >"$T/answer.got"
	local sending=$JOB
	wait_for 5 sockets_are 1 '.state == "CLOSE-WAIT"'
	echo "an answer" >&5
	exec 5>&-
	ended "$listening" 5
	ended "$sending" 5
	same "$T/a" "$T/a.got"
	[ "$(cat "$T/answer.got")" = "an answer" ]
}

@test "byway connect fetches a page from a web server of the host" {
	start_daemon
	mkdir "$T/www"
	echo "it works" >"$T/www/page"
	background python3 -m http.server 8080 --bind "$HOST" --directory "$T/www" 2>/dev/null >&2
	wait_for 10 host_listens 8080
	run bash -c "printf 'GET /page HTTP/1.0\r\n\r\n' | timeout 10 byway connect $HOST 8080"
	[ "$status" -eq 0 ]
	contains "${lines[0]}" "200 OK"
	[ "${lines[-1]}" = "it works" ]
}

@test "curl talks to a web server behind byway listen" {
	start_daemon
	printf 'HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nit works\n' >"$T/answer"
	start_listen 8080 "$T/answer" "$T/request"
	run curl -s --max-time 10 "http://$STACK:8080/page"
	[ "$status" -eq 0 ]
	[ "$output" = "it works" ]
	ended "$JOB" 5
	contains "$(cat "$T/request")" "GET /page HTTP/1.1"
}

@test "two local processes talk through the stack's own address" {
	start_daemon
	random_file "$T/a" 4
	random_file "$T/b" 4
	start_listen 7777 "$T/a" "$T/b.got"
	timeout 20 byway connect "$STACK" 7777 <"$T/b" >"$T/a.got"
	ended "$JOB" 5
	same "$T/a" "$T/a.got"
	same "$T/b" "$T/b.got"
	counted link.loopback 10
}

@test "two local processes talk through 127.0.0.1 of the stack, which is not the host's" {
	start_daemon
	random_file "$T/a" 4
	random_file "$T/b" 4
	start_listen 7777 "$T/a" "$T/b.got"
	fails nc -z -w 1 127.0.0.1 7777
	timeout 20 byway connect 127.0.0.1 7777 <"$T/b" >"$T/a.got"
	ended "$JOB" 5
	same "$T/a" "$T/a.got"
	same "$T/b" "$T/b.got"
}

@test "refused: at once, ECONNREFUSED" {
	start_daemon
	connect_says "Connection refused" "$HOST" 9999
	connect_says "Connection refused" "$STACK" 9999
}

@test "no answer: ETIMEDOUT after the retransmissions of the SYN" {
	start_daemon TCP.SynRetries=1 TCP.InitialRTO=200ms
	nft -f - <<-N
		table inet t {
			chain input {
				type filter hook input priority 0
				tcp dport 9999 drop
			}
		}
	N
	connect_says "Connection timed out" "$HOST" 9999
	[ "$(counter tcp.retransmissions)" -eq 1 ]
	no_tcp
}

@test "no route: ENETUNREACH" {
	start_daemon
	connect_says "Network is unreachable" 203.0.113.7 80
}

@test "E5: no neighbour: EHOSTUNREACH" {
	start_daemon
	connect_says "No route to host" 198.18.0.99 80
	counted arp.failed 1
	no_tcp
}

@test "the port is in use: EADDRINUSE" {
	start_daemon
	background "$OWNER" listen 7777 4
	wait_for 5 stack_listens 7777
	run byway listen 7777 </dev/null
	[ "$status" -eq 1 ]
	contains "$output" "Address already in use"
}

@test "wrong usage: status 2" {
	start_daemon
	local words
	for words in "connect" "connect $HOST" "connect $HOST 99999" "listen" "listen x" "connect not.an.address 7" \
		"nonsense" "list --nonsense" "show" "show x"; do
		run byway $words </dev/null
		echo "byway $words: $status"
		[ "$status" -eq 2 ]
	done
}

@test "no daemon: status 1, and the message says where it was looked for" {
	run byway list
	[ "$status" -eq 1 ]
	contains "$output" "$BYWAY_SOCKET"
}

@test "S5: with a full accept queue the host's connect waits, and goes through when there is room" {
	start_daemon
	background "$OWNER" echo 7777 2
	local owner=$JOB
	wait_for 5 stack_listens 7777
	kill -STOP "$owner"
	mkfifo "$T/go"
	exec 5<>"$T/go"
	background "$HERE/many.py" "$STACK" 7777 8 1000 <"$T/go" >"$T/said"
	wait_for 10 counted tcp.accept_queue_full 1
	# Two wait in the queue and one is on its way to the owner.
	[ "$(byway list --port 7777 --state LISTEN --noheadings --raw --output RECV-Q,SEND-Q)" = "3 2" ]
	fails grep connected "$T/said"
	kill -CONT "$owner"
	wait_for 15 grep -q connected "$T/said"
	echo go >&5
	ended "$JOB" 15
	grep -q "all right" "$T/said"
}

@test "a full accept queue inside the stack: ETIMEDOUT" {
	start_daemon TCP.SynRetries=1 TCP.InitialRTO=200ms
	background "$OWNER" listen 7777 1
	wait_for 5 stack_listens 7777
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	local i
	for i in 1 2; do
		background byway connect "$STACK" 7777 <"$T/hold"
	done
	# Both in the queue: a handshake that met a full one completes only with the next SYN-ACK.
	wait_for 5 sockets_are 1 '.state == "LISTEN" and (.local | endswith(":7777")) and .["recv-q"] == 2'
	connect_says "Connection timed out" "$STACK" 7777
	exec 5>&-
}

@test "UDP: an owner with an unconnected socket answers whoever asks" {
	start_daemon
	background "$OWNER" udp 5353
	wait_for 5 sockets_are 1 '.proto == "udp" and (.local | endswith(":5353"))'
	run timeout 10 nc -u -W 1 -w 3 "$STACK" 5353 <<<"a question"
	[ "$output" = "a question" ]
	run timeout 10 nc -u -W 1 -w 3 -p 40000 "$STACK" 5353 <<<"another"
	[ "$output" = "another" ]
}

@test "what was written while the handshake was under way goes out, though the writer has closed" {
	start_daemon
	ip neigh replace "$STACK" lladdr 02:00:00:00:00:99 dev "$LINK" nud permanent # so no answer comes back
	background nc -l "$HOST" 7777 >"$T/got"
	wait_for 5 host_listens 7777
	byway run python3 - "$HOST" <<-'P'
		import socket, sys
		s = socket.socket()
		s.setblocking(False)
		s.connect_ex((sys.argv[1], 7777))
		assert s.send(b"early") == 5
		s.close()
	P
	sockets_are 1 '.state == "SYN-SENT"'
	ip neigh del "$STACK" dev "$LINK"
	ended "$JOB" 10
	[ "$(cat "$T/got")" = early ]
	wait_for 5 no_connections
}

@test "an owner sets and gets socket options, before and after it connects" {
	start_daemon Services.Echo=yes
	run "$BUILD/tests/system/owner" options "$STACK" 7
	echo "$output"
	[ "$status" -eq 0 ]
	# As the host: less the 12 bytes of timestamps in each segment.
	contains "$output" "maxseg 988 keepidle 17 nodelay 1 type 1 unsent 0"
	contains "$output" "unknown: Protocol not available"
	contains "$output" "not the stack's: No such file or directory"
	contains "$output" "preset: Invalid argument"
}
