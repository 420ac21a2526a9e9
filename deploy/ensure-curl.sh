#!/usr/bin/env bash
# Makes sure that curl is there; installs Debian's where it is missing, which needs root or sudo.
set -euo pipefail

# shellcheck source=deploy/debian.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/debian.sh"

have curl && exit
have apt-get || die "curl is missing: install it"
say "installing curl"
apt_install curl
