#!/usr/bin/env bats
# The main job without root: an ordinary user's own user and network namespace.
load lib

# Runs user-path as user 65534 in namespaces of its own; as that user already: in this one.
@test "an ordinary user runs the daemon, pings, connects and sees the table" {
	if [ "$IN_NETNS_AS" = user ]; then
		cp "$BYWAY" "$BYWAYD" "$T"
		run "$HERE/user-path" "$T"
	else
		setpriv --reuid 65534 --regid 65534 --clear-groups unshare -r -n -m true ||
			skip "user namespaces are not allowed here"
		# A node of our own that the user may open; the machine's stays as it is.
		mount -t tmpfs -o mode=755 byway-dev /dev/net
		mknod -m 666 /dev/net/tun c 10 200
		chmod 711 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test"
		mkdir "$T/user"
		cp "$BYWAY" "$BYWAYD" "$HERE/user-path" "$T/user"
		chmod 777 "$T" "$T/user"
		cd /
		run setpriv --reuid 65534 --regid 65534 --clear-groups unshare -r -n -m "$T/user/user-path" "$T/user"
		umount /dev/net
	fi
	echo "$output"
	[ "$status" -eq 0 ]
	contains "$output" "hello from an ordinary user"
	contains "$output" "TIME-WAIT"
}
