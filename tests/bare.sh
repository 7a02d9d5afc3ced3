#!/usr/bin/env bash
# Runs the demonstration and all tests in a bare Debian 12, with nothing installed but a C compiler, certificates and
# Rust: once from a clone in root's home, once from the sources without their history.
#
#     tests/bare.sh FOLDER [clone|sources]
#
# FOLDER is made, or used again; about 15 GB go into it. Only root can do that.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() { printf 'tests/bare.sh: %s\n' "$*" >&2; exit 1; }
[ $# -eq 1 ] || [ $# -eq 2 ] || die 'usage: tests/bare.sh FOLDER [clone|sources]'
suite=bookworm folder=$1 ways=${2:-clone sources}
[ "$(id -u)" = 0 ] || die 'only root can make and enter another system'
for pair in debootstrap:debootstrap git:git rustc:rustc; do
    command -v "${pair%%:*}" >/dev/null || die "\`${pair%%:*}\` is missing; run: apt-get install ${pair##*:}"
done

git -C "$root" rev-parse HEAD >/dev/null || die 'this needs a checkout that git reads'
# A private mount namespace removes all mounts when this process ends.
[ -n "${MDE_BARE:-}" ] || MDE_BARE=mounts exec unshare --mount "$root/tests/bare.sh" "$@"

inside() { env -i PATH=/root/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb \
    LANG=C.UTF-8 NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt ${CI:+CI="$CI"} chroot "$folder" bash -ec "$1"; }

if [ ! -e "$folder" ]; then
    rm -rf "$folder.part"
    debootstrap --variant=minbase "$suite" "$folder.part"
    mv "$folder.part" "$folder"
fi
# Name servers, package sources and certificates are those of this machine.
cp /etc/resolv.conf "$folder/etc/"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$folder/etc/hosts"
{
    printf 'deb http://deb.debian.org/debian %s main\n' "$suite" "$suite-updates"
    printf 'deb http://deb.debian.org/debian-security %s-security main\n' "$suite"
} >"$folder/etc/apt/sources.list"
mkdir -p "$folder/usr/local/share/ca-certificates"
cp -r /usr/local/share/ca-certificates/. "$folder/usr/local/share/ca-certificates/"
# A mount point of its own, as the root of a system is.
mount --bind "$folder" "$folder"
mount -t proc proc "$folder/proc"
mount --rbind /sys "$folder/sys" && mount --make-rslave "$folder/sys"
mount -t tmpfs -o mode=755 tmpfs "$folder/dev"
mkdir "$folder/dev/pts" "$folder/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$folder/dev/pts"
mount -t tmpfs tmpfs "$folder/dev/shm"
for device in null zero full random urandom tty fuse; do
    touch "$folder/dev/$device"
    mount --bind "/dev/$device" "$folder/dev/$device"
done
ln -s pts/ptmx "$folder/dev/ptmx"
ln -s /proc/self/fd "$folder/dev/fd"
ln -s /proc/self/fd/0 "$folder/dev/stdin"
ln -s /proc/self/fd/1 "$folder/dev/stdout"
ln -s /proc/self/fd/2 "$folder/dev/stderr"

inside 'apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends gcc libc6-dev ca-certificates
    update-ca-certificates'
if [ ! -e "$folder/root/rust" ]; then
    sysroot=$(rustc --print sysroot)
    [ "$sysroot" != /usr ] || die 'this needs Rust in a folder of its own, as rustup installs it'
    mkdir -p "$folder/root/.cargo/bin"
    rm -rf "$folder/root/rust.part"
    mkdir "$folder/root/rust.part"
    tar -c -C "$sysroot" --exclude=./share/doc . | tar -x -C "$folder/root/rust.part"
    mv "$folder/root/rust.part" "$folder/root/rust"
    for program in "$folder"/root/rust/bin/*; do ln -sf "/root/rust/bin/${program##*/}" "$folder/root/.cargo/bin/"; done
fi

for way in $ways; do
    rm -rf "$folder/root/mde"
    case $way in
        clone) git clone -q "$root" "$folder/root/mde" ;;
        sources)
            mkdir "$folder/root/mde"
            git -C "$root" archive HEAD | tar -x -C "$folder/root/mde"
            ;;
        *) die "the way is clone or sources, not $way" ;;
    esac
    printf '\n== Bare Debian, %s: the demonstration\n' "$way"
    inside 'cd /root/mde && examples/demo.sh'
    printf '\n== Bare Debian, %s: the tests\n' "$way"
    inside 'cd /root/mde && tests/run.sh'
done
