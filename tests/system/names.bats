#!/usr/bin/env bats
# Names under byway run: [Network] DNS= in the place of the host's name servers. The host's resolv.conf
# names one that the stack cannot reach, so each answer here came from DNS=.
load lib

need() {
	local one

	for one; do
		command -v "$one" >/dev/null || skip "$one is not installed"
	done
}

# [SERVER]...: what resolv.conf says, in this test's mount namespace.
resolv_conf() {
	: >"$T/resolv.conf"
	printf 'nameserver %s\n' "$@" >>"$T/resolv.conf"
	mount --bind "$T/resolv.conf" /etc/resolv.conf
}

name_server_answers() { [ -n "$(ss -Hlun 'sport = :53')" ]; }

# KEY=VALUE...: a name server on the host, unreachable ones in resolv.conf, DNS= in the configuration.
start_names() {
	resolv_conf 127.0.0.53
	start_daemon "Network.DNS=$HOST" "$@"
	background python3 "$HERE/nameserver.py" "$HOST"
	wait_for 5 name_server_answers
}

teardown() {
	umount /etc/resolv.conf 2>/dev/null || true
	byway_teardown
}

@test "names: glibc asks DNS=, and TCP where the answer is cut" {
	start_names
	contains "$(byway run getent ahostsv4 one.example.test)" 198.18.7.7
	[ "$(byway run getent ahostsv4 big.example.test | grep -c STREAM)" = 60 ]
	run byway run getent ahostsv4 none.example.test
	[ "$status" -eq 2 ]
}

@test "names: without byway run the host's name server is still asked" {
	start_names
	echo "options timeout:1 attempts:1" >>"$T/resolv.conf"
	run getent ahostsv4 one.example.test
	[ "$status" -ne 0 ]
}

@test "names: musl, static, asks DNS= from a socket that is not connected" {
	need musl-gcc
	start_names
	musl-gcc -static -o "$T/resolve" "$HERE/resolve.c"
	[ "$(byway run "$T/resolve" one.example.test)" = "1 198.18.7.7" ]
}

@test "names: musl with three name servers gets the answer of each DNS=" {
	need musl-gcc
	resolv_conf 127.0.0.53 192.0.2.1 192.0.2.2
	start_daemon Network.DNS=198.18.0.8 Network.DNS=198.18.0.9 "Network.DNS=$HOST"
	background python3 "$HERE/nameserver.py" "$HOST"
	wait_for 5 name_server_answers
	musl-gcc -static -o "$T/resolve" "$HERE/resolve.c"
	[ "$(byway run "$T/resolve" one.example.test)" = "1 198.18.7.7" ]
}

@test "names: Go's own resolver asks DNS=" {
	need go
	start_names
	printf '%s\n' 'package main' 'import ("fmt"; "net")' \
		'func main() { a, e := net.LookupHost("one.example.test"); fmt.Println(a, e) }' >"$T/look.go"
	(cd "$T" && HOME=$T GO111MODULE=off CGO_ENABLED=0 go build -o look look.go)
	[ "$(byway run "$T/look")" = "[198.18.7.7] <nil>" ]
}

@test "names: dig and a connect to a name" {
	start_names Services.Daytime=yes
	if command -v dig >/dev/null; then
		[ "$(byway run dig +short +tries=1 +time=3 one.example.test)" = 198.18.7.7 ]
		[ "$(byway run dig +short +tcp +tries=1 +time=3 big.example.test | wc -l)" = 60 ]
		contains "$(byway run dig +tries=1 +time=3 one.example.test)" "SERVER: 127.0.0.53#53"
	fi
	run byway run python3 -c 'import socket; socket.create_connection(("one.example.test", 9), 3)'
	contains "$output" "198.18.7.7" || contains "$output" "OSError"
}

@test "names: a server that a program knows by itself is left alone" {
	need dig
	resolv_conf 127.0.0.53
	start_daemon Network.DNS=198.18.0.9
	background python3 "$HERE/nameserver.py" "$HOST"
	wait_for 5 name_server_answers
	[ "$(byway run dig "@$HOST" +short +tries=1 +time=3 one.example.test)" = 198.18.7.7 ]
}

@test "names: byway resolve shows address, server and time" {
	start_names
	run byway resolve one.example.test
	echo "$output"
	[ "$status" -eq 0 ]
	contains "$output" "address    198.18.7.7"
	contains "$output" "server     $HOST ([Network] DNS=)"
	contains "$output" "time "
	[ "$(byway resolve big.example.test | grep -c address)" = 60 ]
	run byway resolve none.example.test
	[ "$status" -eq 1 ]
	contains "$output" "there is no such name"
}

@test "names: byway resolve goes to the next server when one is silent" {
	resolv_conf 127.0.0.53
	echo "options timeout:1 attempts:1" >>"$T/resolv.conf"
	start_daemon Network.DNS=198.18.0.9 "Network.DNS=$HOST"
	background python3 "$HERE/nameserver.py" "$HOST"
	wait_for 5 name_server_answers
	run byway resolve one.example.test
	[ "$status" -eq 0 ]
	contains "$output" "198.18.0.9 does not answer"
	contains "$output" "server     $HOST"
}

@test "names: byway status shows them; without DNS= byway run --verbose says whom it asks" {
	resolv_conf 127.0.0.53
	start_daemon "Network.DNS=$HOST"
	contains "$(byway status)" "names by   $HOST:53"
	[ "$(byway status --json | jq -c .status.resolvers)" = "[\"$HOST:53\"]" ]
	stop_daemon
	start_daemon
	contains "$(byway status)" "names by   the host's resolv.conf"
	contains "$(byway run --verbose true 2>&1)" "127.0.0.53:53 of the host's resolv.conf is the host's loopback"
	resolv_conf "$HOST"
	contains "$(byway run --verbose true 2>&1)" "names: by $HOST:53 of the host's resolv.conf"
	background python3 "$HERE/nameserver.py" "$HOST"
	wait_for 5 name_server_answers
	contains "$(byway resolve one.example.test)" "(the host's resolv.conf)"
	umount /etc/resolv.conf
}
