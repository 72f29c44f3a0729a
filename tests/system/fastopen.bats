#!/usr/bin/env bats
# TCP Fast Open (RFC 7413) with the host as the client.
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
