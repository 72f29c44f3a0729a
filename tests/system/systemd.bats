#!/usr/bin/env bats
# The unit files under a real systemd: an overlay of the running system with `meson install`
# in it is booted by systemd-nspawn once; systemd-checks runs in there and says what held.
load lib

boot() {
	local root=$BATS_FILE_TMPDIR/root

	mkdir "$BATS_FILE_TMPDIR"/{layer,root}
	mount -t tmpfs -o mode=755 byway-layer "$BATS_FILE_TMPDIR/layer" || return 1
	mkdir "$BATS_FILE_TMPDIR"/layer/{upper,work,dev}
	mount -t overlay -o "lowerdir=/,upperdir=$BATS_FILE_TMPDIR/layer/upper,workdir=$BATS_FILE_TMPDIR/layer/work" \
		byway-root "$root" || return 1
	meson install -C "$BUILD" --no-rebuild --quiet --destdir "$root" || return 1
	install_checks "$root"
	# A node of our own: the service's user must be able to open it, and the machine's stays as it is.
	mknod -m 666 "$BATS_FILE_TMPDIR/layer/dev/tun" c 10 200
	timeout 120 systemd-nspawn --capability=CAP_BPF --system-call-filter=bpf --quiet --keep-unit --register=no --link-journal=no --private-network \
		--bind="$BATS_FILE_TMPDIR/layer/dev/tun:/dev/net/tun" -D "$root" -b -- \
		systemd.unit=byway-checks.target </dev/null
}

# The checks as a unit, which shuts the system down at its end, whatever came out.
install_checks() {
	local units=$1/etc/systemd/system

	install -m 755 "$HERE/systemd-checks" "$1/systemd-checks"
	printf '%s\n' "BYWAY_SANITIZE=${BYWAY_SANITIZE:-none}" >"$1/systemd-checks.env"
	cat >"$units/byway-checks.service" <<-'U'
		[Unit]
		After=basic.target
		SuccessAction=poweroff-force
		FailureAction=poweroff-force
		[Service]
		Type=oneshot
		EnvironmentFile=/systemd-checks.env
		ExecStart=/systemd-checks /results
		TimeoutStartSec=100
	U
	cat >"$units/byway-checks.target" <<-'U'
		[Unit]
		Requires=basic.target byway-checks.service
	U
}

setup_file() {
	[ "$IN_NETNS_AS" = root ] && command -v systemd-nspawn >/dev/null || return 0
	export RESULTS=$BATS_FILE_TMPDIR/root/results
	boot >"$BATS_FILE_TMPDIR/console" 2>&1 3>&- || true
}

teardown_file() {
	umount "$BATS_FILE_TMPDIR/root" "$BATS_FILE_TMPDIR/layer" 2>/dev/null || true
}

# The check of the test's own name.
passed() {
	need_root
	command -v systemd-nspawn >/dev/null || skip "systemd-nspawn is not installed (package systemd-container)"
	if ! [ -s "$RESULTS" ]; then
		tail -n 40 "$BATS_FILE_TMPDIR/console"
		echo "the container came to no result"
		return 1
	fi
	if ! grep -qx "ok $BATS_TEST_DESCRIPTION" "$RESULTS"; then
		grep -A 40 -x "not ok $BATS_TEST_DESCRIPTION" "$RESULTS" || echo "this was not checked"
		return 1
	fi
}

@test "the socket unit listens without the daemon" { passed; }
@test "the first conversation starts the daemon" { passed; }
@test "the service is active when the interface is up and has the host's address" { passed; }
@test "the status line tells the addresses and the connections" { passed; }
@test "the host's ping is answered" { passed; }
@test "the table is shown" { passed; }
@test "the daemon is not root, has no capability, may gain none, and its calls are filtered" { passed; }
@test "SYNs have a queue of their own" { passed; }
@test "a member of the group byway opens connections, another user does not" { passed; }
@test "a reload with a wrong configuration fails and leaves the daemon as it was" { passed; }
@test "a reload switches a service on" { passed; }
@test "a daemon that was killed is started again and answers" { passed; }
@test "a daemon that hangs is killed by the watchdog and started again" { passed; }
@test "stopping ends connections with FIN and leaves no interface" { passed; }
@test "a wrong configuration ends the start with 78, and it is not tried again" { passed; }
@test "the service starts again after all that" { passed; }
