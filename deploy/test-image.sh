#!/usr/bin/env bash
# Makes the image that the tests and the demo run, without a registry: one static busybox and a page.
#
# Does nothing where the image is there and made by the same recipe: a busybox that may have to be fetched is not
# looked for again. Another version of it: docker image rm instadeploy-demo:local.
set -euo pipefail
umask 022

# shellcheck source=deploy/debian.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/debian.sh"

readonly IMAGE=instadeploy-demo:local
readonly LABEL=instadeploy.made-from

# The engine that the agent would use, whatever the user's own docker command is set to.
export DOCKER_HOST=${AGENT_DOCKER_HOST:-unix:///var/run/docker.sock}
unset DOCKER_CONTEXT

main() {
    local made_from
    made_from=$(sha256sum -- "${BASH_SOURCE[0]}" | cut -d ' ' -f 1)
    [ "$(label_of_image)" != "$made_from" ] || return 0
    work=$(mktemp --directory)
    trap 'rm -rf -- "$work"' EXIT
    find_busybox
    say "making the image $IMAGE from $busybox"
    lay_out_files
    tar --create --directory "$work/root" --owner 0 --group 0 . | docker import --change \
        "LABEL $LABEL=$made_from" --change 'CMD ["/bin/sh"]' - "$IMAGE" >/dev/null
}

label_of_image() {
    docker image inspect --format "{{index .Config.Labels \"$LABEL\"}}" "$IMAGE" 2>/dev/null || true
}

# Sets busybox to a statically linked one that can serve HTTP.
find_busybox() {
    local candidate
    for candidate in /bin/busybox /usr/bin/busybox; do
        if is_static "$candidate" && "$candidate" --list | grep -qx httpd; then
            busybox=$candidate
            return
        fi
    done
    have apt-get || die "a statically linked busybox with httpd is needed: install one as /bin/busybox"
    # Taken out of its package: installing it would put another busybox out of place.
    say "fetching Debian's package busybox-static"
    is_known busybox-static || quietly apt_get update || die "apt-get update failed; see above"
    (cd "$work" && quietly apt-get -qq download busybox-static && dpkg-deb --extract ./*.deb .) \
        || die "could not fetch busybox-static; see above"
    busybox=$(find "$work" -type f -name busybox -perm /111)
}

is_static() {
    [ -x "$1" ] && ! ldd "$1" >/dev/null 2>&1
}

lay_out_files() {
    local applet
    mkdir -p "$work/root/bin" "$work/root/etc" "$work/root/tmp" "$work/root/www"
    chmod 1777 "$work/root/tmp"
    cp -- "$busybox" "$work/root/bin/busybox"
    chmod 0755 "$work/root/bin/busybox"
    for applet in $("$busybox" --list); do
        [ "$applet" = busybox ] || ln -s busybox "$work/root/bin/$applet"
    done
    printf 'root:x:0:0:root:/:/bin/sh\n' >"$work/root/etc/passwd"
    cat >"$work/root/www/index.html" <<'END'
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>InstaDeploy</title>
<h1>It works</h1>
<p>This site was deployed by InstaDeploy.</p>
</html>
END
}

main
