#!/usr/bin/env bash
# Makes sure that `cloud-init schema` can be asked, for a test of user-data, and prints the command.
#
# Debian's package is taken apart in .cache, with what it depends on and is missing here, and not
# installed: its services would set this machine up anew at its next boot.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/debian.sh
. "$here/debian.sh"

readonly OURS=$here/../.cache/cloud-init

main() {
    if have cloud-init; then
        command -v cloud-init
        return
    fi
    [ -x "$OURS/cloud-init" ] || fetch
    printf '%s\n' "$(cd -- "$OURS" && pwd)/cloud-init"
}

fetch() {
    have apt-get || die "cloud-init is missing: install it"
    say "fetching Debian's package cloud-init"
    is_known cloud-init || quietly apt_get update || die "apt-get update failed; see above"
    work=$(mktemp --directory)
    trap 'rm -rf -- "$work"' EXIT
    mkdir -p "$work/archives/partial"
    # Nothing is installed, so nobody who installs something has to be waited for.
    quietly apt-get -qq -y -o Debug::NoLocking=1 -o "Dir::Cache::archives=$work/archives" \
        --no-install-recommends --download-only install cloud-init \
        || die "could not fetch cloud-init; see above"
    for package in "$work"/archives/*.deb; do
        dpkg-deb --extract "$package" "$work/root"
    done
    mkdir -p "$OURS"
    rm -rf "$OURS/root"
    cp -r "$work/root" "$OURS/root"
    cat >"$OURS/cloud-init" <<'END'
#!/bin/sh
PYTHONPATH=$(dirname -- "$0")/root/usr/lib/python3/dist-packages exec /usr/bin/python3 -m cloudinit.cmd.main "$@"
END
    chmod +x "$OURS/cloud-init"
}

main
