#!/usr/bin/env bats
# The main job without root: an ordinary user's own user and network namespace.
load lib

@test "an ordinary user runs the daemon, pings, connects and sees the table" {
	need_user_namespaces
	mkdir "$T/user"
	cp "$BYWAY" "$BYWAYD" "$HERE/user-path" "$T/user"
	run as_user unshare -r -n -m "$T/user/user-path" "$T/user"
	echo "$output"
	[ "$status" -eq 0 ]
	contains "$output" "hello from an ordinary user"
	contains "$output" "TIME-WAIT"
}
