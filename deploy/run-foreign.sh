#!/bin/sh
# Runs a program of another architecture in the root that ensure-arm64.sh has made:
#
#     deploy/run-foreign.sh ROOT DIRECTORY PROGRAM [ARGUMENT...]
#
# DIRECTORY is /mnt in there. The program takes this one's process, so signals reach it; it shares the
# network. Nothing of this is seen outside: QEMU is registered in a user namespace of its own, which Linux
# can since 6.7, and not for the whole machine.
set -eu

[ $# -ge 3 ] || { echo "usage: run-foreign.sh ROOT DIRECTORY PROGRAM [ARGUMENT...]" >&2; exit 2; }
PATH=$PATH:/usr/sbin:/sbin
export PATH
# shellcheck disable=SC2016 # It is the inner shell that reads them.
exec unshare --user --map-root-user --mount sh -euc '
    registry=/proc/sys/fs/binfmt_misc
    mount -t binfmt_misc none $registry || {
        echo "run-foreign.sh: this kernel has no binfmt_misc in user namespaces (Linux 6.7)" >&2
        exit 1
    }
    # A little-endian ELF program of that class and machine. F: the interpreter is opened now, out here.
    register() {
        printf %s ":$1:M::\x7fELF\x0$2\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x$3\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:$(command -v "$1-static"):F" >$registry/register
    }
    register qemu-aarch64 2 b7
    register qemu-arm 1 28
    root=$1 directory=$2
    shift 2
    mount --rbind /dev "$root/dev"
    mount --rbind /proc "$root/proc"
    mount --bind "$directory" "$root/mnt"
    exec chroot "$root" "$@"
' sh "$@"
