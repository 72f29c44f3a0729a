# The network of the tests that go through the relay; sourced by sh and bash scripts that run in a
# network namespace of their own, R:
#
#   A  192.0.2.2 ── TAP ═ relay ═ TAP ── R forwards ── byway0 ── 198.18.0.2  the stack
#                                                  └── veth  ─── 198.18.9.2  K, the kernel's TCP
#
# To both peers the path is the same: the relay, and one hop of forwarding behind it. The TAPs of
# the relay have no offload, so on it each frame is one packet.
#
# BUILD is the build directory. Sets PEER_A, PEER_K (pids that hold the namespaces) and RELAY;
# whoever sources this ends those processes.

KERNEL_PEER=198.18.9.2
STACK_PEER=198.18.0.2
CLIENT=192.0.2.2

in_a() { nsenter -t "$PEER_A" -n -- "$@"; }
in_k() { nsenter -t "$PEER_K" -n -- "$@"; }

# LIMIT COMMAND...: until it succeeds, at most LIMIT tenths of a second.
within() {
	limit=$1
	shift
	until "$@"; do
		limit=$((limit - 1))
		[ "$limit" -gt 0 ] || { echo "never true: $*" >&2; return 1; }
		sleep 0.1
	done
}

own_network() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }

topology_up() {
	unshare -n sleep 3600 3>&- &
	PEER_A=$!
	unshare -n sleep 3600 3>&- &
	PEER_K=$!
	within 50 own_network "$PEER_A"
	within 50 own_network "$PEER_K"
	ip link set lo up
	sysctl -qw net.ipv4.ip_forward=1
	ip link add k0 type veth peer name k1 netns "$PEER_K"
	ip addr add 198.18.9.1/24 dev k0
	ip link set k0 up
	in_k ip addr add $KERNEL_PEER/24 dev k1
	in_k ip link set k1 up
	in_k ip route add default via 198.18.9.1
	# nothing is kept from one run to the next
	in_a sysctl -qw net.ipv4.tcp_no_metrics_save=1
	in_k sysctl -qw net.ipv4.tcp_no_metrics_save=1
}

# OPTION...: a relay; ends the one before.
relay_up() {
	relay_down
	"$BUILD/tests/relay/relay" "$@" relay-a relay-r >"$RELAY_LOG" 3>&- &
	RELAY=$!
	within 50 grep -qs ready "$RELAY_LOG"
	ip link set relay-a netns "$PEER_A"
	ip addr add 192.0.2.1/24 dev relay-r
	ip link set relay-r up
	in_a ip addr add $CLIENT/24 dev relay-a
	in_a ip link set relay-a up
	in_a ip route add default via 192.0.2.1
}

relay_down() {
	[ -n "${RELAY:-}" ] || return 0
	kill -TERM "$RELAY" 2>/dev/null || true
	wait "$RELAY" 2>/dev/null || true
	RELAY=
	within 50 no_taps
	: >"$RELAY_LOG"
}

no_taps() { ! ip link show relay-r >/dev/null 2>&1; }
