#!/usr/bin/env bash
# Makes sure that shellcheck is there; installs Debian's where it is missing, which needs root or sudo.
set -euo pipefail

# shellcheck source=deploy/debian.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/debian.sh"

have shellcheck && exit
have apt-get || die "shellcheck is missing: install it"
say "installing shellcheck"
apt_install shellcheck
