#!/usr/bin/env bash
# Checks the memory and the threads of the library on the Rust side, from any directory. A release needs it.
#
#     tests/checkers.sh          everything
#     tests/checkers.sh miri     undefined behaviour, in what needs no files: pointers of callers, quotas, texts
#     tests/checkers.sh asan     memory errors and leaks, in all unit tests
#     tests/checkers.sh tsan     races, in the unit tests that use threads
#
# Each part first shows that it finds errors on purpose. Miri and ThreadSanitizer need a nightly toolchain with its source:
#
#     rustup toolchain install nightly --component miri,rust-src
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() { printf 'tests/checkers.sh: %s\n' "$*" >&2; exit 1; }

case ${1:-all} in
    all) parts=(miri asan tsan) ;;
    miri | asan | tsan) parts=("$1") ;;
    *) die 'usage: tests/checkers.sh [miri|asan|tsan]' ;;
esac
[ $# -le 1 ] || die 'usage: tests/checkers.sh [miri|asan|tsan]'

host=x86_64-unknown-linux-gnu
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

# nightly FILE: the folder with the programs of the nightly toolchain, which has this file.
nightly() {
    local root
    root=$(rustup run nightly rustc --print sysroot 2>/dev/null) && [ -e "$root/$1" ] ||
        die 'a nightly toolchain is missing: rustup toolchain install nightly --component miri,rust-src'
    printf '%s/bin' "$root"
}

# finds TEXT TEST COMMAND...: the command runs the test with an error on purpose, and reports that.
finds() {
    local printed
    if printed=$("${@:3}" -- --ignored --exact "os::seeded::$2" 2>&1) || ! grep -q "$1" <<<"$printed"; then
        printf '%s\n' "$printed" >&2
        die "$2 was not found"
    fi
    printf 'found: %s\n' "$2"
}

# passes COMMAND...: the tests pass, and there are some.
passes() {
    local printed
    printed=$(mktemp)
    "$@" 2>&1 | tee "$printed"
    grep -q '^test result: ok\. [1-9]' "$printed" || die "no test has the name that was asked for: $*"
    rm "$printed"
}

miri() {
    local bin
    bin=$(nightly bin/miri)
    miri_tests() {
        PATH=$bin:$PATH MIRIFLAGS=-Zmiri-disable-isolation \
            cargo miri test -p mde --lib --target-dir "$target/miri" "$@"
    }
    finds 'Undefined Behavior: Data race' a_race miri_tests
    finds 'Undefined Behavior' a_read_behind_the_end miri_tests
    finds 'Undefined Behavior' a_use_of_freed_memory miri_tests
    # It knows neither how files are opened here, nor the time since the start of the machine, nor signals. What needs
    # them is for the other two. Two tests would take minutes.
    passes miri_tests -- ffi:: text:: quota::window:: os::fork:: os::gssapi::library:: os::patience:: os::per_process:: \
        --skip the_log_holds_no_more --skip tried_for_ten_seconds
}

asan() {
    asan_tests() {
        RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address ASAN_OPTIONS=detect_leaks=1 MDE_PROPERTY_CASES=1000 MDE_FLEET_SEEDS=200 MDE_SEEDS=200 \
            cargo test -p mde --lib --target "$host" --target-dir "$target/asan" "$@"
    }
    finds 'AddressSanitizer: heap-buffer-overflow' a_read_behind_the_end asan_tests
    finds 'AddressSanitizer: heap-use-after-free' a_use_of_freed_memory asan_tests
    passes asan_tests
}

tsan() {
    local bin
    bin=$(nightly lib/rustlib/src/rust/library/std/Cargo.toml)
    # The standard library is compiled as well. Otherwise its locks are not seen.
    tsan_tests() {
        PATH=$bin:$PATH RUSTFLAGS=-Zsanitizer=thread MDE_PROPERTY_CASES=1000 \
            cargo test -p mde --lib -Zbuild-std --target "$host" --target-dir "$target/tsan" "$@"
    }
    finds 'ThreadSanitizer: data race' a_race tsan_tests
    passes tsan_tests -- os:: call:: quota:: account:: sign_in:: http:: operations::wait:: operations::download::
}

for part in "${parts[@]}"; do
    printf '\n== %s\n' "$part"
    "$part"
done
