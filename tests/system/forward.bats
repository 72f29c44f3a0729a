#!/usr/bin/env bats
# Forwards: servers of the host on the stack's address, and servers that the stack reaches on the host.
load lib

# WHAT ADDRESS PORT|PATH: a server of the host; its words are in $T/server.
serve() {
	background "$HERE/forward.py" "$@" >"$T/server"
	SERVER=$JOB
	wait_for 5 grep -q ready "$T/server"
}
said() { grep -v ready "$T/server"; }
client() { timeout 20 "$HERE/forward.py" "$@"; }

# KEY=VALUE...: the daemon with a forward "web" and one called "back" to the stack's own echo service.
start_forward() {
	local set=() one
	for one in "$@"; do
		set+=("Forward \"web\".$one")
	done
	start_daemon Services.Echo=yes "${set[@]}"
}

@test "a server of the host on the stack's address: 16 MiB there and back" {
	start_forward Listen=tcp:80 Connect=tcp:127.0.0.1:8080
	serve echo 127.0.0.1 8080
	head -c 16M /dev/urandom >"$T/data"
	timeout 60 nc -N "$STACK" 80 <"$T/data" | cmp - "$T/data"
	ended "$SERVER" 5
	wait_for 5 no_connections
}

@test "the same to a socket file" {
	start_forward "Listen=tcp:$STACK:80" "Connect=unix:$T/server.sock"
	serve echo unix "$T/server.sock"
	head -c 4M /dev/urandom >"$T/data"
	timeout 60 nc -N "$STACK" 80 <"$T/data" | cmp - "$T/data"
	ended "$SERVER" 5
}

@test "curl and python's http.server, 20 requests at once" {
	start_forward Listen=tcp:80 Connect=tcp:127.0.0.1:8080
	mkdir "$T/www"
	head -c 300000 /dev/urandom >"$T/www/file"
	background python3 -m http.server --bind 127.0.0.1 --directory "$T/www" 8080
	wait_for 5 host_listens 8080
	local i jobs=()
	for i in {1..20}; do
		background curl -s --max-time 30 -o "$T/got$i" "http://$STACK/file"
		jobs+=("$JOB")
	done
	for i in {1..20}; do
		ended "${jobs[$((i - 1))]}" 30
		cmp "$T/got$i" "$T/www/file"
	done
	sockets_are 1 '.process == "[web]" and .state == "LISTEN"'
}

# LINK BYTES: the flags of the last segment of so much from port 80 on that link.
last_flags='
import socket, sys
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
link.bind((sys.argv[1], 0))
link.settimeout(10)
print("ready", flush=True)
seen = 0
while seen < int(sys.argv[2]):
    frame = link.recv(100000)
    ip = frame[14:]
    tcp = ip[(ip[0] & 15) * 4:int.from_bytes(ip[2:4], "big")]
    if ip[9] == 6 and tcp[:2] == b"\0\x50":
        seen += len(tcp) - (tcp[12] >> 4) * 4
print("flags", tcp[13], flush=True)
'

# It is pushed (RFC 9293 3.9.1.2): nothing says that more will follow, so nobody waits for it.
@test "the end of what the server writes at once leaves at once" {
	start_forward Listen=tcp:80 Connect=tcp:127.0.0.1:8080
	background python3 -c "$last_flags" "$LINK" 50000 >"$T/flags"
	wait_for 5 grep -q ready "$T/flags"
	background python3 -c '
import socket, time
c, _ = socket.create_server(("127.0.0.1", 8080)).accept()
c.sendall(bytes(50000))
time.sleep(20)
'
	wait_for 5 host_listens 8080
	background nc -d "$STACK" 80 >/dev/null
	wait_for 10 grep -q flags "$T/flags"
	cat "$T/flags"
	[ $(($(sed -n 's/^flags //p' "$T/flags") & 8)) -ne 0 ]
}

@test "half-close passes through, whoever ends first" {
	start_forward Listen=tcp:80 Connect=tcp:127.0.0.1:8080
	serve half 127.0.0.1 8080
	client client-half "$STACK" 80
	ended "$SERVER" 5
	[ "$(said)" = 100000 ]
}

@test "a reset passes through, both ways" {
	start_forward Listen=tcp:80 Connect=tcp:127.0.0.1:8080
	serve outcome 127.0.0.1 8080
	client client-reset "$STACK" 80
	ended "$SERVER" 5
	[ "$(said)" = reset ]
	serve reset 127.0.0.1 8080
	[ "$(client client-outcome "$STACK" 80)" = reset ]
	wait_for 5 no_connections
}

@test "no server: the client is reset, and the log says why" {
	start_forward Listen=tcp:80 Connect=tcp:127.0.0.1:8080
	[ "$(client client-outcome "$STACK" 80)" = reset ]
	wait_for 5 log_has 'forward web: Connection refused'
	wait_for 5 no_connections
}

nothing_comes() {
	local before
	before=$(counter tcp.in_bytes)
	sleep 1
	[ "$(counter tcp.in_bytes)" -eq "$before" ]
}

@test "a server that does not read stops the client, and no memory grows" {
	start_forward Listen=tcp:80 Connect=tcp:127.0.0.1:8080
	serve reset 127.0.0.1 8080
	kill -STOP "$SERVER"
	background bash -c "head -c 200M /dev/zero | timeout 30 nc -N $STACK 80"
	wait_for 5 sockets_are 1 '(.local | endswith(":80")) and .state == "ESTABLISHED"'
	wait_for 10 counted tcp.in_bytes 1000000
	wait_for 20 nothing_comes
	[ "$(counter tcp.in_bytes)" -lt 100000000 ]
	kill -CONT "$SERVER"
	ended "$SERVER" 10
}

@test "the PROXY header tells the server the client's address" {
	start_forward Listen=tcp:80 Connect=tcp:127.0.0.1:8080 ProxyProtocol=yes
	serve proxy 127.0.0.1 8080
	[ "$(echo hello | timeout 10 nc -N -p 40123 "$STACK" 80)" = hello ]
	ended "$SERVER" 5
	[ "$(said)" = "$HOST 40123 $STACK 80" ]
}

@test "outwards: a port of the host leads to a server that the stack reaches" {
	start_forward Listen=tcp:127.0.0.1:7007 "Connect=tcp:$HOST:8080"
	serve echo "$HOST" 8080
	head -c 8M /dev/urandom >"$T/data"
	timeout 60 nc -N 127.0.0.1 7007 <"$T/data" | cmp - "$T/data"
	ended "$SERVER" 5
	serve half "$HOST" 8080
	client client-half 127.0.0.1 7007
	ended "$SERVER" 5
	[ "$(client client-outcome 127.0.0.1 7007)" = reset ] # nobody listens any more
	wait_for 5 no_connections
}

@test "outwards: what a client of a socket file wrote before it closed arrives" {
	start_forward "Listen=unix:$T/door" "Connect=tcp:$HOST:8080"
	background nc -l "$HOST" 8080 >"$T/got"
	wait_for 5 host_listens 8080
	head -c 100000 /dev/urandom >"$T/data"
	python3 - "$T" <<-'P'
		import socket, sys
		with socket.socket(socket.AF_UNIX) as s:
		    s.connect(sys.argv[1] + "/door")
		    s.sendall(open(sys.argv[1] + "/data", "rb").read())
	P
	ended "$JOB" 10
	same "$T/data" "$T/got"
	wait_for 5 no_connections
}

@test "outwards: a socket file, only for its group, gone with the daemon" {
	start_forward "Listen=unix:$T/door" "Connect=tcp:$STACK:7"
	[ "$(stat -c %a "$T/door")" = 660 ]
	[ "$(echo hello | timeout 10 nc -N -U "$T/door")" = hello ]
	stop_daemon
	[ ! -e "$T/door" ]
}

@test "UDP inwards and outwards; each client has its own answers" {
	start_daemon 'Forward "in".Listen=udp:5300' 'Forward "in".Connect=udp:127.0.0.1:5353' \
		'Forward "out".Listen=udp:127.0.0.1:5400' "Forward \"out\".Connect=udp:$HOST:5454"
	serve datagram 127.0.0.1 5353
	[ "$(timeout 10 nc -u -W 1 -w 3 "$STACK" 5300 <<<one)" = one ]
	[ "$(timeout 10 nc -u -W 1 -w 3 "$STACK" 5300 <<<two)" = two ]
	serve datagram "$HOST" 5454
	[ "$(timeout 10 nc -u -W 1 -w 3 127.0.0.1 5400 <<<three)" = three ]
	[ "$(timeout 10 nc -u -W 1 -w 3 127.0.0.1 5400 <<<four)" = four ]
}

@test "UDP: forwards and services answer from the address that was asked" {
	start_daemon Network.Address=198.18.0.2/24 Network.Address=198.18.0.3/24 Services.Echo=yes \
		'Forward "in".Listen=udp:5300' 'Forward "in".Connect=udp:127.0.0.1:5353'
	python3 - <<-'P'
		import socket
		server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		server.bind(("127.0.0.1", 5353))
		client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
		server.settimeout(10)
		client.settimeout(10)
		def asked(address):
		    client.sendto(b"x", (address, 5300))
		    return server.recvfrom(100)[1]
		def answered(session):
		    server.sendto(b"y", session)
		    return client.recvfrom(100)[1]
		# The sessions of one client live side by side.
		sessions = {a: asked(a) for a in ("198.18.0.3", "198.18.0.2", "198.18.0.255")}
		for address, session in sessions.items():
		    source = "198.18.0.2" if address == "198.18.0.255" else address
		    assert answered(session) == (source, 5300), address
		assert asked("198.18.0.3") == sessions["198.18.0.3"]
		for address in "198.18.0.3", "198.18.0.2":
		    client.sendto(b"z", (address, 7))
		    assert client.recvfrom(100) == (b"z", (address, 7)), address
	P
	[ "$(byway run nc -u -w 1 127.0.0.1 7 <<<hello)" = hello ]
}

@test "UDP: 3,000 clients leave no more than 1,024 sessions" {
	start_daemon 'Forward "in".Listen=udp:5300' 'Forward "in".Connect=udp:127.0.0.1:5353'
	python3 - "$STACK" <<-'P'
		import socket, sys, time
		for i in range(3000):
		    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
		        s.bind(("", 20000 + i))
		        s.sendto(b"x", (sys.argv[1], 5300))
		    if i % 100 == 0:
		        time.sleep(0.02)
	P
	wait_for 5 counted udp.in 2500
	local open
	open=$(ls "/proc/$DAEMON/fd" | wc -l)
	echo "$open descriptors"
	[ "$open" -ge 1024 ]
	[ "$open" -le 1060 ]
}

@test "a UDP forward that is killed takes its sessions along: late answers go nowhere" {
	start_daemon 'Forward "in".Listen=udp:5300' 'Forward "in".Connect=udp:127.0.0.1:5353'
	python3 - "$STACK" "$BYWAY" <<-'P'
		import json, socket, subprocess, sys
		server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		server.settimeout(10)
		server.bind(("127.0.0.1", 5353))
		client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		client.sendto(b"x", (sys.argv[1], 5300))
		session = server.recvfrom(100)[1]
		door = json.loads(subprocess.check_output([sys.argv[2], "list", "--json"]))["sockets"][0]
		subprocess.check_call([sys.argv[2], "kill", str(door["id"])])
		server.sendto(b"late", session)
	P
	"$BYWAY" status >"$T/status"
	sockets_are 0 true
}

@test "L8: forwards that make no sense are refused with file and line" {
	local case
	for case in "Listen=tcp:80|needs both" "Listen=tcp:80,Connect=udp:127.0.0.1:1|UDP goes to UDP" \
		"Listen=nonsense|is not a place" "Listen=tcp:0,Connect=tcp:127.0.0.1:1|is not a place" \
		"Listen=unix:/x,Connect=unix:/y|neither end" "Listen=tcp:80,Connect=tcp:8080|needs an address" \
		"Listen=tcp:80,Connect=tcp:$STACK:81|both ends" "Color=red|is no key" \
		"Listen=tcp:80,Listen=tcp:81|given twice" "Listen=unix:/x,Connect=tcp:192.0.2.1:1,ProxyProtocol=yes|come from the stack"; do
		printf '[Forward "web"]\n%s\n' "$(tr , '\n' <<<"${case%|*}")" >"$T/conf"
		run timeout 10 "$BYWAYD" --config "$T/conf"
		echo "$output"
		[ "$status" -eq 78 ]
		contains "$output" "$T/conf:"
		contains "$output" "${case#*|}"
	done
}
