#!/usr/bin/env bash
# The demo: an agent of its own, a site deployed through it, everything taken away again.
#
#   demo.sh run PYTHON   PYTHON belongs to the environment that the agent is installed in
#   demo.sh stop         ends what `KEEP=1 demo.sh run` left running
#
# Takes, all optional: KEEP=1; AGENT_HTTP_PORT, the agent's port (8090); SITE_PORT, the site's port
# (what docker-compose.yml says); AGENT_DOCKER_HOST.
set -euo pipefail
umask 077

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly home=${here%/*}/.cache/demo
readonly agent_port=${AGENT_HTTP_PORT:-8090}
readonly agent_patience_s=30
export PROJECT=instadeploy-demo
export AGENT_URL=http://127.0.0.1:$agent_port
export AGENT_SECRET_TOKEN_FILE=$home/token
export COMPOSE_FILE=$home/docker-compose.yml
unset AGENT_SECRET_TOKEN SITE_URL
keep=

main() {
    case ${1:-} in
        run) run "$2" ;;
        stop) stop ;;
        *) die "say 'run PYTHON' or 'stop'" ;;
    esac
}

run() {
    command -v curl >/dev/null || die "curl is missing: install it (apt-get install curl)"
    if agent_runs; then
        die "a demo is running already; end it with: make demo-stop"
    fi
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    prepare_home
    check_port_is_free "$agent_port" "make demo AGENT_HTTP_PORT=..."
    check_port_is_free "$(site_port)" "make demo SITE_PORT=..."
    start_agent "$1"
    "$here/test-deployment.sh"
    if [ "${KEEP:-}" = 1 ]; then
        keep=1
        printf '\n%s\n' "The site stays at http://127.0.0.1:$(site_port)/ and the agent at $AGENT_URL" \
            "Its log and token are in $home" "End both with: make demo-stop"
    else
        say "done; cleaning up"
    fi
}

stop() {
    [ -d "$home" ] || die "no demo is running"
    if agent_runs; then
        AGENT_URL=$(<"$home/address") "$here/test-deployment.sh" stop || true
    fi
    clean_up
}

prepare_home() {
    rm -rf -- "$home"
    mkdir -p -- "$home"
    cp -- "$here/docker-compose.yml" "$COMPOSE_FILE"
    if [ -n "${SITE_PORT:-}" ]; then
        sed -i -E "s,127\.0\.0\.1:[0-9]+:,127.0.0.1:$SITE_PORT:," "$COMPOSE_FILE"
    fi
    head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$AGENT_SECRET_TOKEN_FILE"
    printf '%s\n' "$AGENT_URL" >"$home/address"
}

site_port() {
    sed -nE 's,.*127\.0\.0\.1:([0-9]+):.*,\1,p' "$COMPOSE_FILE" | head -n 1
}

check_port_is_free() {
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
        die "port $1 of 127.0.0.1 is taken by another program; choose another port: $2"
    fi
}

# In a session of its own: Ctrl-C is for this script, which still needs the agent to clean up.
start_agent() {
    say "starting the agent at $AGENT_URL; its log is $home/agent.log"
    (
        # Not where this checkout's .env or packages would be found.
        cd -- "$home"
        exec env -i PATH="$PATH" HOME="$HOME" AGENT_TRANSPORT=http AGENT_HTTP_PORT="$agent_port" \
            AGENT_SECRET_TOKEN_FILE="$AGENT_SECRET_TOKEN_FILE" \
            AGENT_PROJECTS_DIR="$home/projects" AGENT_STATE_DIR="$home/state" \
            ${AGENT_DOCKER_HOST:+AGENT_DOCKER_HOST="$AGENT_DOCKER_HOST"} \
            setsid "$1" -I -m entrypoints.agent >"$home/agent.log" 2>&1 </dev/null
    ) &
    printf '%s\n' "$!" >"$home/pid"
    local deadline=$((SECONDS + agent_patience_s))
    until agent_answers; do
        agent_runs || die_with_log "the agent ended"
        [ "$SECONDS" -lt "$deadline" ] || die_with_log "the agent does not answer"
        sleep 0.1
    done
}

agent_answers() {
    curl --silent --fail --noproxy '*' --max-time 5 --output /dev/null \
        --header @<(printf 'Authorization: Bearer %s\n' "$(<"$AGENT_SECRET_TOKEN_FILE")") \
        "$AGENT_URL/healthz"
}

# A process id may have passed on to another program; one that works in our directory is ours.
agent_runs() {
    [ -r "$home/pid" ] && kill -0 "$(<"$home/pid")" 2>/dev/null \
        && [ "$(readlink "/proc/$(<"$home/pid")/cwd")" = "$home" ]
}

clean_up() {
    local status=$?
    trap '' INT TERM HUP
    [ -z "$keep" ] || exit "$status"
    if agent_runs; then
        kill -TERM "$(<"$home/pid")"
        while agent_runs; do sleep 0.1; done
    fi
    if [ -n "$(project_containers)" ]; then
        docker compose -p "$PROJECT" down >/dev/null 2>&1 || say "could not take $PROJECT down"
    fi
    rm -rf -- "$home"
    exit "$status"
}

project_containers() {
    docker ps --all --quiet --filter "label=com.docker.compose.project=$PROJECT"
}

die_with_log() {
    tail -n 20 "$home/agent.log" >&2
    die "$@"
}

die() {
    say "$@"
    exit 1
}

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

main "$@"
