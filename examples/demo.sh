#!/usr/bin/env bash
# Collects an investigation package with the C examples. Runs in a fresh clone and from any directory.
#
# Without credentials it runs against the simulator of this checkout, which it builds and starts.
# With these variables set it runs against the real service instead, and starts a real collection:
#   MDE_TENANT_ID, MDE_CLIENT_ID, MDE_CLIENT_SECRET, MDE_MACHINE_ID   (optional: MDE_CLOUD, MDE_COMMENT)
# MDE_OUT names the folder or file for the package, by default the current folder.
#
# Two variables spare a build: MDE_LIB_DIR names a folder with libmde.so, MDE_SIMULATOR the simulator's program.
set -euo pipefail

case ${1:-} in
    '') ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit ;;
    *) echo "demo.sh: takes no arguments; see --help" >&2; exit 2 ;;
esac

here=$PWD
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cc=${CC:-cc}

say() { printf '\n== %s\n' "$*"; }
die() { printf 'demo.sh: %s\n' "$*" >&2; exit 1; }

command -v cargo >/dev/null ||
    die 'cargo is missing. Install Rust from https://rustup.rs, then start a new shell.'
command -v "$cc" >/dev/null ||
    die "the C compiler $cc is missing. On Debian: apt-get install gcc libc6-dev"
command -v sha256sum >/dev/null || die 'sha256sum is missing. On Debian: apt-get install coreutils'

real=
for name in MDE_TENANT_ID MDE_CLIENT_ID MDE_CLIENT_SECRET MDE_MACHINE_ID; do
    [ -z "${!name:-}" ] || real+="$name "
done
case $real in
    '') ;;
    'MDE_TENANT_ID MDE_CLIENT_ID MDE_CLIENT_SECRET MDE_MACHINE_ID ') ;;
    *) die "only $(echo $real) set. Set MDE_TENANT_ID, MDE_CLIENT_ID, MDE_CLIENT_SECRET and MDE_MACHINE_ID \
for the real service, or none of them for the simulator." ;;
esac

work=$(mktemp -d)
simulator=
stop_simulator() {
    if [ -n "$simulator" ]; then
        kill "$simulator" 2>/dev/null || true
        wait "$simulator" 2>/dev/null || true
    fi
}
clean_up() {
    stop_simulator
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cd "$root"
# CARGO_TARGET_DIR or cargo's configuration may move the target folder.
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

if [ -n "${MDE_LIB_DIR:-}" ]; then
    library=$(cd "$here" && realpath -m "$MDE_LIB_DIR/libmde.so")
    [ -f "$library" ] || die "there is no libmde.so in the folder that MDE_LIB_DIR names, $MDE_LIB_DIR"
else
    say 'Building libmde.so (the first time takes a minute or two)'
    cargo rustc --quiet -p mde --release --lib --crate-type cdylib
    library=$target/release/libmde.so
fi
# Programs look for the library by its SONAME.
ln -s "$library" "$work/libmde.so"
ln -s libmde.so "$work/libmde.so.0"

say 'Compiling check.c, collect.c, fetch.c and fleet.c of examples/c'
for program in check collect fetch fleet; do
    "$cc" -std=c99 -O2 -Wall -Wextra -I include "examples/c/$program.c" examples/c/tool.c -L "$work" -lmde -pthread \
        -Wl,-rpath,"$work" -o "$work/$program"
done

if [ -n "$real" ]; then
    # fetch does everything in one call, so the script resumes when it is run again after an interruption.
    export MDE_COMMENT=${MDE_COMMENT:-"examples/demo.sh of mde"}
    say 'check: whether this application can do that'
    # What has failed may not matter here. If it does, fetch says so.
    "$work/check" || true
    say "Fetching an investigation package of $MDE_MACHINE_ID through Defender for Endpoint"
    cd "$here"
    "$work/fetch" --out "${MDE_OUT:-.}"
    exit
fi

say 'Building and starting the simulator'
[ -n "${MDE_SIMULATOR:-}" ] || cargo build --quiet -p mde-simulator
# start_simulator FLAGS...: leaves the options that name its address in `address`.
start_simulator() {
    local url
    stop_simulator
    rm -f "$work/port"
    "${MDE_SIMULATOR:-$target/debug/mde-simulator}" --listen 127.0.0.1:0 --port-file "$work/port" "$@" \
        >"$work/simulator.log" 2>&1 &
    simulator=$!
    for _ in $(seq 100); do
        [ -s "$work/port" ] && break
        kill -0 "$simulator" 2>/dev/null || die "the simulator did not start: $(cat "$work/simulator.log")"
        sleep 0.1
    done
    [ -s "$work/port" ] || die 'the simulator did not listen within 10 seconds'
    url=http://127.0.0.1:$(tr -d '[:space:]' <"$work/port")
    address=(--option api_url="$url" --option login_url="$url")
    echo "listening on $url"
}

# A collection that takes about a minute lasts a few seconds here, and so does the download.
start_simulator --time-scale 10 --package-bytes 24000000 --download-rate 8000000

# The simulator's own tenant, application and secret: see simulator/README.md.
export MDE_TENANT_ID=9d4b7c1e-2f60-4a85-8c3d-51e0a7b6f924
export MDE_CLIENT_ID=3a8f5d02-6b7c-4e19-9f48-c2d1708be563
export MDE_CLIENT_SECRET='sim8Q~not+a/real=secret&100%'
# The first of its machines, device-0001.contoso.example; the same at every start.
export MDE_MACHINE_ID=b9ecb316f7bbc6a1b745800a82ea6c0d4f8f8d17
export MDE_COMMENT=${MDE_COMMENT:-suspicious sign-ins, case 4711}

say 'check: for whom the token is, what it permits, how the hosts are reached'
"$work/check" "${address[@]}"

say "collect: asking for an investigation package of $MDE_MACHINE_ID"
"$work/collect" "${address[@]}" --log debug

# It adopts that collection and starts no other.
say 'fetch: waiting for that collection, downloading and checking its package'
"$work/fetch" "${address[@]}" --out "$work/case-4711.zip" --option poll_interval_ms=1000

say 'sha256sum of the file'
(cd "$work" && sha256sum case-4711.zip)

say 'fleet: ten devices in one call, in a simulated minute per second'
start_simulator --time-scale 60 --package-bytes 2000000
# The library keeps the documented limits unless it is told others: two links a minute.
address+=(--option quota_limits='link=2/1,120/60' --option poll_interval_ms=200)
{
    echo 'device'
    printf 'device-%04d\n' {1..10}
} >"$work/devices.csv"
cd "$work"
mkdir packages
./fleet "${address[@]}" --list devices.csv --out packages
ls packages
