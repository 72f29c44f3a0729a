#!/bin/sh
# After `meson install`: the example configuration where there is none yet; on the running
# system (no DESTDIR, as root) the daemon's user, and systemd told of the units.
set -eu
example=$1
target=$2

if [ ! -e "${DESTDIR:-}$target" ]; then
	mkdir -p "${DESTDIR:-}$(dirname "$target")"
	cp "$example" "${DESTDIR:-}$target"
	chmod 644 "${DESTDIR:-}$target"
fi
if [ -n "${DESTDIR:-}" ] || [ "$(id -u)" -ne 0 ]; then
	exit 0
fi
ldconfig
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers byway.conf
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
