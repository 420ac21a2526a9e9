#!/usr/bin/env bash
# Makes sure that the virtual environment $1 exists, holds what the lock file $2 says, and the
# project itself in place.
#
# PYTHON names the interpreter to make it with; unset, it is the first of python3, python3.13,
# python3.12, python3.11 that is new enough. Where Debian keeps `venv` in a package of its own and
# that is missing, it is installed, which needs root or sudo.
set -euo pipefail

# shellcheck source=deploy/debian.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/debian.sh"

readonly venv=$1 lock=$2

main() {
    if ! is_usable "$venv/bin/python" || ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
        find_python
        say "making $venv with $python"
        ensure_venv_module
        "$python" -m venv --clear "$venv"
    fi
    say "installing $lock into $venv"
    local pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet)
    "${pip[@]}" install --require-hashes --requirement "$lock"
    "${pip[@]}" install --no-deps --no-build-isolation --editable .
}

# Sets python.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if is_usable "$candidate"; then
            python=$candidate
            return
        fi
    done
    die "Python 3.11 or newer is needed, and ${PYTHON:-python3} is not: set PYTHON to one that is"
}

is_usable() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

ensure_venv_module() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null && return
    local package
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    have apt-get || die "$python lacks the modules venv and ensurepip: install them"
    say "installing $package"
    apt_install "$package"
}

main
