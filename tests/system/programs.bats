#!/usr/bin/env bats
# byway run with servers that are more than one process: sshd, nginx in all its turns, redis; and what becomes
# of them when the daemon ends. With run.bats these are the programs of the table in byway(1).
load lib

need() {
	local program
	for program; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

MASTERS=()
teardown() {
	local master
	for master in "${MASTERS[@]}"; do
		kill -STOP "$master" 2>/dev/null || continue # it would replace what is killed
		kill -KILL $(pgrep -P "$master") "$master" || true
	done
	byway_teardown
}

# COMMAND...: under byway run, in the background; what it cannot have is on standard error.
running() { background byway run --verbose "$@"; }

# ---- ssh ----

# PORT: keys, and a server's configuration that is nobody else's. sshd wants a folder of root's that none may enter.
ssh_config() {
	mkdir -p "$T/ssh"
	chmod 755 "$T/ssh"
	ssh-keygen -q -t ed25519 -N "" -f "$T/ssh/host"
	ssh-keygen -q -t ed25519 -N "" -f "$T/ssh/key"
	cp "$T/ssh/key.pub" "$T/ssh/authorized"
	# Its folder for the process without rights; the machine's own stays as it is.
	mount -t tmpfs -o mode=755 byway-run /run
	mkdir -p /run/sshd
	cat >"$T/ssh/config" <<-EOF2
		Port $1
		HostKey $T/ssh/host
		AuthorizedKeysFile $T/ssh/authorized
		PidFile none
		UsePAM no
		StrictModes no
		PasswordAuthentication no
		PermitRootLogin prohibit-password
		UseDNS no
		PrintLastLog no
		Subsystem sftp internal-sftp
	EOF2
	SSH=(-F none -i "$T/ssh/key" -p "$1" -o StrictHostKeyChecking=no -o UserKnownHostsFile="$T/ssh/known"
		-o IdentitiesOnly=yes -o ConnectTimeout=15 -o BatchMode=yes -o LogLevel=ERROR)
}

# ADDRESS COMMAND...: a client's work: a command's exit status, a file there and one back.
ssh_works() {
	local address=$1 status=0
	shift
	"$@" ssh "${SSH[@]}" "root@$address" 'echo "$SSH_CONNECTION"; exit 7' >"$T/said" || status=$?
	cat "$T/said"
	[ "$status" -eq 7 ]
	contains "$(cat "$T/said")" " $address "
	"$@" ssh "${SSH[@]}" "root@$address" sha256sum <"$T/data" >"$T/sum"
	[ "$(cut -d' ' -f1 "$T/sum")" = "$(sha256sum <"$T/data" | cut -d' ' -f1)" ]
	"$@" ssh "${SSH[@]}" "root@$address" cat "$T/data" >"$T/got"
	same "$T/data" "$T/got"
}

@test "ssh: sshd with its separated processes on the stack, clients of the host and of the stack" {
	need /usr/sbin/sshd ssh ssh-keygen
	need_root
	start_daemon
	random_file "$T/data" 20
	ssh_config 22
	running /usr/sbin/sshd -D -e -f "$T/ssh/config" 2>"$T/sshd.log"
	server=$JOB
	wait_for 10 stack_listens 22
	ssh_works "$STACK" timeout 60
	ssh_works "$STACK" timeout 60 byway run
	kill -TERM "$server"
	ended "$server" 10 || [ $? -eq 143 ]
	wait_for 5 no_connections
}

@test "ssh: the client on the stack, sshd of the host" {
	need /usr/sbin/sshd ssh ssh-keygen
	need_root
	start_daemon
	random_file "$T/data" 20
	ssh_config 2222
	background /usr/sbin/sshd -D -e -o "ListenAddress=$HOST" -f "$T/ssh/config" 2>"$T/sshd.log"
	wait_for 10 host_listens 2222
	ssh_works "$HOST" timeout 60 byway run
}

# ---- nginx ----

nginx_config() { # PORT
	cat >"$T/nginx.conf" <<-EOF2
		worker_processes 3;
		pid $T/nginx.pid;
		error_log $T/nginx.log;
		events { worker_connections 512; }
		http {
			access_log off;
			server { listen $1; listen [::]:$1; root $T; location /slow/ { alias $T/; limit_rate 1m; } }
		}
	EOF2
	open_folders
}

# PORT: as a daemon that forks away, and by its full name: without either there is no upgrade of the binary.
nginx_starts() {
	nginx_config "$1"
	byway run "$(command -v nginx)" -c "$T/nginx.conf" 3>&-
	wait_for 10 stack_listens "$1"
	wait_for 10 test -s "$T/nginx.pid"
	MASTER=$(cat "$T/nginx.pid")
	MASTERS+=("$MASTER")
	wait_for 10 has_workers "$MASTER" 3
}

workers() { pgrep -P "$1" -f 'nginx: worker' | sort; }
has_workers() { [ "$(workers "$1" | wc -l)" -eq "$2" ]; }
# PIDS...: all are gone.
all_gone() {
	local one
	for one; do
		is_gone "$one" || return 1
	done
}

# SECONDS URL [HEADER]: wrk, in the background; what it says goes to $T/wrk.
load_starts() {
	background wrk -t1 -c20 -d"$1" ${3:+-H "$3"} "$2" >"$T/wrk"
	LOAD=$JOB
}

# No request of wrk's failed, and there were some.
load_was_served() {
	ended "$LOAD" 60
	cat "$T/wrk"
	[ "$(awk '/requests in/ { print $1 }' "$T/wrk")" -gt 50 ]
	fails grep -E 'Socket errors|Non-2xx' "$T/wrk"
}

@test "nginx: reload under load fails no request, a request under way is finished by the old worker" {
	need nginx curl wrk
	need_root
	start_daemon
	random_file "$T/data" 4
	echo small >"$T/small"
	nginx_starts 80
	old=$(workers "$MASTER")
	background curl -sS -m 30 -o "$T/slow" "http://$STACK/slow/data"
	slow=$JOB
	load_starts 5 "http://$STACK/small" "Connection: close"
	for i in 1 2 3; do
		sleep 0.7
		kill -HUP "$MASTER"
	done
	is_gone "$slow" && false
	load_was_served
	ended "$slow" 30
	same "$T/data" "$T/slow"
	wait_for 10 all_gone $old
	has_workers "$MASTER" 3
	curl -sS -m 10 -o "$T/got" "http://$STACK/data"
	same "$T/data" "$T/got"
	kill -QUIT "$MASTER"
	wait_for 10 is_gone "$MASTER"
	wait_for 5 fails stack_listens 80
	fails grep -E 'alert|emerg' "$T/nginx.log"
}

@test "nginx: upgrade of the binary under load hands the listening sockets over, and back" {
	need nginx curl wrk
	need_root
	start_daemon
	random_file "$T/data" 4
	echo small >"$T/small"
	nginx_starts 80
	first=$MASTER
	load_starts 6 "http://$STACK/small" "Connection: close"
	sleep 0.5
	kill -USR2 "$first"
	wait_for 10 test -s "$T/nginx.pid.oldbin"
	wait_for 10 test -s "$T/nginx.pid"
	second=$(cat "$T/nginx.pid")
	MASTERS+=("$second")
	[ "$first" != "$second" ]
	wait_for 10 has_workers "$second" 3
	kill -WINCH "$first"
	wait_for 10 has_workers "$first" 0
	curl -sS -m 10 -o "$T/got" "http://$STACK/data"
	same "$T/data" "$T/got"
	kill -QUIT "$first"
	wait_for 10 is_gone "$first"
	load_was_served
	curl -sS -m 10 -o "$T/got" "http://$STACK/data"
	same "$T/data" "$T/got"
	byway run curl -sS -m 10 -o "$T/got" "http://$STACK/data"
	same "$T/data" "$T/got"
	kill -QUIT "$second"
	wait_for 10 fails stack_listens 80
	fails grep -E 'alert|emerg' "$T/nginx.log"
}

# ---- files, with either end on the stack ----

# URL COMMAND...: the file is fetched from a server on the stack, on the host and on the stack.
both_fetch() {
	local i
	for i in "" "byway run"; do
		timeout 30 $i "$@" >"$T/got"
		same "$T/data" "$T/got"
	done
}

# PORT: a server of the host's with $T/data. COMMAND...: fetches it, on the stack.
stack_fetches_from() {
	local port=$1
	shift
	wait_for 10 host_listens "$port"
	timeout 30 byway run "$@" >"$T/got"
	same "$T/data" "$T/got"
}

@test "python3: asyncio's streams carry a file from and to the stack" {
	start_daemon
	random_file "$T/data" 20
	running python3 "$HERE/asyncio_file.py" serve 7004 "$T/data"
	wait_for 10 stack_listens 7004
	both_fetch python3 "$HERE/asyncio_file.py" get "$STACK" 7004
	background python3 "$HERE/asyncio_file.py" serve 7005 "$T/data"
	stack_fetches_from 7005 python3 "$HERE/asyncio_file.py" get "$HOST" 7005
}

@test "node: its web server and client carry a file from and to the stack" {
	need node
	start_daemon
	random_file "$T/data" 20
	running node "$HERE/node_file.js" serve 7300 "$T"
	wait_for 10 stack_listens 7300
	both_fetch node "$HERE/node_file.js" get "http://$STACK:7300/data"
	background node "$HERE/node_file.js" serve 7301 "$T"
	stack_fetches_from 7301 node "$HERE/node_file.js" get "http://$HOST:7301/data"
}

@test "openssl: s_client fetches a file from the host's s_server" {
	need openssl
	start_daemon
	random_file "$T/data" 2
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/key" -out "$T/cert" -subj /CN=x -days 2 2>/dev/null
	cd "$T"
	background openssl s_server -accept "$HOST:7006" -key key -cert cert -WWW >/dev/null 2>&1
	wait_for 10 host_listens 7006
	printf 'GET /data HTTP/1.0\r\n\r\n' |
		timeout 30 byway run openssl s_client -connect "$HOST:7006" -quiet -ign_eof 2>/dev/null >answer || true
	python3 -c 'import sys; sys.stdout.buffer.write(open("answer", "rb").read().split(b"\r\n\r\n", 1)[1])' >got
	same data got
}

@test "a static C program with system calls of its own as server and client" {
	start_daemon
	random_file "$T/data" 20
	running "$BUILD/tests/system/static" listen 7010 >"$T/got"
	wait_for 5 stack_listens 7010
	timeout 30 "$BUILD/tests/system/static" send "$STACK" 7010 <"$T/data"
	ended "$JOB" 10
	same "$T/data" "$T/got"
	background nc -l "$HOST" 7011 >"$T/got"
	wait_for 5 host_listens 7011
	timeout 30 byway run "$BUILD/tests/system/static" send "$HOST" 7011 <"$T/data"
	ended "$JOB" 10
	same "$T/data" "$T/got"
}

@test "socat: a file to a server on the stack and from a client there" {
	need socat
	start_daemon
	random_file "$T/data" 20
	running socat -u TCP-LISTEN:7400,reuseaddr "CREATE:$T/got"
	wait_for 5 stack_listens 7400
	timeout 30 socat -u "OPEN:$T/data" "TCP:$STACK:7400"
	ended "$JOB" 10
	same "$T/data" "$T/got"
	background socat -u "TCP-LISTEN:7401,bind=$HOST,reuseaddr" "CREATE:$T/got"
	wait_for 5 host_listens 7401
	timeout 30 byway run socat -u "OPEN:$T/data" "TCP:$HOST:7401"
	ended "$JOB" 10
	same "$T/data" "$T/got"
}

@test "wrk and redis-benchmark as clients on the stack, nginx and redis on the host" {
	need nginx wrk redis-server redis-benchmark
	need_root
	start_daemon
	echo small >"$T/small"
	nginx_config 80
	background "$(command -v nginx)" -g "daemon off;" -c "$T/nginx.conf"
	MASTERS+=("$JOB")
	wait_for 10 host_listens 80
	timeout 20 byway run wrk -t2 -c20 -d2s "http://$HOST/small" >"$T/wrk"
	cat "$T/wrk"
	[ "$(awk '/requests in/ { print $1 }' "$T/wrk")" -gt 50 ]
	fails grep -E 'Socket errors|Non-2xx' "$T/wrk"
	background redis-server --port 6379 --bind "$HOST" --save "" --protected-mode no --dir "$T" >"$T/redis.log"
	wait_for 10 host_listens 6379
	timeout 30 byway run redis-benchmark -h "$HOST" -q -n 5000 -c 50 -t set,get >"$T/said"
	contains "$(cat "$T/said")" "GET: "
}

# ---- the end of the daemon ----

# PIDS...: hundredths of a second of CPU that they have used.
cpu_used() {
	local one sum=0 ticks
	for one; do
		ticks=$(awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$one/stat")
		sum=$((sum + ticks * 100 / $(getconf CLK_TCK)))
	done
	echo "$sum"
}

# PIDS...: in two seconds they use less than a tenth of that, together.
are_quiet() {
	local before used
	before=$(cpu_used "$@")
	sleep 2
	used=$(($(cpu_used "$@") - before))
	echo "used $used hundredths of a second: $*"
	[ "$used" -lt $((20 * SLOW)) ]
}

supervisor_of() { ps -o ppid= -p "$1" | tr -d ' '; }

listening_forever() { # PORT
	running python3 -c "import socket, sys; s = socket.create_server(('', $1)); print(s.accept(), flush=True)" >"$T/accepted"
	wait_for 10 stack_listens "$1"
	LISTENER=$(pgrep -P "$(pgrep -P "$JOB")")
}

udp_forever() { # PORT
	running python3 -c "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', $1)); print(s.recvfrom(9), flush=True)" \
		>"$T/received"
	wait_for 10 sockets_are 1 ".proto == \"udp\" and (.local | endswith(\":$1\"))"
	RECEIVER=$(pgrep -P "$(pgrep -P "$JOB")")
}

# SIGNAL: the daemon ends by it; who listens hears nothing more, and sleeps.
daemon_ends_under_servers() {
	local redis pids
	start_daemon
	echo small >"$T/small"
	nginx_starts 80
	running redis-server --port 6379 --save "" --protected-mode no --dir "$T" >"$T/redis.log"
	wait_for 10 stack_listens 6379
	redis=$(pgrep -P "$(pgrep -P "$JOB")")
	listening_forever 7000
	udp_forever 7000
	[ "$(curl -sS -m 10 "http://$STACK/small")" = small ]
	pids=("$MASTER" $(workers "$MASTER") "$redis" "$LISTENER" "$RECEIVER" $(supervisor_of "$MASTER") $(supervisor_of "$redis"))
	kill "-$1" "$DAEMON"
	wait_for 10 is_gone "$DAEMON"
	DAEMON=
	are_quiet "${pids[@]}"
	[ ! -s "$T/accepted" ]
	[ ! -s "$T/received" ]
}

@test "the daemon is killed: nginx, redis and a blocking accept wait without using the processor" {
	need nginx redis-server curl
	need_root
	daemon_ends_under_servers KILL
	# A new daemon, new servers on the old ports.
	start_daemon
	kill -QUIT "$MASTER"
	wait_for 10 is_gone "$MASTER"
	nginx_starts 80
	[ "$(curl -sS -m 10 "http://$STACK/small")" = small ]
}

@test "the daemon is stopped: nginx, redis and a blocking accept wait without using the processor" {
	need nginx redis-server curl
	need_root
	daemon_ends_under_servers TERM
}

@test "a socket that is killed by its ID: accept gives EINVAL, as it does on the host, and receiving ends" {
	start_daemon
	running python3 -c "import socket; s = socket.create_server(('', 7000)); s.accept()" 2>"$T/said"
	wait_for 10 stack_listens 7000
	byway kill "$(socket_id '.state == "LISTEN" and (.local | endswith(":7000"))')"
	ended "$JOB" 10 || true
	contains "$(cat "$T/said")" "Invalid argument"
	running python3 -c "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 7001)); print(s.recv(9))" 2>"$T/said"
	wait_for 10 sockets_are 1 '.proto == "udp" and (.local | endswith(":7001"))'
	byway kill "$(socket_id '.proto == "udp" and (.local | endswith(":7001"))')"
	ended "$JOB" 10 || true
	is_gone "$JOB"
}

@test "a soak of ten seconds: workers, clients and owners are killed, the memory returns (tests/soak/soak for more)" {
	need nginx curl wrk
	need_root
	[ "$SLOW" -eq 1 ] || skip "sanitizers keep what was freed"
	env -u BYWAY_SOCKET timeout 150 "$SOURCE/tests/soak/soak" 10
}
