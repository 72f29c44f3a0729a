#!/usr/bin/env bats
# L6: who may look and who may open sockets. The other user is 65534 (nobody), outside of the group.
load lib

# As another user, with a CLI where that user can reach it.
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$T/byway" "$@"; }

# A daemon whose control socket everybody reaches, as under systemd's socket unit.
start_open_daemon() {
	need_root
	cp "$BYWAY" "$T/byway"
	open_folders
	start_daemon "$@"
	chmod 666 "$BYWAY_SOCKET"
}

@test "without the group the control socket is out of reach, and the message says who may" {
	start_open_daemon
	chmod 660 "$BYWAY_SOCKET"
	run as_nobody list
	[ "$status" -eq 1 ]
	contains "$output" "Permission denied"
	contains "$output" "group"
}

@test "another user may not connect: EACCES and why" {
	start_open_daemon Services.Echo=yes
	run as_nobody connect "$STACK" 7 </dev/null
	[ "$status" -eq 1 ]
	contains "$output" "Permission denied"
	contains "$output" "only root and members of group byway may"
	wait_for 3 log_has "refused"
}

@test "another user may not listen" {
	start_open_daemon
	run as_nobody listen 7777 </dev/null
	[ "$status" -eq 1 ]
	contains "$output" "Permission denied"
	sockets_are 0 true
}

@test "another user sees nothing of others" {
	start_open_daemon Services.Echo=yes
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	background nc "$STACK" 7 <"$T/hold"
	wait_for 5 sockets_are 1 '.state == "ESTABLISHED"'
	[ "$(as_nobody list --json | jq -c .)" = '{"sockets":[]}' ]
	run as_nobody show "$(socket_id '.state == "ESTABLISHED"')"
	[ "$status" -eq 1 ]
	contains "$output" "Permission denied"
}

@test "another user may not kill a connection of others" {
	start_open_daemon Services.Echo=yes
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	background nc "$STACK" 7 <"$T/hold"
	wait_for 5 sockets_are 1 '.state == "ESTABLISHED"'
	run as_nobody kill "$(socket_id '.state == "ESTABLISHED"')"
	[ "$status" -eq 1 ]
	sockets_are 1 '.state == "ESTABLISHED"'
}

@test "a member of the group opens connections, sees and kills its own, and gets no port below 1024" {
	local group
	group=$(getent group nogroup | cut -d: -f1)
	start_open_daemon Services.Echo=yes "Control.Group=${group:?}"
	chmod 666 "$BYWAY_SOCKET"
	[ "$(echo hello | as_nobody connect "$STACK" 7)" = hello ]
	run as_nobody listen 80 </dev/null
	[ "$status" -eq 1 ]
	contains "$output" "Permission denied"
	contains "$output" "root"
	background as_nobody listen 7777 </dev/null
	wait_for 5 stack_listens 7777
	[ "$(as_nobody list --json | jq -c '[.sockets[] | select(.state == "LISTEN") | .uid]')" = "[65534]" ]
	as_nobody kill "$(socket_id '.state == "LISTEN" and (.local | endswith(":7777"))')"
	wait_for 5 sockets_are 0 '.local | endswith(":7777")'
}

@test "the daemon has no capability left and its system calls are filtered" {
	start_daemon
	local status=/proc/$DAEMON/status
	grep -E '^(Cap|NoNewPrivs|Seccomp)' "$status"
	[ "$(grep -E '^Cap(Inh|Prm|Eff|Amb)' "$status" | cut -f 2 | sort -u)" = 0000000000000000 ]
	grep -q '^NoNewPrivs:	1$' "$status"
	if [ "${BYWAY_SANITIZE:-none}" = none ]; then
		grep -q '^Seccomp:	2$' "$status"
	fi
}
