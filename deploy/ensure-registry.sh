#!/usr/bin/env bash
# Makes sure that docker-registry and htpasswd are there, for tests that log in to a registry; installs
# Debian's where one is missing, which needs root or sudo.
set -euo pipefail

# shellcheck source=deploy/debian.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/debian.sh"

missing=()
have docker-registry || missing+=(docker-registry)
have htpasswd || missing+=(apache2-utils)
[ "${#missing[@]}" -gt 0 ] || exit 0
have apt-get || die "missing: ${missing[*]}; install docker-registry and htpasswd"
say "installing ${missing[*]}"
apt_install "${missing[@]}"
