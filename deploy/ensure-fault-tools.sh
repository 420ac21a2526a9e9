#!/usr/bin/env bash
# Makes sure that the fault tests have what they make faults with; installs Debian's packages where they
# are missing, which needs root or sudo. With `all`, also what only `make test-faults` uses.
set -euo pipefail

# shellcheck source=deploy/debian.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/debian.sh"

missing=()
have ip || missing+=(iproute2)
have iptables || missing+=(iptables)
if [ "${1:-}" = all ]; then
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || missing+=(libfaketime)
fi
[ ${#missing[@]} -gt 0 ] || exit 0
have apt-get || die "missing: install ${missing[*]}"
say "installing ${missing[*]}"
apt_install "${missing[@]}"
