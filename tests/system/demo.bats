#!/usr/bin/env bats
# What `./dev demo` runs works, for root and for an ordinary user, and says so.
load lib

# STATUS OUTPUT of a demo that went well.
went_well() {
	printf '%s\n' "$output"
	[ "$status" -eq 0 ]
	fails contains "$output" "DID NOT WORK"
	contains "$output" "64 MiB to the stack: the same SHA-256 on both sides"
	contains "$output" "64 MiB from the stack: the same SHA-256 on both sides"
	contains "$output" "is in TIME-WAIT"
	contains "$output" "SND.UNA"
	contains "$output" "its interface went with it"
	[ -z "$(find "$T/tmp" -mindepth 1)" ]
}

@test "the demo shows the main job, cleans up and ends with status 0" {
	mkdir "$T/tmp"
	TMPDIR=$T/tmp run timeout 120 "$SOURCE/tests/demo/demo" "$BUILD"
	went_well
}

@test "the demo works for an ordinary user" {
	need_user_namespaces
	mkdir -p "$T/tmp" "$T/build/daemon" "$T/build/cli"
	cp "$BYWAYD" "$T/build/daemon"
	cp "$BYWAY" "$T/build/cli"
	cp "$SOURCE/tests/demo/demo" "$T"
	TMPDIR=$T/tmp run as_user timeout 120 "$T/demo" "$T/build"
	went_well
}

@test "the demo without a build says what to do and ends with status 1" {
	run "$SOURCE/tests/demo/demo" "$T"
	[ "$status" -eq 1 ]
	contains "$output" "./dev demo"
}
