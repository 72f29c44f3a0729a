#!/usr/bin/env bats
# Large transfers: each byte arrives, whatever the link can do and whatever the network loses.
load lib

setup_file() {
	local mebibytes=100
	[ "${BYWAY_SANITIZE:-none}" = none ] || mebibytes=16
	head -c "${mebibytes}M" /dev/urandom >"$BATS_FILE_TMPDIR/data"
}

# One in a hundred frames is lost, each way.
lose_frames() {
	nft -f - <<-N
		table inet loss {
			chain input {
				type filter hook input priority 0
				iif $LINK numgen random mod 100 < 1 counter drop
			}
			chain output {
				type filter hook output priority 0
				oif $LINK numgen random mod 100 < 1 counter drop
			}
		}
	N
}

lost_some() { nft list table inet loss | grep -q 'packets [1-9]'; }

# Large frames are few: one transfer may come through unharmed by chance, ten in a row do not.
until_lost_some() {
	local i
	for i in {1..10}; do
		"$@" || return 1
		lost_some && return
	done
	false
}
stop_losing() { nft delete table inet loss; }

teardown() {
	nft delete table inet loss 2>/dev/null || true
	byway_teardown
}

@test "to the stack" {
	start_daemon
	transfer_in 60
	[ "$(counter tcp.in_bad_checksum)" -eq 0 ]
}

@test "from the stack" {
	start_daemon
	transfer_out 60
}

@test "to the echo service and back at the same time" {
	start_daemon Services.Echo=yes
	transfer_echo 60
}

@test "without offload: checksums and segments made in software, in all three ways" {
	start_daemon Services.Echo=yes Link.Offload=no
	transfer_in 60
	transfer_out 60
	transfer_echo 60
	counted link.segmented 1
	[ "$(counter tcp.in_bad_checksum)" -eq 0 ]
}

@test "on a TUN, in all three ways" {
	start_daemon Services.Echo=yes Link.Type=tun
	transfer_in 60
	transfer_out 60
	transfer_echo 60
}

@test "with a small MTU on the stack's side" {
	start_daemon Services.Echo=yes Link.MTU=576
	transfer_echo 120
}

@test "with one frame in a hundred lost each way, to the stack" {
	start_daemon
	lose_frames
	until_lost_some transfer_in 120
	stop_losing
}

@test "with one frame in a hundred lost each way, from the stack" {
	start_daemon
	lose_frames
	until_lost_some transfer_out 120
	stop_losing
}

@test "with one frame in a hundred lost each way and without offload, echo" {
	start_daemon Services.Echo=yes Link.Offload=no
	lose_frames
	until_lost_some transfer_echo 120
	stop_losing
}

@test "two local processes over loopback" {
	start_daemon
	background byway listen 7777 </dev/null >"$T/got"
	wait_for 5 stack_listens 7777
	timeout 60 byway connect 127.0.0.1 7777 <"$BATS_FILE_TMPDIR/data"
	ended "$JOB" 10
	same "$BATS_FILE_TMPDIR/data" "$T/got"
}

@test "with BBR, from the stack, with one frame in a hundred lost each way" {
	start_daemon TCP.CongestionControl=bbr
	lose_frames
	until_lost_some transfer_out 120
	stop_losing
}

bbr_has_measured() {
	byway show --json "$(socket_id '.state == "ESTABLISHED"')" | jq -e '.socket["bbr-bandwidth"] > 0'
}

@test "what BBR believes of the path is shown" {
	start_daemon TCP.CongestionControl=bbr Services.Chargen=yes
	background timeout 20 nc -d "$STACK" 19 >/dev/null
	wait_for 5 sockets_are 1 '.state == "ESTABLISHED"'
	wait_for 10 bbr_has_measured
	run byway show --json "$(socket_id '.state == "ESTABLISHED"')"
	kill "$JOB"
	[ "$(jq -r '.socket["congestion-control"]' <<<"$output")" = bbr ]
	[[ $(jq -r '.socket["bbr-mode"]' <<<"$output") =~ ^(startup|drain|probe-) ]]
	[ "$(jq '.socket["bbr-bandwidth"] > 0 and .socket["pacing-rate"] > 0' <<<"$output")" = true ]
}
