#!/usr/bin/env bash
# Sets up and runs the tests, from any directory.
#
#     tests/run.sh         everything
#     tests/run.sh core    the quick part: without valgrind, sanitizers, static linking, models, Redis and the
#                          demonstration
#
# Needs Rust; installs missing Debian packages when run as root, and otherwise says which command does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() { printf 'tests/run.sh: %s\n' "$*" >&2; exit 1; }

mode=${1:-full}
[ $# -le 1 ] && { [ "$mode" = full ] || [ "$mode" = core ]; } || die 'usage: tests/run.sh [core]'

current='starting'
started=$SECONDS
trap '[ $? -eq 0 ] || printf "\n== FAILED: %s\n" "$current" >&2' EXIT

# step NAME COMMAND...: runs it, says how long it took, ends everything if it fails.
step() {
    current=$1
    local since=$SECONDS
    printf '\n== %s\n' "$current"
    shift
    "$@"
    printf -- '-- %s: %d s\n' "$current" $((SECONDS - since))
}

# Each tool with the Debian package that has it.
tools() {
    local missing=() pair
    for pair in cc:gcc c++:g++ nm:binutils curl:curl kill:procps nginx:nginx-light node:nodejs npm:npm openssl:openssl \
        python3:python3 script:bsdutils strace:strace tinyproxy:tinyproxy-bin unshare:util-linux zip:zip; do
        PATH=$PATH:/usr/sbin type -P "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
    if [ "$mode" = full ]; then
        /usr/bin/python3 -c 'import pip, setuptools' 2>/dev/null || missing+=(python3-pip python3-setuptools)
        command -v valgrind >/dev/null || missing+=(valgrind)
        [ -x /usr/sbin/squid ] || missing+=(squid)
        # valgrind needs the symbols of the dynamic loader.
        [ -d /usr/lib/debug ] || missing+=(libc6-dbg)
        command -v redis-server >/dev/null || missing+=(redis-server)
    fi
    [ ${#missing[@]} -gt 0 ] || return 0
    local install=(apt-get install -y --no-install-recommends "${missing[@]}")
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
        die "missing tools; as root: ${install[*]}"
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive "${install[@]}"
}

# rustup installs components of a toolchain that has none, such as a minimal one.
toolchain() {
    cargo --version
    cargo fmt --version && cargo clippy --version && return
    command -v rustup >/dev/null ||
        die 'rustfmt or clippy is missing; on Debian: apt-get install rustfmt rust-clippy'
    rustup component add rustfmt clippy
}

# What others wrote: an authority for the tests of signing in, a blob storage for those of downloads.
peers() {
    [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 18 ] || die 'node is too old; install version 18 or newer'
    local folder
    for folder in tests/oidc tests/azurite; do
        cmp -s $folder/package-lock.json $folder/node_modules/.installed && continue
        npm ci --prefix $folder --ignore-scripts --no-audit --no-fund
        cp $folder/package-lock.json $folder/node_modules/.installed
    done
}

# The last version that checks for Python 3.8.
type_checker() {
    local version=1.14.1 folder=$target/mypy
    [ -d "$folder/mypy-$version.dist-info" ] && return
    rm -rf "$folder"
    /usr/bin/python3 -m pip install -q --disable-pip-version-check --target "$folder" "mypy==$version"
}

command -v cargo >/dev/null ||
    die 'cargo is missing; install Rust from https://rustup.rs and start a new shell'

step 'Debian packages' tools
step 'Rust toolchain' toolchain
step 'OpenID provider and blob storage' peers
step 'Formatting' cargo fmt --all --check
step 'Lints' cargo clippy --workspace --all-targets -- -D warnings
# Always by this command: with the other crate types beside it, the library would not get its link-time
# optimisation.
step 'Release library' cargo rustc -p mde --release --lib --crate-type cdylib
# The tests in C use this library and do not build it again.
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
export MDE_LIB_DIR=$target/release

if [ "$mode" = core ]; then
    step 'Tests, without the slow ones in C' cargo test --workspace --no-fail-fast -- --skip full::
else
    step 'Type checker for Python' type_checker
    # Without credentials, so that it never starts a real collection.
    step 'The demonstration' env -u MDE_TENANT_ID -u MDE_CLIENT_ID -u MDE_CLIENT_SECRET -u MDE_MACHINE_ID \
        examples/demo.sh
    step 'Tests' cargo test --workspace --no-fail-fast
    # The unit tests with other locks below them, so these tests only.
    step 'Lints of the optional features' cargo clippy -p mde --all-targets --features shuttle,redis -- -D warnings
    step 'Lints of the optional features of the benches' \
        cargo clippy -p mde-limiter-bench --all-targets --features redis -- -D warnings
    step 'Models of the waiting' cargo test -p mde --lib --features shuttle models::
    # The rest of the library has been tested without it.
    step 'Options and scripts of the feature redis' cargo test -p mde --features redis --lib -- redis options
    step 'Tests of the feature redis' cargo test -p mde --features redis --test redis
fi
printf '\n== All passed in %d s\n' $((SECONDS - started))
