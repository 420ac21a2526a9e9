#!/usr/bin/env bash
# Makes sure that a PostgreSQL of our own answers, for tests: a private cluster on a socket that only its
# user and root can reach. Installs Debian's where it is missing, which needs root or sudo. Harmless and
# quick where all is there. With `stop`, ends it and removes all that it holds.
set -euo pipefail

# shellcheck source=deploy/debian.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/debian.sh"

# Short, as the path of a socket has to be, and where postgres, who is not root, may go.
DIRECTORY=/tmp/instadeploy-postgres-$(id -u)
readonly DIRECTORY
readonly DATA=$DIRECTORY/data
readonly LOG=$DIRECTORY/log
readonly START_S=60

main() {
    cd /
    if [ "${1:-}" = stop ]; then
        stop
        return
    fi
    find_binaries || install
    make_directory
    # Two test runs may come at once.
    exec 9<"$DIRECTORY"
    flock 9
    answers || start
}

find_binaries() {
    local found
    found=$(compgen -G '/usr/lib/postgresql/*/bin/postgres' | sort --version-sort | tail -n 1) || return 1
    binaries=${found%/postgres}
}

install() {
    have apt-get || die "PostgreSQL is missing: install its server"
    say "installing postgresql"
    apt_install postgresql
    find_binaries || die "the package postgresql brings no server; see /usr/lib/postgresql"
}

# PostgreSQL refuses to run as root: Debian's package brings a user for it.
as_its_user() {
    if [ "$(id -u)" -eq 0 ]; then
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

its_user() {
    if [ "$(id -u)" -eq 0 ]; then
        echo postgres
    else
        id -un
    fi
}

make_directory() {
    if mkdir -m 0700 "$DIRECTORY" 2>/dev/null; then
        [ "$(id -u)" -ne 0 ] || chown postgres: "$DIRECTORY"
    fi
    [ "$(stat -c %U "$DIRECTORY")" = "$(its_user)" ] || die "$DIRECTORY is somebody else's: remove it"
}

answers() {
    "$binaries/pg_isready" --quiet --host="$DIRECTORY"
}

start() {
    local options="-c unix_socket_directories=$DIRECTORY -c listen_addresses= -c max_connections=200"
    [ -e "$DATA/PG_VERSION" ] || make_cluster
    quietly as_its_user "$binaries/pg_ctl" --pgdata="$DATA" --log="$LOG" --timeout="$START_S" \
        --options="$options" --wait start 9>&- || die "PostgreSQL does not start; see $LOG"
    say "PostgreSQL answers at $DIRECTORY"
}

# Nobody else gets as far as the socket, so whoever does is trusted. fsync is on, as it is by default.
make_cluster() {
    as_its_user rm -rf "$DATA"
    quietly as_its_user "$binaries/initdb" --pgdata="$DATA" --username=postgres --auth=trust \
        --encoding=UTF8 --locale=C.UTF-8 || die "no PostgreSQL cluster could be made in $DATA"
}

stop() {
    [ -d "$DIRECTORY" ] || return 0
    find_binaries || die "PostgreSQL is missing"
    as_its_user "$binaries/pg_ctl" --pgdata="$DATA" --mode=immediate --wait stop >/dev/null 2>&1 || true
    rm -rf "$DIRECTORY"
}

main "$@"
