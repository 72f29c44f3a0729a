#!/usr/bin/env bats
# L6: whatever is refused for who asks is logged with who asked.
load lib

# The log's lines about refusals to user 65534.
refusals() { grep -cE 'control: refused to python3 \(pid [0-9]+, uid 65534\): ' "$T/log"; }
refusals_are() { [ "$(refusals)" -eq "$1" ]; }

# ARGUMENT...: what user 65534 is told; each is a refusal, and one line in the log.
asks_in_vain() {
	chmod 666 "$BYWAY_SOCKET"
	open_folders
	run python3 "$HERE/refusals.py" "$@"
	echo "$output"
	[ "$status" -eq 0 ]
	[ -z "$(echo "$output" | grep -vE ' (EACCES|EPERM|ENOENT)$')" ]
	wait_for 3 refusals_are "${#lines[@]}"
}

@test "L6 who may not open sockets: each attempt is refused and logged" {
	need_root
	start_daemon Access.Open=root
	asks_in_vain open
	[ "${#lines[@]}" -eq 5 ]
}

@test "L6 a socket of another user, a port, the administrator's business: each attempt is refused and logged" {
	need_root
	start_daemon Access.Open="nobody root"
	background byway run python3 -c 'import socket, time
s = socket.create_server(("198.18.0.2", 7777)); time.sleep(100)'
	wait_for 5 stack_listens 7777
	inode=$(byway list --json -o ID,INODE,LOCAL | jq '.sockets[] | select(.local | endswith(":7777")) | .inode')
	asks_in_vain others "$inode" "$(socket_id '.local | endswith(":7777")')"
	[ "${#lines[@]}" -eq 23 ]
}
