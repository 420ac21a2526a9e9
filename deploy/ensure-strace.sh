#!/usr/bin/env bash
# Makes sure that strace is there; installs Debian's where it is missing, which needs root or sudo.
set -euo pipefail

# shellcheck source=deploy/debian.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/debian.sh"

have strace && exit
have apt-get || die "strace is missing: install it"
say "installing strace"
apt_install strace
