#!/usr/bin/env bash
# Makes sure that tmux is there; installs Debian's where it is missing, which needs root or sudo.
set -euo pipefail

# shellcheck source=deploy/debian.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/debian.sh"

have tmux && exit
have apt-get || die "tmux is missing: install it"
say "installing tmux"
apt_install tmux
