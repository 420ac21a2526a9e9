#!/usr/bin/env bash
# Makes sure that Docker Engine answers and that Docker Compose v2 is there.
#
# Installs what is missing from the distribution's own packages (Debian, Ubuntu) and starts the
# engine if nothing has. Harmless and quick when all is there. Needs root or sudo only where
# something has to be done. With `packages`, only installs, for a system that is not running.
set -euo pipefail

# shellcheck source=deploy/debian.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/debian.sh"

readonly OLDEST_COMPOSE=2.20
readonly DEFAULT_ENGINE=unix:///var/run/docker.sock
readonly ENGINE_LOG=/var/log/dockerd.log
readonly START_S=60
readonly ANSWER_S=10

# The engine that the agent would use, whatever the user's own docker command is set to.
export DOCKER_HOST=${AGENT_DOCKER_HOST:-$DEFAULT_ENGINE}
unset DOCKER_CONTEXT

main() {
    if [ "${1:-}" = packages ]; then
        find_distribution
        have dockerd || install_docker "Docker Engine"
        compose_is_there || install_compose
        return
    fi
    if compose_is_there && engine_answers; then
        return
    fi
    check_may_be_helped
    find_distribution
    have docker || install_docker "Docker Engine"
    compose_is_there || install_compose
    if engine_answers; then
        return
    fi
    check_may_be_helped
    have dockerd || install_docker "Docker Engine"
    engine_answers || start_engine
    say "Docker Engine $engine_version answers; Docker Compose is $(compose_version)"
}

# Sets engine_version, or engine_error.
engine_answers() {
    local said
    have docker || return 1
    if said=$(timeout "$ANSWER_S" docker version --format '{{.Server.Version}}' 2>&1); then
        engine_version=$said
    else
        engine_error=${said:-it did not answer within $ANSWER_S s}
        return 1
    fi
}

compose_version() {
    docker compose version --short 2>/dev/null
}

compose_is_there() {
    local version
    have docker && version=$(compose_version) || return 1
    version=${version#v}
    [ "$(printf '%s\n' "$OLDEST_COMPOSE" "$version" | sort --version-sort | head -n 1)" \
        = "$OLDEST_COMPOSE" ]
}

# Some reasons for silence are not cured by installing or starting anything.
check_may_be_helped() {
    have docker && ! engine_answers || return 0
    case $engine_error in
        *"permission denied"*)
            die "this user may not talk to Docker Engine: run it with sudo, or as a member of the" \
                "group docker (sudo usermod --append --groups docker $(id -un), then log in again)" ;;
    esac
    [ "$DOCKER_HOST" = "$DEFAULT_ENGINE" ] \
        || die "AGENT_DOCKER_HOST names $DOCKER_HOST, and there: $engine_error"
}

# Sets distribution (debian, ubuntu) and release (12, 24.04; none for Debian's testing).
find_distribution() {
    distribution=$(value_in_os_release ID)
    release=$(value_in_os_release VERSION_ID)
    case $distribution in
        debian)
            [ -z "$release" ] || [ "$release" -ge 12 ] \
                || die "Debian $release is too old: Debian 12 is needed" ;;
        ubuntu) ;;
        *)
            die "on this system (${distribution:-unknown}) install Docker Engine and Docker Compose" \
                "$OLDEST_COMPOSE or newer (the docker command's plugin), start the engine, try again" ;;
    esac
}

value_in_os_release() (
    # shellcheck disable=SC1091
    [ ! -r /etc/os-release ] || . /etc/os-release
    printf '%s' "${!1:-}"
)

install_docker() {
    local packages=(docker.io iptables)
    # Debian 13 made the docker command a package of its own.
    [ "$distribution" != debian ] || [ "$release" = 12 ] || packages+=(docker-cli)
    say "installing $1 (${packages[*]})"
    apt_install "${packages[@]}"
    hash -r
}

install_compose() {
    if is_known docker-compose-plugin; then
        # Docker's own packages: those are not to be mixed with the distribution's.
        say "installing Docker Compose (docker-compose-plugin)"
        apt_install docker-compose-plugin
    elif [ "$distribution" = ubuntu ]; then
        say "installing Docker Compose (docker-compose-v2)"
        apt_install docker-compose-v2
    elif [ "$release" = 12 ]; then
        say "installing Docker Compose (docker-compose of Debian 13; Debian 12 has version 1)"
        install_compose_of_debian_13
    else
        say "installing Docker Compose (docker-compose)"
        apt_install docker-compose
    fi
    compose_is_there || die "Docker Compose is still not there, or older than $OLDEST_COMPOSE"
}

# One package of the next release, and nothing else: apt reads that release through sources and lists
# in a directory of their own, so its configuration never names it, not even when this is killed;
# what the package depends on comes from this release.
install_compose_of_debian_13() {
    local archive work
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    archive=$(archive_address bookworm)
    [ -n "$archive" ] || die "apt's sources name no archive of Debian 12"
    work=$(mktemp --directory)
    # shellcheck disable=SC2064
    trap "as_root rm -rf -- '$work'" EXIT
    # apt gives up its privileges to download.
    chmod 0755 "$work"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    [ -r "$keyring" ] && keyring="[signed-by=$keyring] " || keyring=
    printf 'deb %s%s trixie main\n' "$keyring" "$archive" >"$work/sources.list"
    # Into the working directory.
    cd "$work"
    if ! quietly apt_get_there update || ! quietly apt_get_there download docker-compose/trixie; then
        die "could not get docker-compose of Debian 13 from $archive; see above"
    fi
    apt_install "$work"/docker-compose_*.deb
    cd /
}

apt_get_there() {
    apt_get -o "Dir::Etc::SourceList=$PWD/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o "Dir::State::Lists=$PWD/lists" -o "Dir::Cache=$PWD/cache" -o Acquire::Languages=none "$@"
}

start_engine() {
    local deadline=$((SECONDS + START_S))
    if [ -d /run/systemd/system ]; then
        say "starting Docker Engine (systemctl start docker)"
        quietly as_root systemctl start docker || die "Docker Engine does not start: journalctl -u docker"
    else
        say "starting Docker Engine in the background (dockerd; its log is $ENGINE_LOG)"
        # In a session of its own, so that it outlives this terminal and hears no Ctrl-C.
        # shellcheck disable=SC2016
        as_root sh -c 'exec setsid --fork dockerd >>"$1" 2>&1 </dev/null' sh "$ENGINE_LOG"
    fi
    until engine_answers; do
        check_may_be_helped
        [ "$SECONDS" -lt "$deadline" ] || give_up_on_engine
        sleep 0.2
    done
}

give_up_on_engine() {
    [ -d /run/systemd/system ] || as_root tail -n 20 "$ENGINE_LOG" >&2 || true
    die "Docker Engine does not answer within $START_S s: $engine_error"
}

main "$@"
