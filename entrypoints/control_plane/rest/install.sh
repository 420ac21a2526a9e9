#!/bin/sh
# Makes this machine a host of an InstaDeploy control plane, which has rendered this script and serves
# it at /install.sh. `sh -s -- --help` behind the pipe says what can be asked of it.
#
# Nothing in it is secret, and nothing runs before its last line: a download that was cut does nothing.

usage() {
    cat <<'END'
usage: curl ... | INSTADEPLOY_ENROLL_TOKEN='ide_...' sh [-s -- OPTION...]

Makes this machine a host of the control plane that this script is from: checks the machine, fetches
the agent and verifies its SHA-256, installs Python and Docker from the distribution's packages where
they are missing, and has the agent install itself. To be run as root; run again, it goes on.

  --no-docker  leave Docker alone: it is there, or comes later
  --dry-run    say what would be done, and change nothing; needs no token
  --help       say this
END
}

# What the control plane has filled in.
configure() {
    server_url=@SERVER_URL@
    agent_url=@AGENT_URL@
    agent_sha256=@AGENT_SHA256@
    agent_size=@AGENT_SIZE@
    control_plane_key=@CONTROL_PLANE_KEY@
    # Certificates that agents are to trust beside the system's; empty without any.
    ca_pem=@CA_PEM@
    # When the control plane has sent this, in seconds since 1970.
    rendered_at=@RENDERED_AT@

    clock_may_differ_s=300
    clock_must_not_differ_s=86400
    needed_kib=307200
    oldest_compose=2.20
    engine_start_s=60
    compose_of_debian_13=''
    work=''
    is_dry='' is_without_docker='' must_install_python='' docker_packages='' must_start_docker=''
}

main() {
    set -eu
    # What is not exported is in no other process's environment; `set -a` may have been on.
    set +a
    # A root that was become by `su` has the PATH of a user, without dockerd's directory.
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
    token=${INSTADEPLOY_ENROLL_TOKEN-}
    unset INSTADEPLOY_ENROLL_TOKEN
    umask 022
    configure
    read_options "$@"
    trap clean_up EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM

    check_machine
    plan
    fetch_agent
    if [ -n "$is_dry" ]; then
        dry_run
        return
    fi
    install_python
    install_docker
    install_agent
}

say() {
    printf 'install.sh: %s\n' "$*" >&2
}

die() {
    say "$@"
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

clean_up() {
    [ -z "$work" ] || rm -rf -- "$work"
}

read_options() {
    while [ "$#" -gt 0 ]; do
        case $1 in
            --no-docker) is_without_docker=yes ;;
            --dry-run) is_dry=yes ;;
            --help | -h)
                usage
                exit 0
                ;;
            *)
                usage >&2
                # It is not repeated: it may be the token.
                say "there is an option that it does not know, see above; nothing was done"
                exit 2
                ;;
        esac
        shift
    done
}

# What cannot be helped is said before anything is fetched.

check_machine() {
    [ -n "$token$is_dry" ] || die "the one-use token is missing: the line has to end in" \
        "| INSTADEPLOY_ENROLL_TOKEN='ide_...' sh, with the token that \`instadeploy hosts enroll NAME\`" \
        "has printed; nothing was done"
    [ "$(id -u)" -eq 0 ] || die "this needs root: become root first (sudo -i), and run the whole line" \
        "there; sudo within the line would show the token to every user; nothing was done"
    [ "$(uname -s)" = Linux ] || die "this is $(uname -s), and agents run on Linux; nothing was done"
    check_architecture
    [ -d /run/systemd/system ] || die "systemd does not run here, and the agent is a service of it;" \
        "without it, run the agent by your own means (README.md, \"Running it\"); nothing was done"
    check_clock
    have sha256sum || die "sha256sum is missing: install coreutils; nothing was done"
    have curl || have wget || die "curl is missing: install it; nothing was done"
    find_place
}

check_architecture() {
    # A 64-bit kernel may carry a 32-bit system.
    if have dpkg; then
        architecture=$(dpkg --print-architecture)
    else
        architecture=$(uname -m)
    fi
    case $architecture in
        amd64 | x86_64 | arm64 | aarch64) ;;
        *) die "this system is $architecture, and the agent is for amd64 and arm64; nothing was done" ;;
    esac
}

# With a clock that is wrong, certificates are not valid yet or no more, and nobody says that it is that.
check_clock() {
    off_s=$(($(date +%s) - rendered_at))
    direction='ahead of'
    [ "$off_s" -ge 0 ] || { off_s=$((-off_s)) direction=behind; }
    [ "$off_s" -lt "$clock_must_not_differ_s" ] || die "the clock here is $((off_s / 3600)) hours" \
        "$direction the control plane's, so that certificates and tokens are out of time: set it" \
        "(timedatectl set-ntp true, or date --set), and run the line again; nothing was done"
    [ "$off_s" -lt "$clock_may_differ_s" ] || say "the clock here is $((off_s / 60)) minutes" \
        "$direction the control plane's: have it set (timedatectl set-ntp true)"
}

# Sets place, where the agent will be and can be started from: /tmp may be mounted noexec.
find_place() {
    place=/opt
    [ -d "$place" ] || place=/
    free_kib=$(df -Pk "$place" | awk 'NR == 2 { print $4 }')
    [ "${free_kib:-0}" -ge "$needed_kib" ] || die "$place has ${free_kib:-0} KiB free, and" \
        "$needed_kib KiB are needed: make room, and run the line again; nothing was done"
}

# Finds what is missing, and says what will be installed; refuses where it cannot be installed here.
plan() {
    find_distribution
    is_python_new_enough || must_install_python=yes
    [ -n "$is_without_docker" ] || plan_docker
    if [ -z "$is_supported" ]; then
        refuse_unknown_system
    fi
    [ -z "$must_install_python" ] || say "python3 will be installed, from the distribution's packages"
    [ -z "$docker_packages" ] || say "Docker will be installed, from the distribution's packages:" \
        "$docker_packages"
    [ -z "$compose_of_debian_13" ] || say "Docker Compose will be installed: the one package" \
        "docker-compose of Debian 13, as Debian 12 has version 1"
    [ -z "$must_start_docker" ] || say "Docker will be started, now and at each boot:" \
        "systemctl enable --now docker"
    [ -z "$is_without_docker" ] || say "Docker is left alone (--no-docker)"
    say "the agent is fetched from $agent_url (SHA-256 $agent_sha256), and installs itself"
}

# Sets distribution (debian, ubuntu), release (12, 24.04; none for Debian's testing), is_supported.
find_distribution() {
    distribution=$(value_in_os_release ID)
    release=$(value_in_os_release VERSION_ID)
    is_supported=''
    have apt-get || return 0
    case $distribution in
        debian) [ "${release:-99}" -lt 12 ] 2>/dev/null || is_supported=yes ;;
        ubuntu) is_at_least 24.04 "${release:-0}" && is_supported=yes ;;
    esac
    return 0
}

value_in_os_release() (
    unset ID VERSION_ID
    # shellcheck disable=SC1091
    [ ! -r /etc/os-release ] || . /etc/os-release
    case $1 in
        ID) printf '%s' "${ID-}" ;;
        *) printf '%s' "${VERSION_ID-}" ;;
    esac
)

# Whether the version $2 is $1 or newer.
is_at_least() {
    [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

is_python_new_enough() {
    have python3 && python3 -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

refuse_unknown_system() {
    [ -n "$must_install_python$docker_packages$compose_of_debian_13" ] || return 0
    missing=''
    [ -z "$must_install_python" ] || missing='Python 3.11 or newer (python3)'
    [ -z "$docker_packages$compose_of_debian_13" ] \
        || missing="${missing:+$missing, and }Docker Engine with Compose $oldest_compose or newer"
    die "this system (${distribution:-unknown} $release) is neither Debian 12 or newer nor Ubuntu" \
        "24.04 or newer, so nothing is installed on it by itself: install $missing, and run the line" \
        "again; nothing was done"
}

# Sets docker_packages, compose_of_debian_13, must_start_docker.
plan_docker() {
    if ! engine_answers; then
        must_start_docker=yes
        if ! have docker || ! have dockerd; then
            docker_packages='docker.io iptables'
            # Debian 13 made the docker command a package of its own.
            [ "$distribution$release" = debian12 ] || [ "$distribution" != debian ] \
                || docker_packages="$docker_packages docker-cli"
        fi
    fi
    if compose_is_there; then
        return
    fi
    if is_known docker-compose-plugin; then
        # Docker's own packages: those are not to be mixed with the distribution's.
        docker_packages="$docker_packages docker-compose-plugin"
    elif [ "$distribution" = ubuntu ]; then
        docker_packages="$docker_packages docker-compose-v2"
    elif [ "$distribution$release" = debian12 ]; then
        compose_of_debian_13=yes
    else
        docker_packages="$docker_packages docker-compose"
    fi
    docker_packages=${docker_packages# }
}

# Root's own settings of the docker command count for nothing: the agent uses this machine's engine.
docker_here() (
    unset DOCKER_CONTEXT
    DOCKER_HOST=unix:///var/run/docker.sock
    export DOCKER_HOST
    exec timeout 10 docker "$@" </dev/null
)

engine_answers() {
    have docker && docker_here version >/dev/null 2>&1
}

compose_is_there() {
    have docker && version=$(docker_here compose version --short 2>/dev/null) \
        && is_at_least "$oldest_compose" "${version#v}"
}

fetch_agent() {
    # What a run left behind that was killed.
    [ -n "$is_dry" ] \
        || find "$place" -maxdepth 1 -name '.instadeploy-install.*' -mmin +60 -exec rm -rf {} + || true
    work=$(mktemp -d "$place/.instadeploy-install.XXXXXXXX") \
        || die "no directory can be made in $place; nothing was done"
    write_certificates
    download || die "the agent could not be fetched from $agent_url, see above: does this machine" \
        "reach it, and trust its certificate? Nothing was done; run the line again"
    size=$(wc -c <"$work/agent")
    sum=$(sha256sum "$work/agent")
    sum=${sum%% *}
    if [ "$size" -ne "$agent_size" ] || [ "$sum" != "$agent_sha256" ]; then
        die "what came from $agent_url is not the agent: $size bytes instead of $agent_size, SHA-256" \
            "$sum instead of $agent_sha256. It was cut or changed on its way, or the control plane has" \
            "another one by now; nothing of it was run, and nothing was done: run the line again"
    fi
}

# Sets ca_file where there are certificates to trust, and bundle, those with the system's.
write_certificates() {
    ca_file='' bundle=''
    [ -n "$ca_pem" ] || return 0
    ca_file=$work/ca.pem bundle=$work/bundle.pem
    printf '%s\n' "$ca_pem" >"$ca_file"
    cat "$ca_file" >"$bundle"
    [ ! -r /etc/ssl/certs/ca-certificates.crt ] || cat /etc/ssl/certs/ca-certificates.crt >>"$bundle"
}

download() {
    if have curl; then
        # It is told to come again where others at this address fetch it as well.
        set -- --fail --silent --show-error --connect-timeout 15 --max-time 900 --retry 30 \
            --retry-max-time 120 --max-filesize "$agent_size" --output "$work/agent"
        [ -z "$bundle" ] || set -- "$@" --cacert "$bundle"
        curl "$@" -- "$agent_url" </dev/null >&2
    else
        set -- --quiet --timeout=60 --tries=3 --output-document="$work/agent"
        [ -z "$bundle" ] || set -- "$@" --ca-certificate="$bundle"
        wget "$@" -- "$agent_url" </dev/null >&2
    fi
}

dry_run() {
    if is_python_new_enough; then
        run_agent --dry-run || die "the agent would not install itself, see above; nothing was done"
    else
        say "what the agent would do, it says itself where there is a Python"
    fi
    say "nothing was done (--dry-run)"
}

# What a command prints matters only when it fails.
quietly() {
    if output=$("$@" 2>&1 </dev/null); then
        return 0
    fi
    printf '%s\n' "$output" >&2
    return 1
}

# A machine that has just booted may be upgrading itself: wait for its lock. Nothing is ever removed to
# make room for ours: it may be what this machine is for, such as the containerd.io of a Kubernetes node.
apt_get() {
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -qq -y --no-remove -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

# What apt would remove to install these, in one line; it is only asked.
would_be_removed() {
    LC_ALL=C apt_get -o APT::Get::Remove=true --simulate --no-install-recommends install "$@" \
        </dev/null 2>/dev/null | awk '$1 == "Remv" { printf "%s%s", gap, $2; gap = " " }'
}

# Whether apt could install the package.
is_known() {
    have apt-cache && LC_ALL=C apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'
}

# Lists may be missing, or so old that what they name is gone.
apt_install() {
    say "installing $*"
    if apt_get --no-install-recommends install "$@" </dev/null >/dev/null 2>&1; then
        return
    fi
    say "refreshing the package lists"
    quietly apt_get update || die "apt-get update failed, see above; run the line again when it works"
    if quietly apt_get --no-install-recommends install "$@"; then
        return
    fi
    removed=$(would_be_removed "$@")
    [ -z "$removed" ] || die "to install $*, apt would remove $removed, which this machine may need; so" \
        "nothing of that was done. Run the line again with --no-docker, to leave Docker as it is here, or" \
        "install by hand what can stand beside it (Docker Engine with Compose $oldest_compose or newer," \
        "Python 3.11 or newer), and run the line again; the agent was not installed"
    die "could not install $*, see above; run the line again when that is solved"
}

install_python() {
    [ -n "$must_install_python" ] || return 0
    apt_install python3
    is_python_new_enough || die "python3 is $(python3 --version 2>&1), and 3.11 or newer is needed;" \
        "the agent was not installed"
}

install_docker() {
    [ -z "$is_without_docker" ] || return 0
    if [ -n "$docker_packages" ]; then
        # shellcheck disable=SC2086
        apt_install $docker_packages
    fi
    [ -z "$compose_of_debian_13" ] || install_compose_of_debian_13
    [ -z "$must_start_docker" ] || start_docker
    compose_is_there || die "Docker Compose is still not there, or older than $oldest_compose: install" \
        "a newer one, and run the line again; the agent was not installed"
}

start_docker() {
    say "starting Docker (systemctl enable --now docker)"
    quietly systemctl enable --now docker \
        || die "Docker does not start (journalctl -u docker says why); the agent was not installed"
    waited=0
    until engine_answers; do
        [ "$waited" -lt "$engine_start_s" ] || die "Docker does not answer within $engine_start_s s" \
            "(journalctl -u docker says why); the agent was not installed"
        sleep 1
        waited=$((waited + 1))
    done
}

# One package of the next release, and nothing else: apt reads that release through sources and lists
# in a directory of their own, so its configuration never names it, not even when this is killed;
# what the package depends on comes from this release.
install_compose_of_debian_13() {
    say "installing docker-compose of Debian 13"
    archive=$(archive_address)
    if [ -z "$archive" ]; then
        quietly apt_get update || die "apt-get update failed, see above; run the line again when it works"
        archive=$(archive_address)
    fi
    [ -n "$archive" ] || die "apt's sources name no archive of Debian 12; install Docker Compose" \
        "$oldest_compose or newer, and run the line again; the agent was not installed"
    # apt gives up its privileges to download.
    chmod 0755 "$work"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    if [ -r "$keyring" ]; then keyring="[signed-by=$keyring] "; else keyring=''; fi
    printf 'deb %s%s trixie main\n' "$keyring" "$archive" >"$work/sources.list"
    if ! quietly apt_get_there update || ! (cd "$work" && quietly apt_get_there download docker-compose/trixie)
    then
        die "could not get docker-compose of Debian 13 from $archive, see above; the agent was not installed"
    fi
    apt_install "$work"/docker-compose_*.deb
}

apt_get_there() {
    apt_get -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o Acquire::Languages=none "$@"
}

# Where this machine gets Debian 12 from: a mirror may be all it can reach.
archive_address() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Codename: bookworm' 'Component: main' </dev/null | head -n 1
}

install_agent() {
    status=0
    run_agent || status=$?
    if [ "$status" -ne 0 ]; then
        say "the agent is not installed, see above; packages that were installed stay. Run the line" \
            "again, with a new one (instadeploy hosts enroll) where its token was used or has expired"
        exit "$status"
    fi
    say "done"
}

# It unpacks what it runs from beside itself, so nothing of it stays in root's cache. It alone gets the
# token, in its environment: arguments can be read by every user.
run_agent() {
    set -- install --server-url "$server_url" --control-plane-key "$control_plane_key" \
        ${ca_file:+--ca-file "$ca_file"} "$@"
    if [ -n "$token" ]; then
        INSTADEPLOY_ENROLL_TOKEN=$token PEX_ROOT=$work/pex python3 "$work/agent" "$@" </dev/null
    else
        PEX_ROOT=$work/pex python3 "$work/agent" "$@" </dev/null
    fi
}

# Braces, as a line that was cut before their end is none.
{ main "$@"; }
