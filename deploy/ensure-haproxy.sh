#!/usr/bin/env bash
# Makes sure that haproxy is there, as what does TLS before a control plane in benchmarks; installs
# Debian's where it is missing, which needs root or sudo. Nothing is left running.
set -euo pipefail

# shellcheck source=deploy/debian.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/debian.sh"

have haproxy && exit 0
have apt-get || die "missing: haproxy; install it"
say "installing haproxy"
apt_install haproxy
# The package starts a service, which has nothing to do.
if [ -d /run/systemd/system ]; then
    as_root systemctl --quiet disable --now haproxy.service
fi
