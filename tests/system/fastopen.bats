#!/usr/bin/env bats
# TCP Fast Open (RFC 7413) with the host as the client, and as the server.
load lib

client() {
	timeout $((5 * SLOW)) python3 - "$STACK" 7 "$@" <<-'P'
		import socket, sys
		address, port = sys.argv[1], int(sys.argv[2])
		for text in sys.argv[3:]:
		    s = socket.socket()
		    s.sendto(text.encode(), socket.MSG_FASTOPEN, (address, port))
		    s.shutdown(socket.SHUT_WR)
		    got = b''
		    while part := s.recv(100):
		        got += part
		    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
		    print(got.decode(), 'in the SYN' if info[5] & 32 else 'after the handshake')
	P
}

@test "the host's second connection sends its data in the SYN" {
	sysctl -qw net.ipv4.tcp_fastopen=1
	start_daemon Services.Echo=yes TCP.FastOpen=server
	run client first second third
	echo "$output"
	[ "${lines[0]}" = "first after the handshake" ]
	[ "${lines[1]}" = "second in the SYN" ]
	[ "${lines[2]}" = "third in the SYN" ]
	[ "$(byway stats --json | jq '.counters[] | select(.name == "tcp.fastopen_passive").value')" = 2 ]
}

@test "without the setting the host gets no cookie" {
	sysctl -qw net.ipv4.tcp_fastopen=1
	start_daemon Services.Echo=yes
	run client first second
	[ "${lines[0]}" = "first after the handshake" ]
	[ "${lines[1]}" = "second after the handshake" ]
}

@test "curl opens with its request" {
	sysctl -qw net.ipv4.tcp_fastopen=1
	start_daemon Services.Daytime=yes TCP.FastOpen=server
	timeout 5 curl -s --tcp-fastopen --http0.9 "http://$STACK:13/" | grep -q 20
	timeout 5 curl -s --tcp-fastopen --http0.9 "http://$STACK:13/" | grep -q 20
}

# Says of each connection's first bytes whether they were there before the handshake was complete.
serve() {
	background python3 -c '
import socket, sys
l = socket.socket()
l.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.bind((sys.argv[1], 7000))
l.listen(5)
while True:
    s, _ = l.accept()
    got = s.recv(3000)
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
    s.sendall(b"%d bytes %s" % (len(got), b"in the SYN" if info[5] & 32 else b"after the handshake"))
    s.close()
' "$HOST"
	wait_for 5 is_listening
}

is_listening() { ss -Hltn "src $HOST:7000" | grep -q .; }

ask() { timeout $((5 * SLOW)) "$OWNER" ask "$HOST" 7000 "$1"; }

@test "an owner's second connection to the host has its data in the SYN" {
	sysctl -qw net.ipv4.tcp_fastopen=3
	start_daemon
	serve
	[ "$(ask first)" = "5 bytes after the handshake" ]
	[ "$(ask second)" = "6 bytes in the SYN" ]
	[ "$(ask "$(printf '%01400d' 0)")" = "1400 bytes in the SYN" ]
	[ "$(byway stats --json | jq '.counters[] | select(.name == "tcp.fastopen_active").value')" = 2 ]
}

@test "FastOpen=off keeps the data for after the handshake" {
	sysctl -qw net.ipv4.tcp_fastopen=3
	start_daemon TCP.FastOpen=off
	serve
	[ "$(ask first)" = "5 bytes after the handshake" ]
	[ "$(ask second)" = "6 bytes after the handshake" ]
}

# HOW TEXT...: a connection for each text under byway run, opened with MSG_FASTOPEN or TCP_FASTOPEN_CONNECT; what the server says.
run_client() {
	timeout $((10 * SLOW)) byway run python3 - "$HOST" 7000 "$@" <<-'P'
		import select, socket, sys
		to, how = (sys.argv[1], int(sys.argv[2])), sys.argv[3]
		for text in sys.argv[4:]:
		    text = text.encode()
		    s = socket.socket()
		    if how == "connect":
		        s.setsockopt(socket.IPPROTO_TCP, 30, 1)
		        s.connect(to)
		        assert s.getpeername() == to and s.getsockname()[1] != 0
		        assert s.send(text) == len(text)
		    elif how == "send":
		        assert s.sendto(text, socket.MSG_FASTOPEN, to) == len(text)
		    else:
		        s.setblocking(False)
		        try:
		            n = s.sendmsg([text], [], socket.MSG_FASTOPEN, to)
		            assert n == len(text), n
		        except BlockingIOError:
		            select.select([], [s], [], 5)
		            assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
		            s.send(text)
		        s.setblocking(True)
		    got = b""
		    while part := s.recv(100):
		        got += part
		    print(got.decode())
	P
}

@test "under byway run, MSG_FASTOPEN and TCP_FASTOPEN_CONNECT put the data in the SYN" {
	sysctl -qw net.ipv4.tcp_fastopen=3
	start_daemon
	serve
	run run_client send first second
	echo "$output"
	[ "${lines[0]}" = "5 bytes after the handshake" ]
	[ "${lines[1]}" = "6 bytes in the SYN" ]
	run run_client connect third
	echo "$output"
	[ "$output" = "5 bytes in the SYN" ]
	run run_client nonblock fourth
	echo "$output"
	[ "$output" = "6 bytes in the SYN" ]
	[ "$(byway stats --json | jq '.counters[] | select(.name == "tcp.fastopen_active").value')" = 3 ]
}

@test "under byway run, Fast Open without a cookie, refused, and switched off" {
	sysctl -qw net.ipv4.tcp_fastopen=3
	start_daemon
	serve
	run run_client connect first
	[ "$output" = "5 bytes after the handshake" ]
	run run_client nonblock second
	[ "$output" = "6 bytes in the SYN" ]
	kill -KILL "$JOB"
	wait_for 5 fails is_listening
	run run_client send third
	contains "$output" ConnectionRefusedError
	run run_client connect third
	contains "$output" "Error"
	stop_daemon
	start_daemon TCP.FastOpen=off
	run run_client send third
	contains "$output" "not supported"
}

# HOW: one mebibyte, more than a SYN or a buffer takes; its checksum is what the server got.
run_long_client() {
	timeout $((10 * SLOW)) byway run python3 - "$HOST" 7000 "$1" "$T/data" <<-'P'
		import socket, sys
		to, how = (sys.argv[1], int(sys.argv[2])), sys.argv[3]
		data = open(sys.argv[4], "rb").read()
		s = socket.socket()
		if how == "connect":
		    s.setsockopt(socket.IPPROTO_TCP, 30, 1)
		    s.connect(to)
		    n = 0
		else:
		    n = s.sendto(data, socket.MSG_FASTOPEN, to)
		    assert n > 1460, n
		s.sendall(data[n:])
		s.shutdown(socket.SHUT_WR)
		assert s.recv(100) == b""
	P
}

@test "under byway run, what does not fit in the SYN follows in order" {
	sysctl -qw net.ipv4.tcp_fastopen=3
	random_file "$T/data" 1
	start_daemon
	for how in send send connect; do
		background socat -u TCP-LISTEN:7000,bind="$HOST",reuseaddr,setsockopt-listen=6:23:5 "CREATE:$T/got"
		wait_for 5 is_listening
		run_long_client "$how"
		ended "$JOB" 5
		same "$T/data" "$T/got"
	done
	[ "$(byway stats --json | jq '.counters[] | select(.name == "tcp.fastopen_active").value')" -ge 2 ]
}

@test "under byway run, what was written before a close goes out with the SYN and behind it, then the FIN" {
	sysctl -qw net.ipv4.tcp_fastopen=3
	start_daemon
	background python3 - "$HOST" >"$T/said" <<-'P'
		import socket, sys
		l = socket.socket()
		l.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
		l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		l.bind((sys.argv[1], 7000))
		l.listen(5)
		while True:
		    s, _ = l.accept()
		    n = 0
		    try:
		        while part := s.recv(65536):
		            n += len(part)
		        print(n, flush=True)
		    except OSError as e:
		        print(n, e, flush=True)
		    s.close()
	P
	wait_for 5 is_listening
	timeout $((10 * SLOW)) byway run python3 - "$HOST" 7000 <<-'P'
		import socket, sys
		to = sys.argv[1], int(sys.argv[2])
		for n in 5, 6, 60000: # the first fetches the cookie
		    s = socket.socket()
		    s.setsockopt(socket.IPPROTO_TCP, 30, 1)
		    s.connect(to)
		    assert s.send(bytes(n)) == n
		    s.close()
		s = socket.socket()
		assert s.sendto(b"1234567", socket.MSG_FASTOPEN, to) == 7
		s.close()
		s = socket.socket()
		s.setsockopt(socket.IPPROTO_TCP, 30, 1)
		s.connect(to)
		s.close() # nothing was written: nothing goes
	P
	wait_for 5 eval '[ "$(wc -l <"$T/said")" -ge 4 ]'
	wait_for 5 no_connections
	cat "$T/said"
	[ "$(sort -n "$T/said" | tr '\n' ' ')" = "5 6 7 60000 " ] # each handshake takes its own time
	[ "$(byway stats --json | jq '.counters[] | select(.name == "tcp.fastopen_active").value')" = 3 ]
}
