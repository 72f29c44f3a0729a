#!/usr/bin/env bats
# L8: the configuration: what is wrong is named, with file, line and remedy, and nothing starts.
load lib

# LINE WORDS TEXT...: a file of these lines is refused at LINE with WORDS and status 78.
refused() {
	local line=$1 words=$2
	shift 2
	printf '%s\n' "$@" >"$T/conf"
	run timeout 10 "$BYWAYD" --config "$T/conf"
	echo "$output"
	[ "$status" -eq 78 ]
	contains "$output" "$T/conf:$line: "
	contains "$output" "$words"
	no_interface
}

no_interface() { fails ip link show "$LINK" >/dev/null 2>&1; }

@test "a wrong key names file, line and the keys there are" {
	refused 3 "MTU=" "# comment" "[Link]" "Colour=red"
}

@test "a wrong section names file, line and the sections there are" {
	refused 2 "[Network]" "" "[Nonsense]" "A=b"
}

@test "a key outside of a section" {
	refused 1 "outside of any section" "MTU=1500"
}

@test "a line that is neither" {
	refused 2 "Key=value" "[Link]" "what is this"
}

@test "wrong values name file, line and what is expected" {
	refused 2 "198.18.0.2/24" "[Network]" "Address=not an address"
	refused 2 "198.18.0.2/24" "[Network]" "Address=198.18.0.2/33"
	refused 2 "65535" "[Link]" "MTU=70000"
	refused 2 "MTU=" "[Link]" "MTU=1500x"
	refused 2 "tap or tun" "[Link]" "Type=token-ring"
	refused 2 "Echo=" "[Services]" "Echo=perhaps"
	refused 2 "SynRetries=" "[TCP]" "SynRetries=-1"
	refused 2 "TimeWait=" "[TCP]" "TimeWait=yesterday"
	refused 2 "49152-65535" "[TCP]" "PortRange=9-1"
}

@test "a key given twice names both lines" {
	refused 3 "line 2" "[Link]" "MTU=1400" "MTU=1500"
}

@test "values that contradict each other" {
	refused 2 "HostAddress=" "[Link]" "HostAddress=192.0.2.1/24"
	refused 2 "gateway" "[Network]" "Gateway=192.0.2.1"
	refused 2 "MinRTO=" "[TCP]" "MinRTO=10s" "MaxRTO=5s"
}

@test "a missing file: named, status 78" {
	run timeout 10 "$BYWAYD" --config "$T/nowhere.conf"
	[ "$status" -eq 78 ]
	contains "$output" "$T/nowhere.conf"
	contains "$output" "No such file or directory"
}

@test "a file that is all noise is refused, not read half" {
	head -c 100000 /dev/urandom >"$T/noise"
	run timeout 10 "$BYWAYD" --config "$T/noise"
	[ "$status" -eq 78 ]
	no_interface
}

@test "--check says good or what is wrong, and starts nothing" {
	printf '[Link]\nMTU=1400\n[Services]\nEcho=yes\n' >"$T/conf"
	run "$BYWAYD" --check --config "$T/conf"
	[ "$status" -eq 0 ]
	contains "$output" "good"
	printf '[Link]\nMTU=x\n' >"$T/conf"
	run "$BYWAYD" --check --config "$T/conf"
	[ "$status" -eq 78 ]
	no_interface
}

@test "the example configuration is valid, with every line switched on, too" {
	run "$BYWAYD" --check --config "$SOURCE/systemd/bywayd.conf"
	[ "$status" -eq 0 ]
	sed -E 's/^#([A-Z][A-Za-z0-9]*=)/\1/' "$SOURCE/systemd/bywayd.conf" >"$T/conf"
	[ "$(grep -cE '^[A-Z][A-Za-z0-9]*=' "$T/conf")" -ge 30 ]
	run "$BYWAYD" --check --config "$T/conf"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "an empty file and /dev/null are valid" {
	: >"$T/conf"
	run "$BYWAYD" --check --config "$T/conf"
	[ "$status" -eq 0 ]
	run "$BYWAYD" --check --config /dev/null
	[ "$status" -eq 0 ]
}

@test "--set overrides the file, and is checked as the file is" {
	printf '[Link]\nMTU=1400\n' >"$T/conf"
	launch --config "$T/conf" --set Link.MTU=1300 --set "Control.Socket=$BYWAY_SOCKET"
	contains "$(ip -o link show "$LINK")" "mtu 1300 "
	stop_daemon
	run "$BYWAYD" --check --config /dev/null --set Link.MTU=x
	[ "$status" -eq 78 ]
	contains "$output" "--set Link.MTU=x"
	run "$BYWAYD" --check --config /dev/null --set nonsense
	[ "$status" -eq 78 ]
}

@test "wrong options: status 64" {
	run "$BYWAYD" --nonsense
	[ "$status" -eq 64 ]
	run "$BYWAYD" word
	[ "$status" -eq 64 ]
}

@test "SIGHUP reads the file again: services and addresses change, connections stay" {
	printf '[Control]\nSocket=%s\n[Services]\nEcho=yes\n' "$BYWAY_SOCKET" >"$T/conf"
	launch --config "$T/conf"
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	background nc "$STACK" 7 <"$T/hold" >"$T/nc"
	wait_for 5 sockets_are 1 '.state == "ESTABLISHED"'
	printf '[Control]\nSocket=%s\n[Network]\nAddress=198.18.0.2/24\nAddress=198.18.0.3/24\n[Services]\nDaytime=yes\n' \
		"$BYWAY_SOCKET" >"$T/conf"
	kill -HUP "$DAEMON"
	wait_for 5 log_has "configuration read again"
	wait_for 5 ping -c 1 -W 1 198.18.0.3
	contains "$(timeout 5 nc -w 3 "$STACK" 13 </dev/null)" "UTC"
	fails nc -z -w 2 "$STACK" 7
	echo "still there" >"$T/hold"
	wait_for 5 grep -q "still there" "$T/nc"
	printf 'nonsense\n' >"$T/conf"
	kill -HUP "$DAEMON"
	wait_for 5 log_has "going on with the old one"
	contains "$(timeout 5 nc -w 3 "$STACK" 13 </dev/null)" "UTC"
}

@test "a second daemon on the same interface is refused with a reason" {
	start_daemon
	run timeout 10 "$BYWAYD" --config /dev/null --set "Control.Socket=$T/other.sock"
	[ "$status" -eq 1 ]
	contains "$output" "$LINK"
	contains "$output" "another program holds it"
	ping -c 1 -W 2 "$STACK"
}

@test "a second daemon on the same control socket is refused with a reason, the first goes on" {
	start_daemon
	run timeout 10 "$BYWAYD" --config /dev/null --set "Control.Socket=$BYWAY_SOCKET" --set Link.Name=byway1 \
		--set Link.HostAddress=192.0.2.1/24 --set Network.Address=192.0.2.2/24
	[ "$status" -eq 1 ]
	contains "$output" "$BYWAY_SOCKET"
	byway status
}
