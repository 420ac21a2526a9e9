# Sourced by the scripts beside it: how they speak, become root, and install Debian's packages.
# shellcheck shell=bash

# A user's PATH on Debian lacks the directories that hold dockerd and iptables.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
    say "$@"
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo -- "$@"
    else
        die "this needs root, and there is no sudo: run it as root"
    fi
}

# What a command prints matters only when it fails.
quietly() {
    local output status=0
    output=$("$@" 2>&1 </dev/null) || status=$?
    [ "$status" -eq 0 ] || printf '%s\n' "$output" >&2
    return "$status"
}

# A machine that has just booted may be upgrading itself: wait for its lock.
apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

# Whether apt could install each: names of packages, or paths of package files.
is_known() {
    local package
    for package; do
        case $package in
            /*) [ -r "$package" ] || return 1 ;;
            *) LC_ALL=C apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [^(]' || return 1 ;;
        esac
    done
}

# Lists may be missing, or so old that what they name is gone.
apt_install() {
    if is_known "$@" && quietly apt_get install --no-install-recommends "$@"; then
        return
    fi
    say "refreshing the package lists"
    quietly apt_get update || die "apt-get update failed; see above"
    quietly apt_get install --no-install-recommends "$@" || die "could not install $*; see above"
}

# Where this machine gets a release of Debian from, by its code name: a mirror may be all it can reach.
archive_address() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' "Codename: $1" 'Component: main' | head -n 1
}
