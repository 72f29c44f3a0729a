#!/usr/bin/env bats
# The small services, with the host's nc, and ports where nobody listens.
load lib

all_services() {
	start_daemon Services.Echo=yes Services.Discard=yes Services.Daytime=yes Services.Chargen=yes "$@"
}

@test "echo over TCP: a conversation comes back, half close ends it" {
	all_services
	run nc -N -w 5 "$STACK" 7 <<<$'first line\nsecond line'
	[ "$status" -eq 0 ]
	[ "$output" = $'first line\nsecond line' ]
}

@test "echo over UDP" {
	all_services
	run timeout 10 nc -u -W 1 -w 3 "$STACK" 7 <<<"a datagram"
	[ "$output" = "a datagram" ]
}

@test "echo over UDP with a datagram of 60,000 bytes" {
	all_services
	run timeout 20 python3 - "$STACK" <<-'P'
		import os, socket, sys
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.settimeout(5)
		data = os.urandom(60000)
		s.sendto(data, (sys.argv[1], 7))
		sys.exit(s.recv(65536) != data)
	P
	[ "$status" -eq 0 ]
}

@test "discard over TCP takes all and says nothing" {
	all_services
	random_file "$T/data" 8
	run timeout 20 nc -N -w 5 "$STACK" 9 <"$T/data"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ "$(counter tcp.in_bytes)" -eq $((8 << 20)) ]
}

@test "discard over UDP says nothing" {
	all_services
	run timeout 10 nc -u -w 1 "$STACK" 9 <<<"a datagram"
	[ -z "$output" ]
	wait_for 3 counted udp.in 1
}

@test "daytime over TCP tells the date and closes" {
	all_services
	run timeout 10 nc -w 5 "$STACK" 13 </dev/null
	[ "$status" -eq 0 ]
	contains "$output" "$(date -u +%Y)"
	contains "$output" "-UTC"
}

@test "daytime over UDP" {
	all_services
	run timeout 10 nc -u -W 1 -w 3 "$STACK" 13 <<<"?"
	contains "$output" "$(date -u +%Y)"
}

@test "chargen over TCP goes on until the client has enough" {
	all_services
	run bash -c "timeout 20 nc -d -w 5 $STACK 19 | head -c 1000000 | tr -d '\r' | awk 'length != 72 {short++} END {print NR, short}'"
	# 1,000,000 bytes are 13,513 whole lines of 74 and a piece.
	[ "$output" = "13514 1" ]
	wait_for 5 no_connections
}

@test "chargen over TCP is the pattern of RFC 864" {
	all_services
	run bash -c "timeout 20 nc -d -w 5 $STACK 19 | head -n 2 | tr -d '\r'"
	[ "${lines[0]}" = ' !"#$%&'"'"'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefg' ]
	[ "${lines[1]}" = '!"#$%&'"'"'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefgh' ]
}

@test "chargen over UDP answers one datagram" {
	all_services
	run timeout 10 nc -u -W 1 -w 3 "$STACK" 19 <<<"?"
	contains "$output" '!"#$%'
}

@test "services are off unless switched on" {
	start_daemon
	local port
	for port in 7 9 13 19; do
		run timeout 5 nc -v -w 3 "$STACK" "$port" </dev/null
		[ "$status" -eq 1 ]
		contains "$output" "Connection refused"
	done
	sockets_are 0 true
}

@test "a closed TCP port refuses at once" {
	start_daemon
	ping -c 1 -W 2 "$STACK"
	run python3 - "$STACK" <<-'P'
		import socket, sys, time
		s = socket.socket()
		start = time.monotonic()
		try:
		    s.connect((sys.argv[1], 9999))
		except ConnectionRefusedError:
		    sys.exit(time.monotonic() - start > 0.5)
		sys.exit("was not refused")
	P
	[ "$status" -eq 0 ]
	[ "$(counter tcp.resets_out)" -eq 1 ]
}

@test "U2: a closed UDP port answers port unreachable" {
	start_daemon
	run python3 - "$STACK" <<-'P'
		import socket, sys
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.settimeout(3)
		s.connect((sys.argv[1], 9999))
		s.send(b"anybody?")
		try:
		    s.recv(100)
		except ConnectionRefusedError:
		    sys.exit(0)
		sys.exit("no port unreachable came")
	P
	[ "$status" -eq 0 ]
	[ "$(counter udp.in_no_port)" -eq 1 ]
	[ "$(counter icmp.errors_out)" -eq 1 ]
}
