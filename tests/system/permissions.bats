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

# ---- [Access] ----

# Waits with a connection of the host's to the echo service, which is the daemon's own socket.
hold_connection() {
	mkfifo "$T/hold"
	exec 5<>"$T/hold"
	background nc "$STACK" 7 <"$T/hold"
	wait_for 5 sockets_are 1 '.state == "ESTABLISHED"'
}

# As the group alone, not the user: it is known by its supplementary groups.
as_member() { setpriv --reuid 65533 --regid 65533 --groups 65534 "$T/byway" "$@"; }

# COMMAND...: is refused with "Permission denied", and the daemon's log says who it was.
denied() {
	run "$@"
	[ "$status" -eq 1 ]
	contains "$output" "Permission denied"
}

@test "Access: See=all shows everybody's sockets, to look at and not to kill" {
	local id
	start_open_daemon Services.Echo=yes Access.See=all
	hold_connection
	id=$(socket_id '.state == "ESTABLISHED"')
	[ "$(as_nobody list --json | jq '[.sockets[] | select(.state == "ESTABLISHED")] | length')" = 1 ]
	as_nobody show "$id" >"$T/shown"
	run as_nobody kill "$id"
	[ "$status" -eq 1 ]
	sockets_are 1 '.state == "ESTABLISHED"'
	wait_for 3 log_has "refused to byway \(pid [0-9]+, uid 65534\): socket $id belongs to user 0, who may kill it"
}

@test "Access: Open= takes users and groups, and replaces the group of the control socket" {
	start_open_daemon Services.Echo=yes "Control.Group=$(getent group nogroup | cut -d: -f1)" Access.Open=65533
	chmod 666 "$BYWAY_SOCKET"
	[ "$(echo hello | as_member connect "$STACK" 7)" = hello ]
	denied as_nobody connect "$STACK" 7 </dev/null
	contains "$output" "Open="
	wait_for 3 log_has "refused to byway \(pid [0-9]+, uid 65534\): user 65534 may not open sockets"
}

@test "Access: a supplementary group counts" {
	start_open_daemon Services.Echo=yes Access.Open=@65534
	[ "$(echo hello | as_member connect "$STACK" 7)" = hello ]
	denied setpriv --reuid 65533 --regid 65533 --clear-groups "$T/byway" connect "$STACK" 7 </dev/null
}

@test "Access: with other users named, the control socket is open to all of them" {
	start_open_daemon Services.Echo=yes Access.Open=65533
	stop_daemon
	start_daemon Services.Echo=yes Access.Open=65533
	[ "$(stat -c %a "$BYWAY_SOCKET")" = 666 ]
	[ "$(echo hello | as_member connect "$STACK" 7)" = hello ]
}

@test "Access: BindPrivileged= gives every port below 1024" {
	start_open_daemon Access.Open=all Access.BindPrivileged=65534
	background as_nobody listen 80 </dev/null
	wait_for 5 stack_listens 80
	denied setpriv --reuid 65533 --regid 65533 --clear-groups "$T/byway" listen 81 </dev/null
	wait_for 3 log_has "uid 65533\): user 65533 may not use port 81"
}

@test "Access: BindPorts= gives ports to some and keeps them from others" {
	start_open_daemon Access.Open=all "Access.BindPorts=@65534: 80, 8000-8009"
	background as_member listen 80 </dev/null
	wait_for 5 stack_listens 80
	background as_nobody listen 8009 </dev/null
	wait_for 5 stack_listens 8009
	denied as_member listen 81 </dev/null
	denied setpriv --reuid 65532 --regid 65532 --clear-groups "$T/byway" listen 8000 </dev/null
	contains "$output" "BindPorts="
	background setpriv --reuid 65532 --regid 65532 --clear-groups "$T/byway" listen 8010 </dev/null
	wait_for 5 stack_listens 8010
	wait_for 3 log_has "uid 65532\): user 65532 may not use port 8000"
}

@test "Access: ports and addresses hold for what programs under byway run bind, too" {
	start_open_daemon Network.Address=198.18.0.2/24 Network.Address=198.18.0.3/24 Access.Open=all \
		"Access.BindPorts=65533: 8000" "Access.BindAddresses=65533: 198.18.0.3"
	cat >"$T/bind.py" <<-END
		import socket, sys
		for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
		    for address in ("198.18.0.2", 8000), ("198.18.0.3", 9000), ("0.0.0.0", 9001), ("0.0.0.0", 0), ("198.18.0.2", 9002), ("198.18.0.2", 80):
		        try:
		            s = socket.socket(socket.AF_INET, kind)
		            s.bind(address)
		            print("ok", end=" ")
		        except OSError as e:
		            print(e.errno, end=" ")
		        s.close()
	END
	chmod 644 "$T/bind.py"
	[ "$(as_nobody run python3 "$T/bind.py")" = "13 13 13 ok ok 13 13 13 13 ok ok 13 " ]
	[ "$(setpriv --reuid 65533 --regid 65533 --clear-groups "$T/byway" run python3 "$T/bind.py")" = \
		"ok ok ok ok ok 13 ok ok ok ok ok 13 " ]
	[ "$(byway run python3 "$T/bind.py")" = "ok ok ok ok ok ok ok ok ok ok ok ok " ]
	wait_for 3 log_has "uid 65534\): user 65534 may not use address 198.18.0.3"
}

@test "Access: Administer= names who sees, kills and changes everything" {
	start_open_daemon Services.Echo=yes Access.Administer=65534
	hold_connection
	as_nobody kill "$(socket_id '.state == "ESTABLISHED"')"
	wait_for 5 sockets_are 0 '.state == "ESTABLISHED"'
	as_nobody run ip addr add 198.18.0.9/24 dev "$LINK"
	contains "$(byway status)" 198.18.0.9/24
	run setpriv --reuid 65533 --regid 65533 --clear-groups "$T/byway" run ip addr add 198.18.0.10/24 dev "$LINK"
	[ "$status" -ne 0 ]
	wait_for 3 log_has "uid 65533\): Operation not permitted"
}

@test "Access: a reload changes what conversations that there are may do" {
	printf '[Control]\nSocket=%s\n[Access]\nOpen=65534\n' "$BYWAY_SOCKET" >"$T/conf"
	need_root
	cp "$BYWAY" "$T/byway"
	launch --config "$T/conf"
	open_folders
	chmod 666 "$BYWAY_SOCKET"
	mkfifo "$T/go"
	background as_nobody run python3 -c 'import socket, sys
socket.socket().close(); print("open", flush=True)
input()
try: socket.socket()
except OSError as e: print(e.errno, flush=True)' <>"$T/go" >"$T/said"
	wait_for 5 grep -q open "$T/said"
	sed -i s/65534/65533/ "$T/conf"
	kill -HUP "$DAEMON"
	wait_for 5 log_has "configuration read again"
	echo >"$T/go"
	wait_for 5 grep -q 13 "$T/said"
}

@test "Access: refusals without end are not logged without end" {
	start_open_daemon Access.Open=root
	run as_nobody run python3 -c 'import socket
for i in range(500):
    try: socket.socket()
    except OSError: pass'
	[ "$(grep -c "refused to" "$T/log")" -ge 1 ]
	[ "$(grep -c "refused to" "$T/log")" -le 50 ]
}

@test "Access: a name that nobody has is refused at the start, with the remedy" {
	for set in Access.Open=@no-such-group Access.See=no-such-user "Access.BindPorts=root" "Access.BindPorts=root: 99999" \
		"Access.BindPorts=root: 9-8" "Access.BindAddresses=root: here" "Access.BindAddresses=root:" \
		Network.DNS=127.0.0.53 Network.DNS=name; do
		run "$BYWAYD" --config /dev/null --set "$set"
		[ "$status" -eq 78 ]
		contains "$output" "$set"
		contains "$output" "write"
	done
}
