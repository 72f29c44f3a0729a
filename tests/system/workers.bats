#!/usr/bin/env bats
# Several workers: each connection is one worker's, sockets and answers are as if there were one.
load lib

# KEY=VALUE...: a daemon with two workers.
start_two() { start_daemon Worker.Count=2 "$@"; }

# NAME LEAST: each worker's counter.
each_counted() { counted "worker.0.$1" "$2" && counted "worker.1.$1" "$2"; }

# WHERE... WHAT ARGUMENT...: workers.py there, and what it says in $T/said.
play() {
	background "$@" >"$T/said"
	wait_for 10 grep -q ready "$T/said"
}

peer() { timeout 60 "$HERE/workers.py" "$@"; }

# COUNT: so many threads, for each worker one and none besides.
has_threads() { [ "$(ls "/proc/$DAEMON/task" | wc -l)" = "$1" ]; }

@test "one worker: no thread, no lock, no descriptor to wake anybody by" {
	command -v strace >/dev/null || skip "no strace here"
	start_daemon Services.Echo=yes Control.Sandbox=no
	has_threads 1
	[ "$(find "/proc/$DAEMON/fd" -lname '*eventfd*' | wc -l)" = 0 ]
	background strace -f -q -o "$T/calls" -p "$DAEMON"
	wait_for 5 grep -q . "$T/calls" || byway status
	for _ in 1 2 3; do echo x | timeout 5 nc -N "$STACK" 7; byway list >"$T/list"; byway stats >"$T/stats"; done
	kill "$JOB" && ended "$JOB" 5 || true
	grep -q epoll "$T/calls"
	fails grep -E 'futex|clone|eventfd|ppoll|sched_' "$T/calls"
	fails grep -q '^worker' "$T/stats"
}

@test "two workers have two threads, and both get connections of the services, each with all its bytes" {
	start_two Services.Echo=yes
	has_threads 2
	play "$HERE/workers.py" hold "$STACK" 7 64
	each_counted connections 1
	sockets_are 64 '.state == "ESTABLISHED"'
	sockets_are 1 '.state == "LISTEN"'
	[ "$(($(counter worker.0.connections) + $(counter worker.1.connections)))" = 64 ]
	peer connect "$STACK" 7 32
}

@test "an owner's listener gets connections of both workers on one descriptor, and is shown once" {
	start_two
	play byway run -- "$HERE/workers.py" serve "$STACK" 6000 64
	stack_listens 6000
	peer connect "$STACK" 6000 64
	each_counted link_reads 20
	ended "$JOB" 10
	grep -q "served 64" "$T/said"
	wait_for 5 fails stack_listens 6000
	wait_for 5 no_connections
}

@test "libbyway's listener, too, and what waits for it is counted over both" {
	start_two
	background "$OWNER" listen 6000 100 >"$T/said"
	wait_for 5 grep -q ready "$T/said"
	play "$HERE/workers.py" hold "$STACK" 6000 20
	# One is in the message under way; RECV-Q counts it, as it counts those that wait.
	wait_for 5 sockets_are 1 '.state == "LISTEN" and ."recv-q" == 20 and ."send-q" == 100'
	each_counted connections 0
}

@test "an owner connects from ports that the stack chooses and from its own, to a server of the host" {
	start_two
	play "$HERE/workers.py" serve "$HOST" 5000 96
	peer_inside() { timeout 60 byway run -- "$HERE/workers.py" "$@"; }
	peer_inside connect "$HOST" 5000 32
	peer_inside connect "$HOST" 5000 32 20000
	for _ in $(seq 32); do echo hello | timeout 10 byway connect "$HOST" 5000 | grep -q hello; done
	each_counted link_reads 30
	ended "$JOB" 10
}

@test "a port that one worker's socket has is taken in all of them" {
	start_two
	play "$HERE/workers.py" serve "$HOST" 5000 1
	cat >"$T/bind.py" <<-'EOF'
		import socket, sys
		held = []
		for port in range(20000, 20016):
		    a = socket.socket(); a.bind(("0.0.0.0", port)); held.append(a)
		    b = socket.socket()
		    try:
		        b.bind(("0.0.0.0", port)); sys.exit(f"{port} twice")
		    except OSError as e:
		        assert e.errno == 98, e
		l = socket.create_server(("198.18.0.2", 6000))
		try:
		    socket.create_server(("198.18.0.2", 6000)); sys.exit("listens twice")
		except OSError as e:
		    assert e.errno == 98, e
		c = socket.create_connection(("198.18.0.1", 5000)); c.sendall(b"x"); assert c.recv(1) == b"x"; c.close()
	EOF
	timeout 30 byway run -- python3 "$T/bind.py"
}

@test "a socket whose connect failed at once listens, with connections of both workers" {
	start_two
	cat >"$T/failed.py" <<-'EOF'
		import socket, sys, time
		held = []
		for port in range(6000, 6008):
		    s = socket.socket(); held.append(s)
		    for _ in range(2):
		        try:
		            s.connect(("192.0.2.1", 7)); sys.exit("connected")
		        except OSError as e:
		            assert e.errno == 101, e
		    if port > 6000: s.bind(("198.18.0.2", port))
		    else: s.bind(("198.18.0.2", 0))
		    s.listen(64)
		for s in held[1:7]: s.close()
		print("ready", flush=True)
		for _ in range(16): held[7].accept()[0].sendall(b"x")
	EOF
	play byway run -- python3 "$T/failed.py"
	for _ in $(seq 16); do [ "$(timeout 5 nc -d "$STACK" 6007)" = x ]; done
	ended "$JOB" 10
	wait_for 5 sockets_are 0 '.state == "LISTEN"'
}

@test "listeners of one port (SO_REUSEPORT) share what comes, and each is killed by itself" {
	start_two
	cat >"$T/shared.py" <<-'EOF'
		import selectors, socket, sys
		every = []
		for _ in range(2):
		    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
		    s.bind(("198.18.0.2", 6000)); s.listen(64); every.append(s)
		free = socket.socket(); free.setsockopt(socket.IPPROTO_IP, 15, 1) # IP_FREEBIND
		free.bind(("192.0.2.9", 6001)); free.listen()
		print("ready", flush=True)
		chosen, n = selectors.DefaultSelector(), 0
		for i, s in enumerate(every): chosen.register(s, selectors.EVENT_READ, i)
		while True:
		    for key, _ in chosen.select():
		        try: key.fileobj.accept()[0].sendall(b"%d" % key.data)
		        except OSError: chosen.unregister(key.fileobj)
	EOF
	play byway run -- python3 "$T/shared.py"
	sockets_are 1 '.state == "LISTEN" and (.local | endswith(":6001"))'
	for _ in $(seq 32); do timeout 5 nc -d "$STACK" 6000; done >"$T/who"
	grep -q 0 "$T/who"
	grep -q 1 "$T/who"
	background timeout 60 byway run stdbuf -oL ss -EHtn >"$T/ended"
	wait_for 10 ended_told
	# One of the two: every connection comes to the other.
	byway kill "$(byway list --json | jq '[.sockets[] | select(.state == "LISTEN" and (.local | endswith(":6000")))][0].id')"
	wait_for 5 sockets_are 1 '.state == "LISTEN" and (.local | endswith(":6000"))'
	for _ in $(seq 16); do timeout 5 nc -d "$STACK" 6000; echo; done >"$T/who"
	[ "$(sort -u "$T/who" | wc -l)" = 1 ]
	grep -q '[01]' "$T/who"
	sleep 0.3
	[ "$(grep -c ":6000 .*:\*" "$T/ended")" = 1 ]
}

ended_told() { timeout 5 nc -d "$STACK" 6000 >"$T/one"; [ -s "$T/ended" ]; }

@test "connections of the stack to itself" {
	start_two Services.Echo=yes
	timeout 30 byway run -- "$HERE/workers.py" connect "$STACK" 7 16
	play byway run -- "$HERE/workers.py" serve "$STACK" 6000 16
	timeout 30 byway run -- "$HERE/workers.py" connect "$STACK" 6000 16
}

@test "curl, UDP echo, ping, and the host's programs that look in" {
	start_two Services.Echo=yes
	mkdir "$T/www" && head -c 3M /dev/urandom >"$T/www/file"
	background python3 -m http.server -b "$HOST" -d "$T/www" 8000 >"$T/http" 2>&1
	wait_for 10 host_listens 8000
	for _ in 1 2 3 4; do timeout 20 byway run -- curl -sf "http://$HOST:8000/file" | cmp - "$T/www/file"; done
	[ "$(echo hello | timeout 5 nc -u -w 1 "$STACK" 7)" = hello ]
	ping -c 2 -W 2 "$STACK"
	timeout 10 byway run -- ping -c 2 -W 2 "$HOST"
	byway run -- ss -ltn | grep -c ':7 ' | grep -qx 1
	byway run -- ip -s link show "$LINK"
}

@test "ss -K kills a connection of either worker, and a listener in both" {
	start_two Services.Echo=yes
	play "$HERE/workers.py" hold "$STACK" 7 16
	sockets_are 16 '.state == "ESTABLISHED"'
	byway run -- ss -K state established sport = :7 >"$T/killed"
	wait_for 5 sockets_are 0 '.state == "ESTABLISHED"'
	background "$OWNER" echo 6000 100
	wait_for 5 stack_listens 6000
	byway run -- ss -K state listening sport = :6000 >"$T/killed"
	wait_for 5 sockets_are 0 '.state == "LISTEN" and (.local | endswith(":6000"))'
	for _ in $(seq 16); do fails timeout 5 nc -N "$STACK" 6000 </dev/null; done
}

@test "byway show names the worker, and finds the sockets of each by their ids" {
	local id seen=
	start_two Services.Echo=yes
	play "$HERE/workers.py" hold "$STACK" 7 16
	for id in $(byway list --json | jq '.sockets[] | select(.state == "ESTABLISHED") | .id'); do
		seen="$seen $(byway show --json "$id" | jq '.socket.worker')"
	done
	contains "$seen" 0
	contains "$seen" 1
}

@test "stats are the sum over the workers" {
	start_two Services.Echo=yes
	peer connect "$STACK" 7 32
	[ "$(counter tcp.passive_opens)" = 32 ]
	[ "$(counter daemon.link_reads)" -ge "$(($(counter worker.0.link_reads) + $(counter worker.1.link_reads) - 5))" ]
	each_counted link_writes 10
}

@test "a reload, with connections under way on both, and the sandbox around both" {
	start_two Services.Echo=yes
	play "$HERE/workers.py" hold "$STACK" 7 16
	for task in "/proc/$DAEMON/task/"*; do
		grep -q '^CapEff:[[:space:]]*0*$' "$task/status"
		[ "${BYWAY_SANITIZE:-none}" != none ] || grep -q '^Seccomp:[[:space:]]*2$' "$task/status"
	done
	kill -HUP "$DAEMON"
	wait_for 5 log_has 'read again'
	sockets_are 16 '.state == "ESTABLISHED"'
	peer connect "$STACK" 7 16
}

@test "an end in order sends the FINs of both workers" {
	start_two Services.Echo=yes
	play "$HERE/workers.py" hold "$STACK" 7 16
	sockets_are 16 '.state == "ESTABLISHED"'
	stop_daemon
	[ "$(ss -Htn state close-wait "dst $STACK" | wc -l)" = 16 ] || fails ss -Htn state established "dst $STACK" | grep -q .
}

@test "neighbours are found by each worker, and flushed in all" {
	start_two
	play "$HERE/workers.py" serve "$HOST" 5000 32
	timeout 60 byway run -- "$HERE/workers.py" connect "$HOST" 5000 16
	[ "$(byway run -- ip -4 neigh show "$HOST" | wc -l)" = 1 ]
	byway run -- ip neigh flush all
	[ "$(byway run -- ip -4 neigh show "$HOST" | grep -c REACHABLE)" = 0 ]
	timeout 60 byway run -- "$HERE/workers.py" connect "$HOST" 5000 16
	ended "$JOB" 10
	# One station answers, not one for each worker.
	ip neigh flush dev "$LINK"
	[ "$(timeout 5 "$HERE/stations.py" arp-ask "$LINK" "$STACK")" = 1 ]
}

@test "an address and a route that come at run time are all workers'" {
	start_two Services.Echo=yes
	byway run -- ip addr add 198.18.0.9/24 dev "$LINK"
	ip neigh flush dev "$LINK"
	peer connect 198.18.0.9 7 16
	byway run -- ip addr del 198.18.0.9/24 dev "$LINK"
	for _ in $(seq 8); do fails timeout 1 nc -N 198.18.0.9 7 </dev/null; done
}

@test "a forward inwards and one outwards" {
	start_two Services.Echo=yes 'Forward "web".Listen=tcp:80' "Forward \"web\".Connect=tcp:$HOST:8080" \
		"Forward \"out\".Listen=tcp:127.0.0.1:9000" "Forward \"out\".Connect=tcp:$HOST:8080"
	play "$HERE/workers.py" serve "$HOST" 8080 64
	peer connect "$STACK" 80 32
	peer connect 127.0.0.1 9000 32
	ended "$JOB" 10
	each_counted link_reads 20
}

@test "a segment in fragments goes to its connection's worker" {
	local mac
	start_two Services.Echo=yes
	mac=$(stack_mac)
	[ "$(timeout 60 "$HERE/stations.py" fragments "$LINK" "$mac" "$STACK" 7 16)" = 16 ]
	each_counted link_writes 3
}

@test "an ICMP error goes to the worker whose segment it quotes" {
	start_two "Network.Gateway=$HOST"
	sysctl -qw net.ipv4.ip_forward=1
	ip route add unreachable 198.19.0.0/24
	# As many as the host has errors for at once.
	for i in 1 2 3 4 5 6; do background timeout 10 byway connect "198.19.0.$i" 7 </dev/null; done
	wait_for 10 counted icmp.in_errors 6
	[ "$(counter icmp.in_ignored)" = 0 ]
}

@test "the interface is taken away and comes back for both" {
	start_two Services.Echo=yes Control.Sandbox=no
	ip link delete "$LINK"
	wait_for 10 log_has "$LINK is back"
	peer connect "$STACK" 7 16
	each_counted link_reads 10
}

@test "more workers than can be had are refused, with the remedy" {
	run "$BYWAYD" --check --set Worker.Count=0
	[ "$status" -eq 78 ]
	run "$BYWAYD" --check --set Worker.Count=17
	[ "$status" -eq 78 ]
	ip tuntap add "$LINK" mode tap
	run timeout 10 "$BYWAYD" --config /dev/null --set Control.Socket="$BYWAY_SOCKET" --set Worker.Count=2
	ip tuntap del "$LINK" mode tap
	echo "$output"
	[ "$status" -eq 78 ]
	contains "$output" "Count=2"
	contains "$output" "one queue"
}

# Pings since the test began.
pings() { grep -c ping "$T/pings"; }
pings_are() { [ "$(pings)" -ge "$1" ]; }
switches() { awk '/^voluntary/ {print $2}' "/proc/$DAEMON/task/$1/status"; }

@test "a worker that hangs stops the watchdog, one that is idle does not and is hardly woken" {
	local second before
	[ "${BYWAY_SANITIZE:-none}" = none ] || skip "the leak check is a tracer"
	background "$HERE/watchdog.py" hear "$T/notify" >"$T/pings"
	wait_for 5 grep -q ready "$T/pings"
	NOTIFY_SOCKET=$T/notify WATCHDOG_USEC=1000000 start_two Services.Echo=yes Control.Sandbox=no
	wait_for 5 pings_are 2
	second=$(ls "/proc/$DAEMON/task" | grep -v "^$DAEMON$")
	before="$(pings) $(switches "$second")"
	sleep 4
	echo "$before, then $(pings) $(switches "$second")"
	pings_are $((${before% *} + 4))
	[ "$(switches "$second")" -le $((${before#* } + 16)) ]

	mkfifo "$T/hold"
	exec 9<>"$T/hold"
	background "$HERE/watchdog.py" freeze "$second" <"$T/hold" >"$T/frozen"
	wait_for 5 grep -q ready "$T/frozen"
	sleep 0.7 # one may be due that was answered before
	before=$(pings)
	sleep 2
	[ "$(pings)" = "$before" ]
	kill "$JOB"
	wait_for 5 pings_are $((before + 2))
	exec 9>&-
}
