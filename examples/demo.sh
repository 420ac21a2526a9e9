#!/usr/bin/env bash
# The demo: a control plane, a host that is enrolled, a site deployed to it, a broken version that rolls
# back by itself; then everything is taken away again.
#
#   demo.sh run BIN   BIN is where instadeploy, instadeploy-agent and instadeploy-control-plane are
#   demo.sh stop      ends what `KEEP=1 demo.sh run` left running
#
#   demo.sh check     fails where `run` would at once: a demo runs already, or a port is taken
#
# Takes, all optional: KEEP=1; DEMO_PORT, the control plane's port (18090); SITE_PORT, the site's (18080);
# AGENT_DOCKER_HOST; DEMO_HOME, where all of it lies meanwhile (.cache/demo).
set -euo pipefail
umask 077

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly home=${DEMO_HOME:-${here%/*}/.cache/demo}
readonly port=${DEMO_PORT:-18090} site_port=${SITE_PORT:-18080}
readonly url=http://127.0.0.1:$port site=http://127.0.0.1:$site_port
readonly project=${DEMO_PROJECT:-instadeploy-hello} host=demo-host
readonly patience_s=30
keep=

main() {
    case ${1:-} in
        run) run "$2" ;;
        check) check ;;
        stop) stop ;;
        *) die "say 'run BIN', 'check' or 'stop'" ;;
    esac
}

check() {
    ! runs agent && ! runs control-plane || die "a demo is running already; end it: make demo-stop"
    check_port_is_free "$port" "make demo DEMO_PORT=..."
    check_port_is_free "$site_port" "make demo SITE_PORT=..."
}

run() {
    bin=$1
    command -v curl >/dev/null || die "curl is missing: install it (apt-get install curl)"
    check
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    prepare_home
    tell_the_story
    if [ "${KEEP:-}" = 1 ]; then
        keep=1
        # The folder still has the broken health check, with which every change would fail.
        cp -p -- "$here/hello/docker-compose.yml" "$home/hello/docker-compose.yml"
        how_to_go_on
    else
        say "that was it; taking everything away"
    fi
}

tell_the_story() {
    chapter "A control plane, which nobody has set up yet"
    start_control_plane
    chapter "The first user, by the code that it has printed"
    show setup "$url" --user ann
    printf '%s\n' "$(code)" "$(<"$home/password")" | instadeploy setup "$url" --user ann
    chapter "A host: its agent dials out, and proves itself by a key of its own"
    enroll
    chapter "A project's folder, deployed to it"
    (cd -- "$home/hello" && find . -type f | sort | sed 's,^\./,    ,')
    cli deploy "$host" "$project" -C "$home/hello"
    ask_site
    cli status "$host" "$project"
    chapter "A new version, which is broken: its health check asks at a wrong port"
    sed -i 's/version 1/version 2/' "$home/hello/www/index.html"
    sed -i 's,http://127.0.0.1:8080/,http://127.0.0.1:9/,' "$home/hello/docker-compose.yml"
    cli plan "$host" "$project" -C "$home/hello"
    if cli deploy "$host" "$project" -C "$home/hello"; then
        die "it came up, and should not have"
    fi
    chapter "The version before it runs again"
    ask_site
    cli history "$host" "$project"
    chapter "Who did what"
    cli audit list
    cli audit verify
}

prepare_home() {
    rm -rf -- "$home"
    mkdir -p -- "$home"
    cp -Rp -- "$here/hello" "$home/hello"
    printf 'PORT=%s\n' "$site_port" >"$home/hello/.env"
    head -c 18 /dev/urandom | base64 >"$home/password"
    cat >"$home/env" <<END
export INSTADEPLOY_CONFIG=$home/cli/config.json INSTADEPLOY_TOKEN_STORE=file
export PATH=$bin:\$PATH
END
}

start_control_plane() {
    show_program instadeploy-control-plane
    start control-plane env -i PATH="$PATH" HOME="$HOME" CONTROL_PLANE_LISTEN="127.0.0.1:$port" \
        CONTROL_PLANE_STATE_DIR="$home/control-plane" "$bin/instadeploy-control-plane"
    wait_for control-plane "the control plane does not answer" control_plane_answers
    sed 's/ids_.*/ids_.../' "$home/control-plane.out"
}

control_plane_answers() {
    curl --silent --fail --noproxy '*' --max-time 5 --output /dev/null "$url/readyz"
}

code() {
    grep -o 'ids_[A-Za-z0-9_-]*' "$home/control-plane.out"
}

# The command line that is printed for the machine is what is run here, as the agent of this machine.
enroll() {
    show hosts enroll "$host" -l env=demo
    instadeploy hosts enroll "$host" -l env=demo 2>/dev/null >"$home/enrolment"
    sed -E 's/(ide_)[^ ]*/\1.../' "$home/enrolment"
    start agent env -i PATH="$bin:$PATH" HOME="$HOME" AGENT_STATE_DIR="$home/agent" \
        AGENT_PROJECTS_DIR="$home/projects" \
        ${AGENT_DOCKER_HOST:+AGENT_DOCKER_HOST="$AGENT_DOCKER_HOST"} \
        bash -c "exec env $(<"$home/enrolment")"
    rm -- "$home/enrolment"
    wait_for agent "the host does not come" host_is_online
    cli hosts list
}

host_is_online() {
    instadeploy hosts show "$host" -o json 2>/dev/null | grep -q '"online": true'
}

ask_site() {
    printf '\n$ curl %s/\n' "$site"
    curl --silent --show-error --fail --noproxy '*' --max-time 10 "$site/" | grep '<p>'
}

how_to_go_on() {
    cat <<END

Everything stays, and the folder has the right health check again. To go on by hand:

    . $home/env
    instadeploy status $host $project
    instadeploy deploy $host $project -C $home/hello   # version 2, and each change in that folder
    instadeploy --help

The site is at $site/, the API at $url/api/v1; ann's password is in $home/password.
End all of it with: make demo-stop
END
}

stop() {
    [ -d "$home" ] || die "no demo is running"
    clean_up
}

clean_up() {
    local status=$?
    trap '' INT TERM HUP
    [ -z "$keep" ] || exit "$status"
    end agent
    end control-plane
    if [ -n "$(containers)" ]; then
        docker compose -p "$project" down >/dev/null 2>&1 || say "could not take $project down"
    fi
    rm -rf -- "$home"
    exit "$status"
}

containers() {
    docker ps --all --quiet --filter "label=com.docker.compose.project=$project"
}

# cli WORDS...: shows the command line, and what it prints.
cli() {
    show "$@"
    instadeploy "$@"
}

show() {
    show_program instadeploy "${@//$home/.}"
}

show_program() {
    printf '\n$ %s\n' "$*"
}

instadeploy() {
    INSTADEPLOY_CONFIG=$home/cli/config.json INSTADEPLOY_TOKEN_STORE=file "$bin/instadeploy" "$@"
}

# start NAME COMMAND...: in a session of its own, as Ctrl-C is for this script; and in our directory,
# where no .env of a checkout is found.
start() {
    local name=$1
    shift
    (cd -- "$home" && exec setsid "$@" >"$home/$name.out" 2>"$home/$name.log" </dev/null) &
    printf '%s\n' "$!" >"$home/$name.pid"
}

# A process id may have passed on to another program; one that works in our directory is ours.
runs() {
    [ -r "$home/$1.pid" ] && kill -0 "$(<"$home/$1.pid")" 2>/dev/null \
        && [ "$(readlink "/proc/$(<"$home/$1.pid")/cwd")" = "$home" ]
}

end() {
    if runs "$1"; then
        kill -TERM "$(<"$home/$1.pid")"
        while runs "$1"; do sleep 0.1; done
    fi
}

wait_for() {
    local name=$1 otherwise=$2 deadline=$((SECONDS + patience_s))
    until "$3"; do
        if ! runs "$name" || [ "$SECONDS" -ge "$deadline" ]; then
            tail -n 20 "$home/$name.log" >&2
            die "$otherwise"
        fi
        sleep 0.1
    done
}

check_port_is_free() {
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
        die "port $1 of 127.0.0.1 is taken by another program; choose another port: $2"
    fi
}

chapter() {
    printf '\n\n== %s\n' "$*"
}

die() {
    say "$@"
    exit 1
}

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

main "$@"
