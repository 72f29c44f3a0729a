#!/usr/bin/env bats
# Floods on a real TAP: bounded, counted, and without effect on others (bad-inputs E3, I2, U2, U3, C3, S1).
load lib

# Kibibytes that the daemon has in memory.
resident() { awk '/^VmRSS/ {print $2}' "/proc/$DAEMON/status"; }

# KIBIBYTES: the daemon has not grown by more than this since `before`.
grown_at_most() {
	local now
	now=$(resident)
	echo "resident: $before KiB before, $now KiB now"
	[ $((now - before)) -le "$1" ]
}

@test "E3: gratuitous ARP from 65,536 senders: the cache stays bounded, the host's entry survives" {
	start_daemon Services.Echo=yes
	[ "$(echo before | nc -N -w 3 "$STACK" 7)" = before ]
	local before
	before=$(resident)
	"$HERE/frames.py" arp-flood "$LINK" 65536
	wait_for 5 counted arp.in 10000
	[ "$(echo after | nc -N -w 3 "$STACK" 7)" = after ]
	[ "${BYWAY_SANITIZE:-none}" != none ] || grown_at_most 2048
}

@test "E3: unsolicited ARP replies make no entry" {
	start_daemon Services.Echo=yes
	local mac
	mac=$(stack_mac)
	"$HERE/frames.py" arp-replies "$LINK" "$mac" "$STACK" 5000
	wait_for 5 counted arp.in_unsolicited 400 # the rest may not fit the TAP's queue
	[ "$(echo after | nc -N -w 3 "$STACK" 7)" = after ]
}

@test "I2: LAND, a SYN from our own address and port, is dropped" {
	start_daemon Services.Echo=yes
	"$HERE/frames.py" land "$LINK" "$(stack_mac)" "$STACK" 7
	wait_for 5 counted ip4.in_bad_source 1
	sockets_are 0 '.proto == "tcp" and .state != "LISTEN"'
	[ "$(echo after | nc -N -w 3 "$STACK" 7)" = after ]
}

@test "S1: 20,000 spoofed SYNs while a transfer runs: it goes on, memory is bounded, real clients come in after" {
	start_daemon Services.Echo=yes Network.Gateway="$HOST" TCP.SynAckRetries=1
	local before mac
	mac=$(stack_mac)
	head -c 64M /dev/urandom >"$T/data"
	background bash -c "timeout 60 nc -N $STACK 7 <'$T/data' | cmp - '$T/data'"
	local transfer=$JOB
	wait_for 5 counted tcp.in_bytes 100000
	before=$(resident)
	"$HERE/frames.py" syn-flood "$LINK" "$mac" "$STACK" 7 20000
	wait_for 5 counted tcp.half_open_full 1
	[ "$(sockets '.state == "SYN-RECEIVED"')" -le 1024 ]
	ended "$transfer" 60
	[ "${BYWAY_SANITIZE:-none}" != none ] || grown_at_most 8192
	# Half-open entries end after their retransmissions.
	wait_for 10 sockets_are 0 '.state == "SYN-RECEIVED"'
	[ "$(echo after | nc -N -w 3 "$STACK" 7)" = after ]
}

@test "S1: at line rate a transfer goes on and a real client comes in while the flood lasts" {
	start_daemon Services.Echo=yes Network.Gateway="$HOST" TCP.SynAckRetries=1
	! log_has "no steering program" || skip "no steering program: $(sed -n 's/.*steering program (\(.*\)).*/\1/p' "$T/log")"
	head -c 32M /dev/urandom >"$T/data"
	background "$BUILD/tests/bench/flood" "$LINK" "$(stack_mac)" "$STACK" 7 60
	local flood=$JOB
	wait_for 5 counted tcp.cookies_sent 1000
	timeout 50 nc -N "$STACK" 7 <"$T/data" | cmp - "$T/data"
	fails is_gone "$flood"
	[ "$(sockets '.state == "SYN-RECEIVED"')" -le 1024 ]
}

# SYNs answered in a second.
answered() {
	local before
	before=$(counter tcp.cookies_sent)
	sleep 1
	echo $(($(counter tcp.cookies_sent) - before))
}

@test "S1: while a connection is in use a flood gets little of the daemon's time" {
	start_daemon Services.Discard=yes Services.Echo=yes Network.Gateway="$HOST" TCP.SynAckRetries=1
	! log_has "no steering program" || skip "no steering program: $(sed -n 's/.*steering program (\(.*\)).*/\1/p' "$T/log")"
	background timeout 60 nc "$STACK" 9 </dev/zero
	local transfer=$JOB
	wait_for 5 counted tcp.in_bytes 1000000
	background "$BUILD/tests/bench/flood" "$LINK" "$(stack_mac)" "$STACK" 7 60
	wait_for 5 counted tcp.cookies_sent 1000
	local busy idle
	busy=$(answered)
	kill "$transfer"
	wait_for 5 is_gone "$transfer"
	idle=$(answered)
	echo "answered in a second: $busy while a connection is in use, else $idle"
	[ $((busy * 2)) -le "$idle" ]
	counted daemon.syn_rests 1
}

@test "many connections a second are no flood: none of their SYNs waits" {
	start_daemon Services.Echo=yes
	env -u BYWAY_SOCKET "$BUILD/tests/bench/load" crr "$STACK" 1 64
	counted tcp.passive_opens 500
	[ "$(counter daemon.syn_rests)" -eq 0 ]
}

# A network namespace of the host's kernel behind a veth: 198.18.9.2, port 7 open.
start_kernel_peer() {
	background unshare -n sleep 100
	local peer=$JOB
	wait_for 5 eval "[ \"\$(readlink /proc/$peer/ns/net)\" != \"\$(readlink /proc/self/ns/net)\" ]"
	ip link add v0 type veth peer name v1 netns "$peer"
	ip addr add 198.18.9.1/24 dev v0
	ip link set v0 up
	nsenter -t "$peer" -n ip addr add 198.18.9.2/24 dev v1
	nsenter -t "$peer" -n ip link set v1 up
	background nsenter -t "$peer" -n nc -lk 198.18.9.2 7
}

# The index is eight times the logarithm of a deviation over six samples; two runs differ by up to 12.
@test "S3: nmap finds our initial sequence numbers as hard to predict as the kernel's" {
	command -v nmap >/dev/null || skip "nmap is not installed"
	start_daemon Services.Echo=yes
	start_kernel_peer
	timeout 80 nmap -n -Pn -O -v -p 7,8 "$STACK" 198.18.9.2 >"$T/nmap"
	local difficulty
	mapfile -t difficulty < <(sed -n 's/^TCP Sequence Prediction: Difficulty=\([0-9]*\).*/\1/p' "$T/nmap")
	echo "the stack ${difficulty[0]}, the kernel ${difficulty[1]}"
	[ "${difficulty[0]}" -ge $((difficulty[1] - 16)) ]
	grep -q "IP ID Sequence Generation: All zeros" "$T/nmap"
}

@test "U3: datagrams faster than the owner reads are dropped and counted, others are served" {
	start_daemon Services.Echo=yes
	background "$OWNER" udp 5353
	local owner=$JOB
	wait_for 5 sockets_are 1 '.local | endswith(":5353")'
	kill -STOP "$owner"
	local before
	before=$(resident)
	python3 - "$STACK" <<-'P'
		import socket, sys
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.connect((sys.argv[1], 5353))
		for i in range(20000):
		    try:
		        s.send(bytes(1000))
		    except OSError:
		        pass
	P
	wait_for 5 counted udp.in_queue_full 1
	[ "$(byway show --json "$(socket_id '.local | endswith(":5353")')" | jq '.socket.drops')" -ge 1 ]
	[ "$(echo others | nc -N -w 3 "$STACK" 7)" = others ]
	[ "${BYWAY_SANITIZE:-none}" != none ] || grown_at_most 8192
	kill -CONT "$owner"
	wait_for 5 sockets_are 1 '(.local | endswith(":5353")) and .["recv-q"] == 0'
	run timeout 10 nc -u -W 1 -w 3 -p 40001 "$STACK" 5353 <<<"still there"
	[ "$output" = "still there" ]
}

@test "C3: answers to a flood at closed UDP ports are rate-limited" {
	start_daemon ICMP.Rate=50 ICMP.Burst=20
	local start=$SECONDS
	python3 - "$STACK" <<-'P'
		import socket, sys
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		for i in range(5000):
		    s.sendto(b"x", (sys.argv[1], 20000 + i))
	P
	wait_for 5 counted udp.in_no_port 3000
	local errors
	errors=$(counter icmp.errors_out)
	echo "$errors errors in about $((SECONDS - start)) s"
	[ "$errors" -ge 1 ]
	[ "$errors" -le $((20 + 50 * (SECONDS - start + 2))) ]
	counted icmp.rate_limited 2000
}

@test "a flood of pings leaves a conversation alone" {
	start_daemon Services.Echo=yes
	background ping -q -f -w 5 "$STACK"
	local i
	wait_for 5 counted icmp.echo_in 1000
	for i in {1..20}; do
		[ "$(echo "line $i" | nc -N -w 3 "$STACK" 7)" = "line $i" ]
	done
	fails is_gone "$JOB"
}
