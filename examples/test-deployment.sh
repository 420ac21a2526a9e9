#!/usr/bin/env bash
# Drives a whole deployment through a running agent's HTTP debug transport, with curl: is the agent
# well, deploy, does the site answer, status, stop. `test-deployment.sh stop` does the last alone.
#
# The agent runs with AGENT_TRANSPORT=http. This script needs its token in AGENT_SECRET_TOKEN or
# AGENT_SECRET_TOKEN_FILE, and takes, all optional:
#   AGENT_URL     where the agent listens   (http://127.0.0.1:8090)
#   PROJECT       the project's name        (instadeploy-demo)
#   COMPOSE_FILE  what to deploy            (docker-compose.yml beside this script)
#   SITE_URL      what must then answer     (the first port published on 127.0.0.1 in that file)
#   KEEP=1        do not stop the project at the end
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly agent_url=${AGENT_URL:-http://127.0.0.1:8090}
readonly project=${PROJECT:-instadeploy-demo}
readonly compose_file=${COMPOSE_FILE:-$here/docker-compose.yml}
readonly site_patience_s=30
must_stop=

main() {
    check_tools
    read_token
    trap stop_what_is_left EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    if [ "${1:-}" = stop ]; then
        command_agent STOP_COMPOSE "$(project_payload)"
        return
    fi
    command_agent HEALTH_CHECK '{}'
    [ "${KEEP:-}" = 1 ] || must_stop=1
    command_agent DEPLOY_COMPOSE "$(deploy_payload)"
    show_site
    command_agent STATUS "$(project_payload)"
    [ "${KEEP:-}" = 1 ] || { must_stop='' && command_agent STOP_COMPOSE "$(project_payload)"; }
}

check_tools() {
    local tool
    for tool in curl python3; do
        command -v "$tool" >/dev/null || die "$tool is missing: install it (apt-get install $tool)"
    done
}

read_token() {
    local file=${AGENT_SECRET_TOKEN_FILE:-}
    [ -n "${AGENT_SECRET_TOKEN:-}" ] || [ -n "$file" ] \
        || die "set AGENT_SECRET_TOKEN or AGENT_SECRET_TOKEN_FILE to the agent's token"
    token=${AGENT_SECRET_TOKEN:-$(<"$file")}
    # From here on no program that is started needs it in its environment.
    export -n AGENT_SECRET_TOKEN
}

# command_agent TYPE PAYLOAD: fails unless the command ends with COMPLETED.
command_agent() {
    printf '\n== %s\n' "$1"
    printf '{"id": "%s-%s-%s", "type": "%s", "payload": %s}' "$1" "$$" "$RANDOM" "$1" "$2" \
        | ask /commands --header 'Content-Type: application/json' --data-binary @- \
        | show_responses
}

# The token goes to curl through a pipe: whoever lists processes sees arguments.
ask() {
    local path=$1
    shift
    curl --silent --show-error --no-buffer --noproxy '*' --connect-timeout 5 \
        --header @<(printf 'Authorization: Bearer %s\n' "$token") "$@" "$agent_url$path"
}

# One JSON object a line; succeeds when the last one says COMPLETED.
show_responses() {
    python3 -I -c '
import json, sys
status = None
for line in sys.stdin:
    response = json.loads(line)
    status = response.get("status")
    print(f"{status or 0}: " + (response.get("logs") or ""), flush=True)
    if "error" in response:
        print(response["error"], file=sys.stderr, flush=True)
sys.exit(status != "COMPLETED")'
}

project_payload() {
    printf '{"project_name": "%s"}' "$project"
}

deploy_payload() {
    printf '{"project_name": "%s", "compose_file_base64": "%s"}' \
        "$project" "$(base64 --wrap=0 -- "$compose_file")"
}

# A container that has been started may need a moment before it serves.
show_site() {
    local url=${SITE_URL:-$(site_in_compose_file)} page
    local deadline=$((SECONDS + site_patience_s))
    [ -n "$url" ] || die "$compose_file publishes no port on 127.0.0.1: set SITE_URL"
    printf '\n== GET %s\n' "$url"
    until page=$(curl --silent --show-error --fail --noproxy '*' --max-time 5 -- "$url" 2>&1); do
        [ "$SECONDS" -lt "$deadline" ] || die "the site does not answer: $page"
        sleep 0.2
    done
    printf '%s\n' "$page"
}

site_in_compose_file() {
    sed -nE 's,^ *- "?127\.0\.0\.1:([0-9]+):.*,http://127.0.0.1:\1/,p' "$compose_file" | head -n 1
}

stop_what_is_left() {
    local status=$?
    trap '' INT TERM HUP
    if [ -n "$must_stop" ]; then
        command_agent STOP_COMPOSE "$(project_payload)" >/dev/null 2>&1 || true
    fi
    exit "$status"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

main "$@"
