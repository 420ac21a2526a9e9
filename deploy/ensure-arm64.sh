#!/usr/bin/env bash
# Makes a root directory of this machine's Debian for 64-bit ARM, with a Python and no more, for tests that
# run the agent there under QEMU; prints its path. Kept in .cache. Takes the packages from where this
# machine takes its own, and installs QEMU's static binaries where they are missing, which needs root or
# sudo. With `armhf`, the same for 32-bit ARM.
set -euo pipefail

# shellcheck source=deploy/debian.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/debian.sh"

readonly ARCHITECTURE=${1:-arm64}
cd "$(dirname -- "${BASH_SOURCE[0]}")/.."
readonly KEPT=$PWD/.cache/roots
readonly TARGET=$KEPT/$ARCHITECTURE

main() {
    have apt-get || die "this needs Debian's apt, for packages of another architecture"
    have qemu-aarch64-static || apt_install qemu-user-static
    mkdir -p "$KEPT"
    # Two test runs may come at once.
    exec 9<"$KEPT"
    flock 9
    [ -d "$TARGET" ] || make_root
    echo "$TARGET"
}

# Packages are unpacked and not configured: no program of theirs has to run for a Python to work, and so
# nobody has to be root. apt is told of a machine that has no packages yet.
make_root() {
    say "making a root for $ARCHITECTURE, in $TARGET"
    work=$(mktemp -d "$KEPT/.making-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work"/apt/{lists,cache/archives}/partial "$work"/root/{dev,mnt,proc,tmp} \
        "$work"/root/usr/{bin,lib,sbin}
    : >"$work/apt/status"
    for directory in bin lib sbin; do
        ln -s "usr/$directory" "$work/root/$directory"
    done
    # This machine may know of archives that have nothing for that architecture.
    quietly foreign_apt update || say "going on without the lists that failed, see above"
    # libc-bin: what asks for the C library's kind looks for its ldd.
    quietly foreign_apt install --download-only --no-install-recommends python3 dash coreutils libc-bin ||
        die "apt has no Python for $ARCHITECTURE; see above"
    for package in "$work"/apt/cache/archives/*.deb; do
        dpkg-deb --extract "$package" "$work/root"
    done
    mv "$work/root" "$TARGET"
}

foreign_apt() {
    apt-get -qq -y -o APT::Architecture="$ARCHITECTURE" -o APT::Architectures="$ARCHITECTURE" \
        -o Acquire::Retries=3 -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=true \
        -o Dir::State="$work/apt" -o Dir::State::lists="$work/apt/lists" \
        -o Dir::State::status="$work/apt/status" -o Dir::Cache="$work/apt/cache" "$@"
}

main
