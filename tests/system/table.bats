#!/usr/bin/env bats
# Looking in: byway list, byway show, byway stats, byway status.
load lib

# One of each kind: a listener, UDP, a connection from the host to echo. Each test has its own port,
# for the host has the one before in TIME-WAIT.
some_sockets() {
	PORT=$((45000 + BATS_TEST_NUMBER))
	start_daemon Services.Echo=yes "$@"
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	background nc -p "$PORT" "$STACK" 7 <"$T/hold" >"$T/nc"
	CONNECTION=".state == \"ESTABLISHED\" and (.peer | endswith(\":$PORT\"))"
	wait_for 5 sockets_are 1 "$CONNECTION"
}

@test "byway alone is byway list: headings and a line for each socket" {
	some_sockets
	run byway
	[ "$status" -eq 0 ]
	[ "$(tr -s ' ' <<<"${lines[0]# }" | sed 's/^ //')" = "ID PROTO STATE RECV-Q SEND-Q LOCAL PEER UID PID PROCESS" ]
	[ "${#lines[@]}" -eq 4 ]
	contains "$output" "LISTEN"
	contains "$output" "udp"
	contains "$output" "$STACK:7 "
	contains "$output" "$HOST:$PORT"
	contains "$output" "[echo]"
	[ "$output" = "$(byway list)" ]
}

@test "--json: the keys are the columns in lower case" {
	some_sockets
	[ "$(byway list --json | jq -c '.sockets[0] | keys_unsorted')" = \
		'["id","proto","state","recv-q","send-q","local","peer","uid","pid","process"]' ]
	[ "$(byway list --json | jq -c "[.sockets[] | select($CONNECTION) | .proto, .local, .peer, .uid, .\"recv-q\"]")" = \
		"[\"tcp\",\"$STACK:7\",\"$HOST:$PORT\",0,0]" ]
	[ "$(byway list --json | jq '.sockets | length')" -eq 3 ]
}

@test "--json of an empty table is an empty list" {
	start_daemon
	[ "$(byway list --json | jq -c .)" = '{"sockets":[]}' ]
}

@test "--raw, --noheadings and --output" {
	some_sockets
	run byway list --raw --noheadings --output PROTO,STATE,LOCAL,PEER --state ESTABLISHED
	[ "$output" = "tcp ESTABLISHED $STACK:7 $HOST:$PORT" ]
	run byway list --raw --output proto,state --state ESTABLISHED
	[ "${lines[0]}" = "PROTO STATE" ]
	run byway list --output NONSENSE
	[ "$status" -eq 2 ]
	contains "$output" "NONSENSE"
	contains "$output" "RECV-Q"
}

@test "filters by state, port, address and protocol" {
	some_sockets
	local state="byway list --raw --noheadings --output STATE"
	[ "$($state --state LISTEN)" = LISTEN ]
	[ "$($state --state ESTABLISHED,LISTEN | sort | tr '\n' ' ')" = "ESTABLISHED LISTEN " ]
	[ -z "$($state --state TIME-WAIT)" ]
	[ "$($state --port $PORT)" = ESTABLISHED ]
	[ "$($state --port 7 | wc -l)" -eq 3 ]
	[ -z "$($state --port 8)" ]
	[ "$($state --address $HOST)" = ESTABLISHED ]
	[ "$($state --address 198.18.0.0/15 --state ESTABLISHED)" = ESTABLISHED ]
	[ -z "$($state --address 192.0.2.0/24)" ]
	[ "$($state --udp)" = UNCONN ]
	[ "$($state --tcp | wc -l)" -eq 2 ]
	run byway list --state NONSENSE
	[ "$status" -eq 2 ]
	run byway list --port 70000
	[ "$status" -eq 2 ]
	run byway list --address 300.0.0.1
	[ "$status" -eq 2 ]
}

@test "an owner's process and user are shown" {
	start_daemon
	background "$OWNER" listen 7777 4
	wait_for 5 stack_listens 7777
	[ "$(byway list --raw --noheadings --port 7777 --output UID,PID,PROCESS)" = "$(id -u) $JOB owner" ]
}

@test "byway show: every group, the names of RFC 9293, numbers with units" {
	some_sockets
	echo "twelve bytes" >"$T/hold"
	wait_for 5 grep -q twelve "$T/nc"
	run byway show "$(socket_id "$CONNECTION")"
	[ "$status" -eq 0 ]
	local word
	for word in ISS SND.UNA SND.NXT SND.WND SND.WL1 SND.WL2 IRS RCV.NXT RCV.WND \
		cwnd SRTT RTO algorithm "path MTU" "last state changes" \
		ESTABLISHED "LISTEN       -> SYN-RECEIVED" "SYN-RECEIVED -> ESTABLISHED"; do
		contains "${output,,}" "${word,,}"
	done
	# Thirteen bytes went each way, after the SYN: relative numbers say so.
	[[ $output =~ SND\.NXT[[:space:]]+[0-9]+\ \(ISS\+14\) ]]
	[[ $output =~ SND\.UNA[[:space:]]+[0-9]+\ \(ISS\+14\) ]]
	[[ $output =~ RCV\.NXT[[:space:]]+[0-9]+\ \(IRS\+14\) ]]
	[[ $output =~ path\ MTU[[:space:]]+1,500\ bytes ]]
}

@test "byway show --json: the same for programs" {
	some_sockets
	echo "twelve bytes" >"$T/hold"
	wait_for 5 grep -q twelve "$T/nc"
	byway show --json "$(socket_id "$CONNECTION")" >"$T/json"
	jq -e '.socket | .["snd-nxt"] == (.iss + 14) % 4294967296 and .["rcv-nxt"] == (.irs + 14) % 4294967296' "$T/json"
	jq -e '.socket | .state == "ESTABLISHED" and .["bytes-sent"] == 13 and .["bytes-received"] == 13' "$T/json"
	jq -e '.socket | .["mss-send"] <= 1460 and .["mss-send"] >= 1400 and .mtu == 1500' "$T/json"
	jq -e '.socket | .["window-scaling"] == true and .timestamps == true' "$T/json"
	jq -e '.socket.history | length == 2 and .[1].to == "ESTABLISHED"' "$T/json"
	jq -e '.socket | .rto >= 200000 and .srtt > 0 and .cwnd >= 1460' "$T/json"
}

@test "byway show of a listener, of UDP and of what does not exist" {
	some_sockets
	run byway show "$(socket_id '.state == "LISTEN"')"
	[ "$status" -eq 0 ]
	contains "$output" "accept queue"
	run byway show "$(socket_id '.proto == "udp"')"
	[ "$status" -eq 0 ]
	run byway show 999999
	[ "$status" -eq 1 ]
	contains "$output" "no socket 999999"
}

@test "TIME-WAIT is in the table, with its timer, and goes when its time is over" {
	start_daemon TCP.TimeWait=3s
	background nc -l "$HOST" 5001 </dev/null
	wait_for 5 host_listens 5001
	# We close first: the host's nc goes on until it sees our FIN.
	byway connect "$HOST" 5001 </dev/null
	wait_for 3 sockets_are 1 '.state == "TIME-WAIT"'
	run byway show "$(socket_id '.state == "TIME-WAIT"')"
	[ "$status" -eq 0 ]
	contains "$output" "TIME-WAIT timer"
	wait_for 5 sockets_are 0 true
	counted tcp.time_wait 1
}

@test "SYN-SENT is in the table, with its retransmission timer" {
	start_daemon
	nft add table inet t
	nft add chain inet t input '{ type filter hook input priority 0; }'
	nft add rule inet t input tcp dport 9999 drop
	background byway connect "$HOST" 9999 </dev/null
	wait_for 5 sockets_are 1 '.state == "SYN-SENT"'
	run byway show "$(socket_id '.state == "SYN-SENT"')"
	contains "$output" "retransmit timer"
	kill -KILL "$JOB"
	wait_for 5 no_tcp
}

@test "byway stats: every counter by layer, as text and as JSON" {
	some_sockets
	run byway stats
	[ "$status" -eq 0 ]
	local name
	for name in link.in arp.replies_out ip4.in icmp.in udp.in tcp.in tcp.passive_opens memory.failures; do
		contains "$output" "${name#*.}"
		[ "$(counter "$name")" -ge 0 ]
	done
	[ "$(counter tcp.passive_opens)" -eq 1 ]
	[ "$(counter ip4.in)" -ge 2 ]
}

@test "byway status: version, link, addresses" {
	start_daemon
	run byway status
	[ "$status" -eq 0 ]
	contains "$output" "$LINK"
	contains "$output" "$STACK"
	contains "$output" "1500"
}

@test "L5: an owner that does not read: RECV-Q grows, the window closes, nothing is lost" {
	start_daemon
	random_file "$T/data" 8
	mkfifo "$T/slow"
	exec 6<>"$T/slow"
	background byway listen 7777 </dev/null >"$T/slow"
	local listening=$JOB
	wait_for 5 stack_listens 7777
	background nc -N "$STACK" 7777 <"$T/data"
	local sending=$JOB
	# A receive buffer as it is at first and what fits into the owner's descriptor.
	wait_for 10 sockets_are 1 '(.local | endswith(":7777")) and .state != "LISTEN" and .["recv-q"] > 100000'
	wait_for 10 window_closed
	local id before
	before=$(counter tcp.in_bytes)
	[ "$before" -lt $((4 << 20)) ]
	background head -c $((8 << 20)) <&6 >"$T/got"
	local reading=$JOB
	ended "$reading" 20
	ended "$sending" 10
	exec 6>&-
	ended "$listening" 10
	same "$T/data" "$T/got"
	wait_for 5 no_connections
}

window_closed() {
	local id
	id=$(socket_id '(.local | endswith(":7777")) and .state != "LISTEN"')
	[ "$(byway show --json "$id" | jq '.socket["rcv-wnd"]')" -lt 65536 ]
}

@test "L5: a peer that does not read: SEND-Q grows, the window is probed, nothing is lost" {
	start_daemon
	random_file "$T/data" 16
	mkfifo "$T/slow"
	exec 6<>"$T/slow"
	background nc -l "$HOST" 5001 >"$T/slow"
	wait_for 5 host_listens 5001
	background byway connect "$HOST" 5001 <"$T/data"
	local sending=$JOB
	wait_for 20 sockets_are 1 '(.peer | endswith(":5001")) and .["send-q"] > 100000'
	wait_for 20 counted tcp.zero_window_probes 1
	run byway show "$(socket_id '.peer | endswith(":5001")')"
	contains "$output" "persist timer"
	background head -c $((16 << 20)) <&6 >"$T/got"
	ended "$JOB" 30
	exec 6>&-
	ended "$sending" 10
	same "$T/data" "$T/got"
}

@test "the table is whole while connections come and go" {
	start_daemon Services.Echo=yes TCP.TimeWait=100ms
	background bash -c 'for i in {1..300}; do echo x | nc -N '"$STACK"' 7; done >/dev/null'
	local wrong=0 reads=0
	while ! is_gone "$JOB"; do
		byway list --json | jq -e '[.sockets[] | select(.state == "LISTEN")] | length == 1' >/dev/null || wrong=1
		reads=$((reads + 1))
	done
	echo "$reads tables read"
	[ "$wrong" -eq 0 ]
	[ "$reads" -ge 3 ]
	[ "$(counter tcp.passive_opens)" -eq 300 ]
}
