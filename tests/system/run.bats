#!/usr/bin/env bats
# byway run: programs that know nothing of Byway, as servers and as clients, on the stack.
load lib

need() {
	local program
	for program; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

# PORT: a web server of the host's in $T.
host_web() {
	background python3 -m http.server --bind "$HOST" --directory "$T" "$1" >/dev/null 2>&1
	wait_for 10 host_listens "$1"
}

# COMMAND...: under byway run, in the background; what it cannot have is on standard error.
running() { background byway run --verbose "$@"; }

# PORT: UDP is bound there on the stack.
udp_bound() { sockets_are 1 ".proto == \"udp\" and (.local | endswith(\":$1\"))"; }

@test "exit status, signals and what cannot be run pass through" {
	start_daemon
	run byway run sh -c 'exit 7'
	[ "$status" -eq 7 ]
	run byway run sh -c 'kill -TERM $$'
	[ "$status" -eq 143 ]
	run -127 byway run no-such-program
	contains "$output" "No such file"
	run byway run
	[ "$status" -eq 2 ]
	running sh -c 'trap "exit 9" TERM; : >"$0"; while :; do sleep 0.05; done' "$T/started"
	wait_for 5 test -e "$T/started"
	kill -TERM "$JOB"
	status=0
	ended "$JOB" 5 || status=$?
	[ "$status" -eq 9 ]
	echo input | byway run -- cat >"$T/out"
	[ "$(cat "$T/out")" = input ]
}

@test "killed, it takes the program along; without a daemon it says so" {
	start_daemon
	running nc -l 7000
	wait_for 5 stack_listens 7000
	kill -KILL "$JOB"
	wait_for 5 fails stack_listens 7000
	BYWAY_SOCKET=$T/nowhere run byway run true
	[ "$status" -eq 1 ]
	contains "$output" "cannot reach bywayd"
}

# (A server nc ends with its client's end of file, so each direction has its turn.)
@test "nc: server and client, data both ways" {
	start_daemon
	random_file "$T/a" 5
	running nc -l 7000 </dev/null >"$T/got"
	server=$JOB
	wait_for 5 stack_listens 7000
	byway run nc -N "$STACK" 7000 <"$T/a"
	ended "$server" 5
	same "$T/a" "$T/got"
	running nc -N -l 7001 <"$T/a"
	wait_for 5 stack_listens 7001
	byway run nc -d "$STACK" 7001 >"$T/got"
	same "$T/a" "$T/got"
	run byway run nc -v -N "$HOST" 1 </dev/null
	[ "$status" -eq 1 ]
	contains "$output" "Connection refused"
}

@test "nc.traditional: server and client" {
	need nc.traditional
	start_daemon
	random_file "$T/a" 5
	running nc.traditional -l -p 7000 >"$T/a.got" </dev/null
	wait_for 5 stack_listens 7000
	server=$JOB
	byway run nc.traditional -q 0 "$STACK" 7000 <"$T/a"
	ended "$server" 5
	same "$T/a" "$T/a.got"
}

@test "nc over UDP: server and client" {
	start_daemon
	running nc -u -l 7001 >"$T/got"
	wait_for 5 udp_bound 7001
	echo "one datagram" | byway run nc -u -w 1 "$STACK" 7001
	wait_for 5 grep -q "one datagram" "$T/got"
}

@test "a connect that did not wait, a full buffer: shutdown and getpeername know that it is connected" {
	start_daemon
	background python3 - "$HOST" "$T/full" >"$T/got" <<-'P'
		import os, socket, sys, time
		l = socket.create_server((sys.argv[1], 8002))
		s = l.accept()[0]
		while not os.path.exists(sys.argv[2]):
		    time.sleep(0.05)
		n = 0
		while data := s.recv(65536):
		    n += len(data)
		print(n)
	P
	server=$JOB
	wait_for 10 host_listens 8002
	timeout 60 byway run python3 - "$HOST" "$T/full" >"$T/sent" <<-'P'
		import select, socket, sys, time
		s = socket.socket()
		s.setblocking(False)
		s.connect_ex((sys.argv[1], 8002))
		select.select([], [s], [], 10)
		n, idle = 0, 0
		while idle < 5:
		    try:
		        n += s.send(bytes(65536))
		        idle = 0
		    except BlockingIOError:
		        idle += 1
		        time.sleep(0.05)
		s.shutdown(socket.SHUT_WR)
		s.getpeername()
		open(sys.argv[2], "w").close()
		print(n)
	P
	ended "$server" 20
	same "$T/sent" "$T/got"
}

# PORT: bound and closed, again and again.
bind_and_close() {
	byway run python3 - "$STACK" "$1" <<'PROGRAM'
import socket, sys
for i in range(300):
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        s = socket.socket(socket.AF_INET, kind)
        s.bind((sys.argv[1], int(sys.argv[2])))
        if kind == socket.SOCK_STREAM and i % 2:
            s.listen()
        s.close()
PROGRAM
}

@test "a port is free as soon as the socket that had it is closed, though others ask at the same time" {
	start_daemon
	local jobs=() port
	for port in 7001 7002 7003 7004; do
		bind_and_close "$port" &
		jobs+=($!)
	done
	for port in "${jobs[@]}"; do
		wait "$port"
	done
}

@test "L7: datagrams that nobody reads leave other sockets their descriptors" {
	start_daemon
	prlimit --pid "$DAEMON" --nofile=100
	running python3 -c "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 7001)); time.sleep(60)"
	wait_for 5 udp_bound 7001
	python3 - "$STACK" <<-'P'
		import socket, sys, time
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		for i in range(250):
		    s.sendto(b"x", (sys.argv[1], 7001))
		    if i % 50 == 0:
		        time.sleep(0.05)
	P
	wait_for 5 counted udp.in 200
	running nc -l 7000 </dev/null >"$T/got"
	server=$JOB
	wait_for 5 stack_listens 7000
	timeout 10 nc -N "$STACK" 7000 <<<served
	ended "$server" 5
	[ "$(cat "$T/got")" = served ]
}

@test "curl and wget fetch from the host" {
	need curl wget
	start_daemon
	random_file "$T/data" 10
	host_web 8000
	byway run curl -sS -m 20 -o "$T/a" "http://$HOST:8000/data"
	same "$T/data" "$T/a"
	byway run wget -q -T 20 -O "$T/b" "http://$HOST:8000/data"
	same "$T/data" "$T/b"
}

@test "python3's http.server, which listens on [::], serves the host and the stack" {
	start_daemon
	random_file "$T/data" 10
	running python3 -m http.server --directory "$T" 8001 >/dev/null 2>"$T/web.log"
	wait_for 10 stack_listens 8001
	curl -sS -m 20 -o "$T/a" "http://$STACK:8001/data"
	byway run curl -sS -m 20 -o "$T/b" "http://$STACK:8001/data"
	same "$T/data" "$T/a"
	same "$T/data" "$T/b"
	contains "$(cat "$T/web.log")" "::ffff:$HOST"
}

@test "python's asyncio: fifty connections at once, server and client in one process" {
	start_daemon
	run timeout 60 byway run python3 "$HERE/asyncio_echo.py" "$STACK" "$HOST"
	echo "$output"
	[ "$status" -eq 0 ]
	contains "$output" "50 connections"
	contains "$output" "refused"
}

@test "a static program with system calls of its own" {
	start_daemon Services.Echo=yes
	run byway run "$BUILD/tests/system/static" "$STACK" 7
	[ "$output" = "from a static program" ]
}

@test "socat: TCP server with a process for each client, UDP" {
	need socat
	start_daemon
	random_file "$T/a" 2
	running socat TCP-LISTEN:7002,fork,reuseaddr EXEC:cat
	wait_for 5 stack_listens 7002
	for i in 1 2 3; do
		socat -t 10 - "TCP:$STACK:7002" <"$T/a" >"$T/got"
		same "$T/a" "$T/got"
	done
	running socat UDP-RECVFROM:7003,fork PIPE
	wait_for 5 udp_bound 7003
	[ "$(echo first | socat -t 1 - "UDP:$STACK:7003")" = first ]
	[ "$(echo second | byway run socat -t 1 - "UDP:$STACK:7003")" = second ]
}

nginx_config() { # PORT
	cat >"$T/nginx.conf" <<-EOF
		worker_processes 2;
		pid $T/nginx.pid;
		error_log $T/nginx.log;
		daemon off;
		events { worker_connections 512; }
		http {
			access_log off;
			sendfile on;
			server { listen $1; listen [::]:$1; root $T; }
		}
	EOF
}

fetches() { # COUNT URL
	for ((i = 0; i < $1; i++)); do
		curl -sS -m 20 -o "$T/got" "$2"
		same "$T/data" "$T/got"
	done
}

@test "nginx with two workers: fetches, reload, end" {
	need nginx curl
	need_root
	start_daemon
	random_file "$T/data" 5
	open_folders
	nginx_config 80
	running nginx -c "$T/nginx.conf"
	server=$JOB
	wait_for 10 stack_listens 80
	fetches 5 "http://$STACK/data"
	kill -HUP "$server"
	fetches 5 "http://$STACK/data"
	byway run curl -sS -m 20 -o "$T/got" "http://$STACK/data"
	same "$T/data" "$T/got"
	kill -QUIT "$server"
	ended "$server" 10
	wait_for 5 fails stack_listens 80
}

@test "redis: server under byway run, client on both sides" {
	need redis-server redis-cli
	start_daemon
	running redis-server --port 6379 --save "" --protected-mode no --dir "$T" >"$T/redis.log"
	wait_for 10 stack_listens 6379
	[ "$(redis-cli -h "$STACK" set key value)" = OK ]
	[ "$(byway run redis-cli -h "$STACK" get key)" = value ]
	byway run redis-benchmark -h "$STACK" -q -n 5000 -c 50 -t set,get
}

@test "iperf3 both ways, several streams, UDP" {
	need iperf3
	start_daemon
	running iperf3 -s -1 -p 5201 >"$T/iperf.log" 2>&1
	wait_for 5 stack_listens 5201
	timeout 20 iperf3 -c "$STACK" -t 1 -P 4
	background iperf3 -s -1 -B "$HOST" -p 5202
	wait_for 5 host_listens 5202
	timeout 20 byway run iperf3 -c "$HOST" -p 5202 -t 1 -P 4
	background iperf3 -s -1 -B "$HOST" -p 5203
	wait_for 5 host_listens 5203
	timeout 20 byway run iperf3 -c "$HOST" -p 5203 -t 1 -u -b 20M
}

@test "node: server and client in one process" {
	need node
	start_daemon
	run timeout 20 byway run node -e '
		const net = require("net");
		const s = net.createServer(c => c.pipe(c)).listen(7005, () => {
			const c = net.connect(7005, process.argv[1], () => c.end("hello node"));
			c.on("data", d => console.log(String(d)));
			c.on("close", () => net.connect(1, process.argv[2]).on("error", e => { console.log(e.code); s.close(); }));
		});' "$STACK" "$HOST"
	echo "$output"
	[ "$status" -eq 0 ]
	contains "$output" "hello node"
	contains "$output" ECONNREFUSED
}

@test "openssl s_server serves a file over TLS" {
	need openssl curl
	start_daemon
	random_file "$T/data" 2
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/key" -out "$T/cert" -subj /CN=x -days 2 2>/dev/null
	cd "$T"
	running openssl s_server -accept 7006 -key key -cert cert -WWW >/dev/null 2>&1
	wait_for 5 stack_listens 7006
	curl -ksS -m 20 -o got "https://$STACK:7006/data"
	same data got
	curl -ksS -m 20 -o got "https://$STACK:7006/data"
	same data got
}

@test "dig and getaddrinfo ask a name server through the stack" {
	start_daemon
	background python3 "$HERE/nameserver.py" "$HOST"
	wait_for 5 sh -c "ss -Hlun 'sport = :53' | grep -q ."
	echo "nameserver $HOST" >"$T/resolv.conf"
	mount --bind "$T/resolv.conf" /etc/resolv.conf
	run byway run python3 -c 'import socket; print(socket.getaddrinfo("one.example.test", 80, socket.AF_INET)[0][4][0])'
	echo "$output"
	[ "$output" = 198.18.7.7 ]
	if command -v dig >/dev/null; then
		[ "$(byway run dig +short +tries=1 one.example.test)" = 198.18.7.7 ]
	fi
}

@test "a Go program, static, as server and client" {
	need go curl
	start_daemon
	random_file "$T/data" 5
	(cd "$T" && cp "$HERE/web.go" . && HOME=$T GO111MODULE=off CGO_ENABLED=0 go build -o web web.go)
	running "$T/web" serve :7200 "$T"
	wait_for 5 stack_listens 7200
	fetches 2 "http://$STACK:7200/data"
	byway run "$T/web" get "http://$STACK:7200/data" >"$T/got"
	same "$T/data" "$T/got"
}

@test "ss and ip show the stack" {
	need ss ip
	start_daemon Services.Echo=yes
	run byway run ss -tan
	echo "$output"
	contains "$output" LISTEN
	contains "$output" ":7"
	run byway run ip addr
	contains "$output" "$LINK"
	contains "$output" "inet $STACK/24"
	byway run nc -l 7000 </dev/null >/dev/null &
	JOBS+=("$!")
	wait_for 5 stack_listens 7000
	contains "$(byway run ss -tlpn)" '"nc"'
}

@test "ioctl about interfaces and if_nameindex tell of the stack's link" {
	start_daemon
	run byway run python3 -c '
import fcntl, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ask = lambda request, name: fcntl.ioctl(s, request, struct.pack("256s", name))
print([name for _, name in socket.if_nameindex()])
print(socket.inet_ntoa(ask(0x8915, b"byway0")[20:24]), ask(0x891b, b"byway0")[20:24].hex())
print(struct.unpack("i", ask(0x8921, b"byway0")[16:20])[0])
try:
    ask(0x8915, b"lo")
except OSError as e:
    print(e.strerror)'
	echo "$output"
	contains "$output" "$LINK"
	contains "$output" "$STACK ffffff00"
	contains "$output" 1500
	contains "$output" "No such device"
}

@test "a thousand connections, each closed, and ten thousand sockets left to a kill" {
	start_daemon Control.SocketsPerUser=20000
	run timeout 60 byway run python3 "$HERE/many_sockets.py" churn "$STACK" 1000
	echo "$output"
	[ "$status" -eq 0 ]
	before=$(ls "/proc/$DAEMON/fd" | wc -l)
	running python3 "$HERE/many_sockets.py" hold "$STACK" 10000
	wait_for 60 counted_sockets 10000
	kill -KILL "$JOB"
	wait_for 20 sockets_are 0 '.state != "TIME-WAIT"'
	wait_for 20 descriptors_at_most "$before"
}

counted_sockets() { [ "$(sockets true)" -ge "$1" ]; }
descriptors_at_most() { [ "$(ls "/proc/$DAEMON/fd" | wc -l)" -le "$(($1 + 2))" ]; }
