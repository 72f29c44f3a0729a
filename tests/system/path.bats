#!/usr/bin/env bats
# A path with a black hole: packets of more than 1200 bytes vanish, and nobody says so.
load lib

setup_file() { head -c 20M /dev/urandom >"$BATS_FILE_TMPDIR/data"; }

# What the host drops itself its TCP hears of; so its packets go to a device at whose end nobody listens. Both
# sides make single packets, and the host looks for a way out as we do.
dig_black_hole() {
	ip link set dev "$LINK" gso_max_segs 1
	ip link add nowhere arp off type veth peer name nobody || skip "no veth can be made"
	ip link set nobody up
	ip link set nowhere up
	ip route add default dev nowhere table 99
	ip rule add fwmark 1 table 99
	echo 1 >/proc/sys/net/ipv4/tcp_mtu_probing || skip "the host's probing cannot be set"
	nft -f - <<-N
		table ip hole {
			chain input {
				type filter hook input priority 0
				iif $LINK meta length > 1200 counter drop
			}
			chain output {
				type route hook output priority 0
				oif $LINK meta length > 1200 counter meta mark set 1
			}
		}
	N
}

teardown() {
	nft delete table ip hole 2>/dev/null || true
	ip rule del fwmark 1 2>/dev/null || true
	ip link del nowhere 2>/dev/null || true
	byway_teardown
}

swallowed_some() { nft list table ip hole | grep -q 'packets [1-9]'; }

@test "through a black hole to the stack" {
	start_daemon Link.Offload=no
	dig_black_hole
	transfer_in 60
	swallowed_some
}

@test "through a black hole from the stack, which finds how much passes" {
	start_daemon Link.Offload=no
	dig_black_hole
	transfer_out 60
	counted tcp.mtu_black_holes 1
	counted tcp.mtu_probes_passed 1
	counted tcp.mtu_probes_lost 1
}

@test "through a black hole to the echo service and back at the same time" {
	start_daemon Services.Echo=yes Link.Offload=no
	dig_black_hole
	transfer_echo 60
	counted tcp.mtu_black_holes 1
}
