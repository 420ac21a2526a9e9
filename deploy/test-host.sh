#!/usr/bin/env bash
# Makes the images of the machines that tests/host boots: Debian 12 with systemd, once with nothing that a
# host does not have anyway, and once with Docker Engine and Compose v2. With `all`, also one with cloud-init
# besides, as clouds have it, which only `make test-host` boots.
#
# Does nothing where they are there and made by the same recipe. The root file system that both begin with
# is kept in .cache/test-host. Needs root or sudo where something has to be made.
set -euo pipefail
umask 022

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/debian.sh
. "$here/debian.sh"

readonly IMAGE=instadeploy-test-host
readonly LABEL=instadeploy.made-from
readonly SUITE=bookworm
readonly PACKAGES=systemd,systemd-sysv,dbus,ca-certificates,python3,openssl,curl,iproute2,procps
readonly CACHE=$here/../.cache/test-host

# The machines are containers of the engine that the agent would use.
export DOCKER_HOST=${AGENT_DOCKER_HOST:-unix:///var/run/docker.sock}
unset DOCKER_CONTEXT

main() {
    local made_from
    kinds=(bare docker)
    [ "${1:-}" != all ] || kinds+=(cloud)
    made_from=$(digest_of_recipe)
    ! are_there "$made_from" || return 0
    mkdir -p "$CACHE"
    # Whoever else makes them here, in the same moment, leaves nothing to do.
    exec 9>"$CACHE/lock"
    flock 9
    ! are_there "$made_from" || return 0
    work=$(as_root mktemp --directory)
    trap 'as_root rm -rf -- "$work"' EXIT
    root=$work/root
    as_root mkdir "$root"
    lay_out_base
    add_what_boots
    replace bare "$made_from"
    add_docker
    replace docker "$made_from"
    if [ "${kinds[-1]}" = cloud ]; then
        add_cloud_init
        replace cloud "$made_from"
    fi
}

# What the name meant before goes, unless a machine still runs from it.
replace() {
    local before
    before=$(docker image inspect --format '{{.Id}}' "$IMAGE:$1" 2>/dev/null || true)
    import_as "$@"
    [ -z "$before" ] || docker rmi "$before" >/dev/null 2>&1 || true
}

# What a comment of this script says is no part of it: the functions are as bash prints them.
digest_of_recipe() {
    {
        base_recipe
        declare -f add_what_boots add_docker add_cloud_init with_packages forget_packages in_root import_as
        cat -- "$here/test-host-init" "$here/ensure-engine.sh" "$here/debian.sh"
    } | sha256sum | cut -d ' ' -f 1
}

base_recipe() {
    printf '%s\n' "$SUITE" "$PACKAGES"
    declare -f make_base
}

are_there() {
    local kind
    for kind in "${kinds[@]}"; do
        [ "$(label_of_image "$kind")" = "$1" ] || return 1
    done
}

label_of_image() {
    docker image inspect --format "{{index .Config.Labels \"$LABEL\"}}" "$IMAGE:$1" 2>/dev/null || true
}

# Unpacks the base, which takes minutes to make, and seconds to unpack.
lay_out_base() {
    local base
    base=$CACHE/base-$(base_recipe | sha256sum | cut -c -16).tar
    if [ ! -e "$base" ]; then
        make_base
        as_root tar --create --directory "$root" --numeric-owner . >"$base.partial"
        rm -f "$CACHE"/base-*.tar
        mv "$base.partial" "$base"
    else
        as_root tar --extract --directory "$root" --numeric-owner --preserve-permissions <"$base"
    fi
}

make_base() {
    local archive
    archive=$(archive_address "$SUITE")
    [ -n "$archive" ] || archive=$(archive_address trixie)
    [ -n "$archive" ] || die "apt's sources name no archive of Debian: it takes one to make a test host"
    if ! have debootstrap; then
        say "installing debootstrap"
        apt_install debootstrap
    fi
    say "making a root file system of Debian 12 (debootstrap; this takes minutes, once)"
    quietly as_root debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$root" "$archive" \
        || die "debootstrap failed; see above"
}

add_what_boots() {
    as_root install -m 0755 "$here/test-host-init" "$root/usr/local/sbin/test-host-init"
    # Each machine gets one of its own when it boots first.
    as_root truncate --size 0 "$root/etc/machine-id"
    as_root rm -f "$root/var/lib/dbus/machine-id"
    # The journal of the boot before is kept.
    as_root mkdir -p "$root/var/log/journal"
    # They have no network, and would only make noise.
    quietly in_root systemctl mask apt-daily.timer apt-daily-upgrade.timer
    forget_packages
}

# From the machine's own packages, in the way that hosts get them.
add_docker() {
    say "installing Docker Engine and Docker Compose into it"
    with_packages bash /deploy/ensure-engine.sh packages || die "could not install Docker; see above"
    quietly in_root systemctl enable docker.service
}

add_cloud_init() {
    say "installing cloud-init into it"
    with_packages bash -c '. /deploy/debian.sh; apt_install cloud-init' \
        || die "could not install cloud-init; see above"
    # It looks for user-data on this machine alone: there is no cloud.
    echo 'datasource_list: [NoCloud]' | as_root tee "$root/etc/cloud/cloud.cfg.d/99-here.cfg" >/dev/null
}

# Runs something in it that installs packages.
with_packages() {
    local status=0
    as_root mkdir "$root/deploy"
    as_root cp -- "$here/debian.sh" "$here/ensure-engine.sh" "$root/deploy"
    as_root cp --dereference /etc/resolv.conf "$root/etc/resolv.conf"
    # Nothing is to be started: that is for a machine that boots.
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$root/usr/sbin/policy-rc.d" >/dev/null
    as_root chmod 0755 "$root/usr/sbin/policy-rc.d"
    quietly in_root "$@" || status=$?
    as_root rm -r "$root/deploy" "$root/etc/resolv.conf" "$root/usr/sbin/policy-rc.d"
    forget_packages
    return "$status"
}

forget_packages() {
    as_root find "$root/var/cache/apt/archives" "$root/var/lib/apt/lists" -type f -delete
}

# What is mounted and started for it ends with it, also when this is killed.
in_root() {
    as_root unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" \
        chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

import_as() {
    say "making the image $IMAGE:$1"
    as_root tar --create --directory "$root" --numeric-owner . | docker import \
        --change "LABEL $LABEL=$2" --change 'ENV container=docker' \
        --change 'CMD ["/usr/local/sbin/test-host-init"]' - "$IMAGE:$1" >/dev/null
}

main "$@"
