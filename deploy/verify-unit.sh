#!/usr/bin/env bash
# Lets systemd judge the unit files. It exits with 0 whatever it finds, so whatever it says counts.
#
# Where there is no systemd, says so; tests/unit/test_unit_file.py holds the content in any case.
set -euo pipefail

readonly units=(instadeploy-agent.service instadeploy-agent-simple.service instadeploy-control-plane.service)
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

if ! command -v systemd-analyze >/dev/null; then
    echo "${0##*/}: systemd is not installed here, so it cannot judge ${units[*]}" >&2
    exit
fi
work=$(mktemp --directory)
trap 'rm -rf -- "$work"' EXIT
for unit in "${units[@]}"; do
    # The program it would start is not installed where the tests run; any other will do.
    sed 's,^ExecStart=/[^ ]*,ExecStart=/bin/true,' "$here/$unit" >"$work/$unit"
    said=$(SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$work/$unit" 2>&1) || true
    if [ -n "$said" ]; then
        printf '%s\n' "$said" >&2
        exit 1
    fi
done
# How exposed a service is, in tenths, as systemd counts it: little, so that a change has to be thought about.
for unit in instadeploy-agent.service instadeploy-control-plane.service; do
    if ! said=$(systemd-analyze security --offline=true --threshold=30 --no-pager "$here/$unit" 2>&1); then
        printf '%s\n' "$said" >&2
        exit 1
    fi
done
