#!/usr/bin/env bats
# The host's own ss and ip under byway run: they show this stack, and for root they change it.
load lib

need_iproute() {
	command -v ss >/dev/null && command -v ip >/dev/null || skip "iproute2 is not installed"
}

# The stack with the echo service, and a connection of the host's to it: PORT is its port there.
start_with_connection() {
	need_iproute
	start_daemon Services.Echo=yes "$@"
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	background nc "$STACK" 7 <"$T/hold" >"$T/echoed"
	NC=$JOB
	wait_for 5 sockets_are 1 '.state == "ESTABLISHED"'
	PORT=$(byway list --json | jq -r '.sockets[] | select(.state == "ESTABLISHED") | .peer' | sed 's/.*://')
}

bss() { byway run ss -H "$@"; }
bip() { byway run ip "$@"; }
# How many lines.
lines() { "$@" | grep -c .; }

host_mtu_is() { [ "$(ip -j link show "$LINK" | jq '.[0].mtu')" -eq "$1" ]; }

# ERRNO-TEXT COMMAND...: ip refuses, says so, and ends with status 2.
refused() {
	local text=$1
	shift
	run bip "$@"
	[ "$status" -eq 2 ]
	contains "$output" "$text"
}

@test "ss -tulpn shows listeners with the processes that hold them" {
	need_iproute
	sysctl -qw net.ipv4.ip_local_port_range='32768 65535' # which ss takes for the range of the stack's choices, too
	start_daemon Services.Echo=yes
	background byway run python3 -c 'import socket, time
l = socket.socket(); l.bind(("198.18.0.2", 7777)); l.listen(9)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("0.0.0.0", 7778)); time.sleep(60)'
	wait_for 5 stack_listens 7777
	wait_for 5 sockets_are 1 '.local | endswith(":7778")'
	run bss -tulpn
	[ "$status" -eq 0 ]
	echo "$output" | grep -E '^tcp +LISTEN +0 +9 +198\.18\.0\.2:7777 +0\.0\.0\.0:\* +users:\(\("python3",pid=[0-9]+,fd=[0-9]+\)\)'
	echo "$output" | grep -E '^udp +UNCONN +0 +0 +0\.0\.0\.0:7778 +0\.0\.0\.0:\* +users:\(\("python3",pid=[0-9]+,fd=[0-9]+\)\)'
	echo "$output" | grep -E '^tcp +LISTEN +0 +[0-9]+ +0\.0\.0\.0:7 '
	[ "$(lines bss -tulpn)" -eq 4 ] # echo over TCP and UDP, too
}

@test "ss -tinmo shows the control block: timers, memory, tcp_info" {
	start_with_connection
	echo hello >&5
	wait_for 5 grep -q hello "$T/echoed"
	run bss -tinmoe
	contains "$output" "ESTAB"
	contains "$output" "$STACK:7"
	contains "$output" "$HOST:$PORT"
	contains "$output" "skmem:(r0,rb"
	contains "$output" " cubic "
	contains "$output" "mss:1448"
	contains "$output" "bytes_received:6"
	contains "$output" "bytes_sent:6"
	contains "$output" "ino:0 sk:"
}

@test "ss -o shows the retransmission timer and how often it went off" {
	need_iproute
	start_daemon
	bip neigh add 198.18.0.99 lladdr 02:00:00:00:00:99 dev "$LINK" # where nobody is
	background byway connect 198.18.0.99 9 </dev/null
	wait_for 5 sockets_are 1 '.state == "SYN-SENT"'
	wait_for 5 eval "bss -tno state syn-sent | grep -qE 'timer:\\(on,.*,[1-9]\\)'"
}

@test "L1 filters run in the daemon, and those that cannot be run are refused" {
	start_with_connection
	[ "$(byway run python3 "$HERE/ask_filter.py")" = "2 0 -22 -22 2" ]
}

@test "ss finds what chose no port for itself, and nothing on other devices or with a mark" {
	need_iproute
	sysctl -qw net.ipv4.ip_local_port_range='32768 65535' # which ss takes for the range of the stack's choices, too
	start_daemon Services.Echo=yes
	background byway run python3 -c 'import socket, time
l = socket.socket(); l.bind(("198.18.0.2", 0)); l.listen(9)
m = socket.socket(); m.bind(("198.18.0.2", 7777)); m.listen(9)
c = socket.create_connection(("198.18.0.2", 7777)); time.sleep(60)'
	wait_for 5 sockets_are 2 '.state == "ESTABLISHED"'
	[ "$(lines bss -tan)" -eq 5 ]
	bss -tan autobound
	[ "$(lines bss -tan autobound)" -eq 2 ] # ss itself wants a high port, too: one listener, one end of the connection
	[ "$(lines bss -tan 'fwmark = 0')" -eq 5 ]
	[ "$(lines bss -tan 'fwmark = 7')" -eq 0 ]
	[ "$(lines bss -tan 'dev = lo')" -eq 0 ]
}

@test "ss filters by state, port and address" {
	start_with_connection
	[ "$(lines bss -tn state established '( sport = :7 )')" -eq 1 ]
	[ "$(lines bss -tn state established "( dport = :$PORT and not sport = :80 )")" -eq 1 ]
	[ "$(lines bss -tan "dst $HOST/24 or sport >= :7")" -eq 2 ]
	for filter in 'dport = :80' 'sport > :7 and sport < :7' 'dst 192.0.2.0/24' "not src $STACK"; do
		[ -z "$(bss -tn state established "( $filter )")" ]
	done
	[ -z "$(bss -tn state listening "( sport = :8 )")" ]
	[ -z "$(bss -6tan)" ]
	[ -z "$(bss -xa)" ]
	[ -z "$(bss -wa)" ]
	[ -z "$(bss -Ma)" ]
}

@test "ss -s sums the stack's sockets up" {
	start_with_connection
	run byway run ss -s
	[ "$status" -eq 0 ]
	contains "$output" "Total: 3"
	contains "$output" "TCP:   2 (estab 1, closed 0, orphaned 0, timewait 0)"
	echo "$output" | grep -qE '^UDP[[:space:]]+1 +1 +0'
	echo "$output" | grep -qE '^TCP[[:space:]]+2 +2 +0'
}

@test "ss -K ends what its filter says and nothing else" {
	start_with_connection
	background nc "$STACK" 7 <"$T/hold"
	wait_for 5 sockets_are 2 '.state == "ESTABLISHED"'
	run bss -K -tn "dport = :$PORT"
	[ "$status" -eq 0 ]
	contains "$output" "$HOST:$PORT"
	sockets_are 1 '.state == "ESTABLISHED"'
	wait_for 5 is_gone "$NC"
}

@test "ss -E tells of sockets that end" {
	start_with_connection
	background timeout 20 byway run stdbuf -oL ss -EHtn >"$T/ended"
	wait_for 10 ss_is_told
	bss -K -tn "dport = :$PORT" >/dev/null
	wait_for 5 tells_of "$PORT"
	echo ping | nc -N -p 20001 "$STACK" 7 >/dev/null
	wait_for 5 tells_of 20001
	[ "$(grep -cE ":($PORT|20001) *$" "$T/ended")" -eq 2 ] # each once
}

# PORT: of the host's end of a connection to the echo service.
tells_of() { grep -qE "^UNCONN +0 +0 +$STACK:7 +$HOST:$1 *$" "$T/ended"; }
# It has begun to listen: of a connection that ends now it hears.
ss_is_told() {
	echo ping | nc -N "$STACK" 7 >/dev/null
	[ -s "$T/ended" ]
}

@test "ip addr, ip -s link, ip route, ip neigh show the stack" {
	start_with_connection
	run bip -br addr
	[ "${#lines[@]}" -eq 2 ]
	contains "$output" "127.0.0.1/8"
	echo "$output" | grep -qE "^$LINK +UP +$STACK/24 *\$"
	run bip -j addr show dev "$LINK"
	[ "$(jq -r '.[0].addr_info[0] | "\(.local)/\(.prefixlen) \(.broadcast) \(.scope)"' <<<"$output")" = "$STACK/24 198.18.0.255 global" ]
	[ "$(jq -r '.[0].address' <<<"$output")" = "$(stack_mac)" ]
	run bip -j -s link show "$LINK"
	[ "$(jq '.[0].mtu' <<<"$output")" -eq 1500 ]
	[ "$(jq '.[0].stats64.rx.packets' <<<"$output")" -ge 2 ]
	[ "$(jq '.[0].stats64.tx.bytes' <<<"$output")" -ge 100 ]
	[ "$(bip route)" = "198.18.0.0/24 dev $LINK proto kernel scope link src $STACK " ]
	bip neigh | grep -qE "^$HOST dev $LINK lladdr [0-9a-f:]{17} (REACHABLE|STALE|PROBE)"
	bip neigh get "$HOST" dev "$LINK" | grep -q "^$HOST dev $LINK lladdr"
	run bip link show nothing0
	[ "$status" -eq 1 ]
}

@test "ip route get says how a packet would go" {
	need_iproute
	start_daemon Network.Gateway="$HOST"
	bip route get "$HOST" | grep -qE "^$HOST dev $LINK src $STACK uid 0"
	bip route get 192.0.2.1 | grep -qE "^192.0.2.1 via $HOST dev $LINK src $STACK"
	bip route get "$STACK" | grep -qE "^local $STACK dev lo .*src $STACK"
	bip route get 127.0.0.1 | grep -q '^local 127.0.0.1 dev lo'
	bip route get 198.18.0.255 | grep -q "^broadcast 198.18.0.255 dev $LINK"
	refused "Invalid argument" route get "$HOST" from 192.0.2.7
}

@test "root adds and deletes addresses; the stack answers on them" {
	need_iproute
	start_daemon Services.Echo=yes
	bip addr add 198.18.0.77/24 dev "$LINK"
	[ "$(echo hi | nc -N 198.18.0.77 7)" = hi ]
	[ "$(ping -c 1 -W 2 198.18.0.77 | grep -c ' 0% packet loss')" -eq 1 ]
	refused "File exists" addr add 198.18.0.77/24 dev "$LINK"
	refused "Invalid argument" addr add 198.18.0.255/24 dev "$LINK"
	refused "Operation not supported" addr add 198.18.0.78/24 dev lo
	refused "Operation not supported" addr add 198.18.0.78 peer 198.18.0.79 dev "$LINK"
	refused "Operation not supported" addr add 198.18.0.78/24 valid_lft 10 preferred_lft 10 dev "$LINK"
	bip addr del 198.18.0.77/24 dev "$LINK"
	fails ping -c 1 -W 1 198.18.0.77
	refused "Cannot assign requested address" addr del 198.18.0.77/24 dev "$LINK"
	bip addr add 198.18.0.78/24 brd + dev "$LINK"
	bip addr flush dev "$LINK"
	[ -z "$(bip -4 -o addr show dev "$LINK")" ]
	log_has 'uid 0\) added an address'
	[ "$(ip -4 -o addr show dev "$LINK" | grep -c "$HOST/24")" -eq 1 ] # the host's is as it was
}

@test "root adds, replaces and deletes routes" {
	need_iproute
	start_daemon
	bip route add 192.0.2.0/24 via "$HOST"
	bip route | grep -qE "^192.0.2.0/24 via $HOST dev $LINK proto static src $STACK"
	refused "File exists" route add 192.0.2.0/24 via "$HOST"
	bip route replace 192.0.2.0/24 via 198.18.0.3
	bip route get 192.0.2.9 | grep -q "via 198.18.0.3"
	refused "No such process" route del 192.0.2.0/24 via 198.18.0.4
	bip route del 192.0.2.0/24
	refused "No such process" route del 192.0.2.0/24
	refused "Network is unreachable" route get 192.0.2.9
	refused "Network is unreachable" route add default via 192.0.2.1
	refused "Invalid argument" route add 192.0.2.0/24 via "$HOST" src 198.18.0.9
	refused "No such file" route change 192.0.2.0/24 via "$HOST"
	refused "Operation not supported" route add 192.0.2.0/24 via "$HOST" metric 5
	refused "Operation not supported" route add blackhole 192.0.2.0/24
	refused "Operation not supported" route add 192.0.2.0/24 via "$HOST" table 9
	refused "Operation not permitted" route del 198.18.0.0/24
	bip route add default via "$HOST"
	bip route flush default
	[ "$(lines bip route)" -eq 1 ]
}

@test "root adds, flushes and deletes neighbours" {
	start_with_connection
	bip neigh add 198.18.0.9 lladdr 02:00:00:00:00:09 dev "$LINK"
	bip neigh | grep -q "^198.18.0.9 dev $LINK lladdr 02:00:00:00:00:09 PERMANENT"
	refused "File exists" neigh add 198.18.0.9 lladdr 02:00:00:00:00:0a dev "$LINK"
	bip neigh replace 198.18.0.9 lladdr 02:00:00:00:00:0a nud reachable dev "$LINK"
	bip neigh | grep -q "^198.18.0.9 dev $LINK lladdr 02:00:00:00:00:0a REACHABLE"
	bip neigh replace 198.18.0.9 lladdr 02:00:00:00:00:09 dev "$LINK"
	bip neigh flush all
	[ "$(bip neigh)" = "198.18.0.9 dev $LINK lladdr 02:00:00:00:00:09 PERMANENT " ]
	bip neigh del 198.18.0.9 dev "$LINK"
	[ -z "$(bip neigh)" ]
	refused "No such file" neigh del 198.18.0.9 dev "$LINK"
	echo again >&5 # the host is found again
	wait_for 5 grep -q again "$T/echoed"
}

@test "links stay as the configuration made them, the host's, too" {
	need_iproute
	start_daemon
	refused "MTU=" link set "$LINK" mtu 1400
	refused "as long as bywayd runs" link set "$LINK" down
	refused "No such device" link add dummy0 type dummy
	bip link set "$LINK" up mtu 1500
	host_mtu_is 1500
	fails ip link show dummy0
	byway run python3 -c 'import fcntl, socket, struct
try: fcntl.ioctl(socket.socket(), 0x8922, struct.pack("16si12x", b"'"$LINK"'", 1400)); exit(1)
except OSError: pass'
	host_mtu_is 1500
}

@test "ip monitor tells of changes" {
	need_iproute
	start_daemon
	background timeout 20 byway run stdbuf -oL ip monitor address route >"$T/seen"
	sleep 1
	bip addr add 198.18.0.77/24 dev "$LINK"
	bip route add 192.0.2.0/24 via "$HOST"
	bip addr del 198.18.0.77/24 dev "$LINK"
	wait_for 5 grep -q '^Deleted 2: .*198.18.0.77/24' "$T/seen"
	grep -q '^192.0.2.0/24 via' "$T/seen"
}

@test "L6 an ordinary user sees its own sockets and changes nothing: EPERM, logged" {
	need_root
	start_with_connection
	cp "$BYWAY" "$T/byway"
	open_folders
	chmod 666 "$BYWAY_SOCKET"
	nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$T/byway" run "$@"; }
	[ -z "$(nobody ss -Htan)" ]
	[ -n "$(nobody ip -br addr)" ]
	for change in "addr add 198.18.0.77/24 dev $LINK" "route add default via $HOST" "neigh del $HOST dev $LINK"; do
		# shellcheck disable=SC2086
		run nobody ip $change
		[ "$status" -eq 2 ]
		contains "$output" "Operation not permitted"
	done
	wait_for 3 log_has 'refused to .*uid 65534\).*RTM_NEWADDR'
	run nobody ss -K -tn
	sockets_are 1 '.state == "ESTABLISHED"'
	[ "$(lines bip -4 -o addr show dev "$LINK")" -eq 1 ]
}

@test "ip rule, and ip -j of everything" {
	need_iproute
	start_daemon
	ping -c 1 -W 2 -q "$STACK"
	run bip rule
	echo "$output"
	[ "$(echo "$output" | tr '\t' ' ')" = "0: from all lookup local
32766: from all lookup main" ]
	[ "$(bip -j rule | jq -c '[.[].priority]')" = "[0,32766]" ]
	[ "$(bip -j addr show dev "$LINK" | jq -r '.[0].addr_info[0].local')" = "$STACK" ]
	[ "$(bip -j -s link show dev "$LINK" | jq '.[0].stats64.rx.packets > 0')" = true ]
	[ "$(bip -j route | jq -r '.[0].dst')" = 198.18.0.0/24 ]
	[ "$(bip -j neigh | jq -r '.[] | select(.dst == "'"$HOST"'") | .dev')" = "$LINK" ]
	[ "$(bip -j route get "$HOST" | jq -r '.[0].prefsrc')" = "$STACK" ]
	refused "Operation not supported" rule add from 192.0.2.1 lookup main
}
