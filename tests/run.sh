#!/usr/bin/env bash
# Sets up and runs the tests, from any directory.
#
#     tests/run.sh           everything that a merge needs
#     tests/run.sh core      the quick part: without valgrind, sanitizers, static linking, other systems, .NET 8 and
#                            the demonstration
#     tests/run.sh release   everything that a release needs: two builds compared, the library as cargo alone builds
#                            it, cargo-c, long forms, and systems with nothing installed
#
# Needs Rust; installs missing Debian packages when run as root, and otherwise says which command does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() { printf 'tests/run.sh: %s\n' "$*" >&2; exit 1; }

mode=${1:-full}
case $#,$mode in
    0,full | 1,core | 1,release) ;;
    *) die 'usage: tests/run.sh [core|release]' ;;
esac

. tests/steps.sh

# Finds what is missing, each tool with the Debian package that has it.
missing=()
look_for_tools() {
    local pair
    for pair in 7z:p7zip-full abidiff:abigail-tools bsdtar:libarchive-tools cc:gcc c++:g++ clang:clang clang++:clang \
        nm:binutils cmake:cmake curl:curl doxygen:doxygen git:git ip:iproute2 java:default-jre-headless \
        kill:procps mono:mono-runtime xbuild:mono-xbuild nginx:nginx-light openssl:openssl \
        pip3:python3-pip pkg-config:pkg-config python3:python3 \
        redis-server:redis-server script:bsdutils softhsm2-util:softhsm2 strace:strace swtpm:swtpm \
        tinyproxy:tinyproxy-bin tpm2_sign:tpm2-tools \
        unshare:util-linux unzip:unzip zip:zip; do
        PATH=$PATH:/usr/sbin type -P "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
    # What programs that use tokens are compiled with, and the keys of a package for Python.
    [ -e /usr/include/p11-kit-1/p11-kit/pkcs11.h ] || missing+=(libp11-kit-dev)
    /usr/bin/python3 -c 'import cryptography' 2>/dev/null || missing+=(python3-cryptography)
    # The class library of Mono.
    [ -e /usr/lib/mono/4.5/System.Core.dll ] || missing+=(libmono-system-core4.0-cil)
    if [ "$mode" != core ]; then
        /usr/bin/python3 -c 'import pip, setuptools' 2>/dev/null || missing+=(python3-pip python3-setuptools)
        command -v valgrind >/dev/null || missing+=(valgrind)
        # The header for C++ with the other standard library, and for Windows.
        [ -d /usr/include/c++/v1 ] || missing+=(libc++-dev libc++abi-dev)
        command -v x86_64-w64-mingw32-g++ >/dev/null || missing+=(g++-mingw-w64-x86-64)
        # What programs built with sanitizers are linked with.
        printf 'int main(void) { return 0; }\n' | clang -fsanitize=thread -xc - -o /dev/null 2>/dev/null ||
            missing+=(libclang-rt-dev)
        [ -x /usr/sbin/squid ] || missing+=(squid)
        # Logins at proxies by Kerberos, and by NTLM under Wine.
        for pair in /usr/sbin/krb5kdc:krb5-kdc /usr/sbin/kadmin.local:krb5-admin-server /usr/bin/kinit:krb5-user \
            /usr/bin/faketime:faketime /usr/bin/ntlm_auth:winbind /usr/lib/x86_64-linux-gnu/libgssapi_krb5.so.2:libgssapi-krb5-2; do
            [ -e "${pair%%:*}" ] || missing+=("${pair##*:}")
        done
        # valgrind needs the symbols of the dynamic loader.
        [ -d /usr/lib/debug ] || missing+=(libc6-dbg)
        # Other targets: compilers, and what runs their programs.
        for pair in /usr/bin/rustc:rustc-web /usr/bin/cargo:cargo-web \
            /usr/bin/x86_64-w64-mingw32-gcc:gcc-mingw-w64-x86-64 /usr/lib/wine/wine64:wine64 \
            /usr/bin/llvm-dlltool:llvm /usr/bin/aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu \
            /usr/aarch64-linux-gnu/include/stdlib.h:libc6-dev-arm64-cross /usr/bin/qemu-aarch64:qemu-user \
            /usr/lib/rustlib/src/rust/library/std/Cargo.toml:rust-web-src; do
            [ -e "${pair%%:*}" ] || missing+=("${pair##*:}")
        done
        # For the benches.
        [ -e /usr/include/cjson/cJSON.h ] || missing+=(libcjson-dev)
        printf '#include <curl/curl.h>\n' | cc -fsyntax-only -xc - 2>/dev/null || missing+=(libcurl4-openssl-dev)
    fi
    # What the archive of a release is made with, and used through.
    for pair in /usr/bin/rustc:rustc-web /usr/bin/cargo:cargo-web \
        /usr/lib/rustlib/src/rust/library/std/Cargo.toml:rust-web-src /usr/bin/cmake:cmake /usr/bin/make:make \
        /usr/bin/pkg-config:pkg-config; do
        [ -e "${pair%%:*}" ] || missing+=("${pair##*:}")
    done
    if [ "$mode" = release ]; then
        # For cargo-c.
        [ -e /usr/include/openssl/ssl.h ] || missing+=(libssl-dev)
        command -v debootstrap >/dev/null || missing+=(debootstrap)
        # For programs in other languages.
        for pair in go:golang-go luajit:luajit; do
            command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
        done
        /usr/bin/python3 -c 'import cffi' 2>/dev/null || missing+=(python3-cffi)
    fi
    [ ${#missing[@]} -eq 0 ] || { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } ||
        die "missing tools; as root: apt-get install -y --no-install-recommends ${missing[*]}"
}

tools() {
    [ ${#missing[@]} -eq 0 ] || install "${missing[@]}"
}

install() {
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# rustup installs components of a toolchain that has none, such as a minimal one.
toolchain() {
    cargo --version
    cargo fmt --version && cargo clippy --version && return
    command -v rustup >/dev/null ||
        die 'rustfmt or clippy is missing; on Debian: apt-get install rustfmt rust-clippy'
    rustup component add rustfmt clippy
}

# Installs an independent authority for the tests of signing in, and a blob storage for those of downloads.
peers() {
    local folder
    tests/node.sh "$target/node"
    for folder in tests/oidc tests/azurite; do
        cmp -s $folder/package-lock.json $folder/node_modules/.installed && continue
        npm ci --prefix $folder --ignore-scripts --no-audit --no-fund
        cp $folder/package-lock.json $folder/node_modules/.installed
    done
}

# Prints what the archive depends on: the compiler, the date, and the files with their contents.
made_from() {
    local here=(. ':!tests' ':!benches')
    /usr/bin/rustc --version
    if [ -e .git ]; then
        git log -1 --format=%ct
        # Changed files with their contents, those that are gone with the complaint about them.
        git ls-files -z -- "${here[@]}" | xargs -0 sha256sum -- 2>&1 || true
    else
        find . -path ./target -prune -o -path ./tests -prune -o -path ./benches -prune -o -type f -print0 |
            sort -z | xargs -0 sha256sum --
    fi
}

# Makes the archive only if something in it has changed.
archive() {
    local record=$target/package/made-from.txt
    if [ ! -e "$MDE_ARCHIVE" ] || ! made_from | cmp -s - "$record"; then
        mkdir -p "$target/package"
        rm -f "$record"
        made_from >"$target/package/made-from.part"
        ./packaging/package.sh
        mv "$target/package/made-from.part" "$record"
    fi
    # The programs in C use what it holds.
    rm -rf "$target/shipped"
    mkdir "$target/shipped"
    tar -xf "$MDE_ARCHIVE" -C "$target/shipped" --strip-components=1
}

# The last version that checks for Python 3.8.
type_checker() {
    local version=1.14.1 folder=$target/mypy
    [ -d "$folder/mypy-$version.dist-info" ] && return
    rm -rf "$folder"
    /usr/bin/python3 -m pip install -q --disable-pip-version-check --target "$folder" "mypy==$version"
}

# The oldest compiler that is promised, as Debian has it, with the sources of its library. Not installed but unpacked: a
# newer one has the same name.
oldest_compiler() {
    local version folder=$target/msrv package
    [ ! -e "$folder/complete" ] || return 0
    rm -rf "$folder"
    mkdir -p "$folder/packages"
    [ "$(id -u)" != 0 ] || apt-get update -q
    version=$(apt-cache madison rustc-web | awk '$3 ~ /^1\.85\./ { print $3; exit }')
    [ -n "$version" ] || die 'Debian has no rustc-web 1.85 here; see: apt-cache madison rustc-web'
    (
        cd "$folder/packages"
        apt-get download -q {rustc-web,cargo-web,libstd-rust-web-1.85,libstd-rust-web-dev,rust-web-src}="$version" \
            libllvm19 libhttp-parser2.9 libpcre3 libssh2-1
    )
    for package in "$folder"/packages/*.deb; do dpkg -x "$package" "$folder"; done
    rm -r "$folder/packages"
    touch "$folder/complete"
}

# Runs a command that finds the oldest compiler.
with_oldest() {
    local folder=$target/msrv
    LD_LIBRARY_PATH=$folder/usr/lib/x86_64-linux-gnu:$folder/lib/x86_64-linux-gnu compiler=$folder/usr/bin "$@"
}

# The library for this system by the oldest compiler.
msrv() {
    oldest_compiler
    with_oldest env RUSTFLAGS='-D warnings' RUSTC="$target/msrv/usr/bin/rustc" CARGO_TARGET_DIR="$target/msrv/target" \
        "$target/msrv/usr/bin/cargo" build -p mde --lib --locked
}

# for_system TARGET LINKER COMMAND...: cargo for another system, with a standard library that it compiles for itself.
# harness=test: with what runs tests. compiler=FOLDER: by another compiler.
for_system() {
    local upper compiler=${compiler:-/usr/bin}
    upper=$(tr a-z- A-Z_ <<<"$1")
    env RUSTC="$compiler/rustc" RUSTC_BOOTSTRAP=1 "CARGO_TARGET_${upper}_LINKER=$2" \
        "$compiler/cargo" "$3" -p mde --lib --locked --target "$1" --target-dir "$target/package/build" \
        "-Zbuild-std=std,panic_unwind${harness:+,$harness}" "${@:4}"
}
# Not optimised, which takes a third of the time, but where patterns are many. The one for Arm is: without that, its
# functions need more than the smallest stacks.
for_windows() {
    local optimised=0
    [ "$mode" != release ] || optimised=1
    harness=test for_system x86_64-pc-windows-gnu x86_64-w64-mingw32-gcc "$1" --config "profile.dev.package.mde.opt-level=$optimised" "${@:2}"
}

# Optimising the libraries of other systems takes four minutes, which only a release spends.
library_for_windows() {
    if [ "$mode" = release ]; then ./packaging/package.sh x86_64-pc-windows-gnu; fi
    # With the unit tests, since most of what both need is the same.
    for_windows build --tests
}

library_for_arm() {
    if [ "$mode" = release ]; then
        ./packaging/package.sh aarch64-unknown-linux-gnu
    else
        # By the oldest compiler, so that one build shows both.
        oldest_compiler
        with_oldest for_system aarch64-unknown-linux-gnu aarch64-linux-gnu-gcc rustc -- -D warnings
    fi
}

# The unit tests once more, as a program for Windows, with fewer patterns where patterns are tried.
windows_unit_tests() {
    CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=/usr/lib/wine/wine64 \
        WINEPREFIX=$target/wine/prefix WINEPATH="Z:${target//\//\\}\\wine" WINEDEBUG=-all LC_ALL=C.UTF-8 DISPLAY= \
        MDE_PROPERTY_CASES=${MDE_PROPERTY_CASES:-1000} MDE_FLEET_SEEDS=${MDE_FLEET_SEEDS:-1000} MDE_SEEDS=${MDE_SEEDS:-200} for_windows test "$@"
}

# The linker for old systems.
zig() {
    local version folder=$target/zig
    version=$(sed -n 's/^ziglang==\([^ ]*\).*/\1/p' packaging/zig.txt)
    if [ ! -e "$folder/$version" ]; then
        rm -rf "$folder"
        python3 -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --target "$folder" -r packaging/zig.txt
        touch "$folder/$version"
    fi
}

# What is built anew for each run takes longer if it is prepared for small changes.
[ "$mode" = core ] || export CARGO_INCREMENTAL=0

# One choice of packages for all, so that each crate is built once.
all=(--workspace)
skip=(--skip release_only::)
[ "$mode" != core ] || skip+=(--skip full::)
if [ "$(id -u)" != 0 ]; then
    skip+=(--skip as_root::)
    printf 'Tests that give files away are left out: only root can do that.\n'
fi

# program NAME THREADS [WORDS...]: the tests of one program. Most wait more than they work, so many run side by side.
program() { cargo test "${all[@]}" --no-fail-fast --test "$1" -- --test-threads="$2" "${skip[@]}" "${@:3}"; }

# some COMMAND...: tests that are chosen by their names, of which there have to be some.
some() {
    local printed
    printed=$(mktemp "$steps/some.XXXXXX")
    "$@" 2>&1 | tee "$printed"
    grep -q '^test result: ok\. [1-9]' "$printed" || die "no test has the name that was asked for: $*"
}

lints() {
    cargo clippy "${all[@]}" --all-targets -- -D warnings
    # The library as it is built, without the hooks of tests. Otherwise the build for Arm does that.
    [ "$mode" != core ] || cargo clippy -p mde -- -D warnings
}

# The quick part tries fewer patterns, and fewer orders of threads.
unit_tests() {
    [ "$mode" != core ] || export MDE_PROPERTY_CASES=${MDE_PROPERTY_CASES:-10000} MDE_MODEL_RUNS=${MDE_MODEL_RUNS:-2000}
    cargo test "${all[@]}" --no-fail-fast --lib --bins --test allocations
    cargo test "${all[@]}" --no-fail-fast --doc
}

# Without credentials, so that it never starts a real collection.
demonstration() {
    env -u MDE_TENANT_ID -u MDE_CLIENT_ID -u MDE_CLIENT_SECRET -u MDE_MACHINE_ID examples/demo.sh
}

two_builds() {
    ./packaging/package.sh --verify
    ./packaging/package.sh --verify x86_64-pc-windows-gnu
    ./packaging/package.sh --verify aarch64-unknown-linux-gnu
}

# The programs in C, the header and the promises once more, with the library that `cargo` alone builds.
by_cargo_alone() {
    export MDE_LIB_DIR=$target/release MDE_TEST_GLIBC=2.34
    some cargo test "${all[@]}" --no-fail-fast --test bindings -- c:: c_full::
    some cargo test "${all[@]}" --no-fail-fast --test release -- header:: compatibility::
}

# Debian's is too old. It is built without optimisation, which is faster, and stays in cargo's target folder.
cargo_c() {
    CARGO_TARGET_DIR=$target/tools/build cargo install cargo-c@0.10.24 --locked --root "$target/tools" \
        --config profile.release.opt-level=0 --config profile.release.lto=false
    rm -rf "$target/tools/build"
}

# The folder in which other runs find built programs.
as_documented() {
    unset MDE_LIB_DIR MDE_SIMULATOR MDE_LIMITER_BENCH MDE_TEST_GLIBC
    demonstration
    # Otherwise the benches would build them during their measured time.
    cargo build --release -p mde-simulator
    cargo build -p mde-limiter-bench --profile limiter-bench
    some cargo test "${all[@]}" --no-fail-fast --test release -- documents::
}

command -v cargo >/dev/null ||
    die 'cargo is missing; install Rust from https://rustup.rs and start a new shell'
# Background processes of shells ignore Ctrl-C, but tests send it.
cargo() { env --default-signal=INT,QUIT cargo "$@"; }

look_for_tools
step 'Rust toolchain' toolchain
# The rest is installed while the first programs are compiled, which takes no more than this and Rust.
if ! command -v cc >/dev/null || [ ! -e /usr/include/stdlib.h ]; then step 'Debian packages: the compiler' install gcc libc6-dev; fi
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
mkdir -p "$target"

# Builds that all tests use.
export MDE_ARCHIVE=$target/package/mde-$version-x86_64-unknown-linux-gnu.tar.gz
export MDE_LIB_DIR=$target/shipped/lib MDE_TEST_GLIBC=2.17
profile=debug
[ "$mode" != release ] || profile=archive
export MDE_LIB_DIR_WINDOWS=$target/package/build/x86_64-pc-windows-gnu/$profile
export MDE_LIB_DIR_AARCH64=$target/package/build/aarch64-unknown-linux-gnu/$profile
export MDE_SIMULATOR=$target/debug/mde-simulator
export MDE_LIMITER_BENCH=$target/debug/mde-limiter-bench
export MDE_CARGO_C=$target/tools/bin
PATH=$target/node/bin:$PATH

# The lanes. Builds have a lower priority than tests, some of which depend on the time. The archive has the normal
# priority, since most tests need it, and the other libraries come before what nothing waits for.
builds() {
    step 'Debian packages' tools
    step 'Linker for old systems' zig
    step 'Release archive' archive
    renice -n 10 -p $BASHPID >/dev/null
    [ "$mode" != core ] || return 0
    step 'Library and unit tests for Windows' library_for_windows
    step 'Library for Arm, by Rust 1.85' library_for_arm
}

tests_of_the_library() {
    check 'Formatting' cargo fmt --all --check
    step 'Test programs' cargo test "${all[@]}" --no-run
    after 'Debian packages'
    check 'Unit tests' unit_tests
    after 'OpenID provider and blob storage'
    check 'Tests: api' program api 6
    check 'Tests: network' program network 6
    check 'Tests: sign_in' program sign_in 6
    check 'Tests: quota' program quota 4
    check 'Tests: faults' program faults 1
    renice -n 15 -p $BASHPID >/dev/null
    check 'Lints' lints
}

tests_of_the_process() {
    after 'Test programs' 'Debian packages'
    check 'Tests: log' program log 1
    check 'Tests: wiped' program wiped 1
    check 'Tests: memory' program memory 1
    [ "$mode" != core ] || return 0
    after 'Release archive'
    check 'Tests: soak' program soak 2
}

tests_of_what_is_shipped() {
    after 'Debian packages'
    renice -n 5 -p $BASHPID >/dev/null
    step 'OpenID provider and blob storage' peers
    step 'Runtimes of .NET' tests/dotnet/runtimes.sh "$target/dotnet"
    [ "$mode" = core ] || step 'Type checker for Python' type_checker
    after 'Test programs' 'Release archive'
    check 'Tests: bindings' program bindings 3 --skip targets::
    check 'Tests: release' program release 6
    [ "$mode" != core ] || return 0
    check 'The demonstration' demonstration
    after 'Library and unit tests for Windows' 'Library for Arm, by Rust 1.85'
    check 'Tests: bindings, other systems' some program bindings 4 targets::
    # In the folder that the tests before it made for Wine.
    check 'Unit tests on Windows' windows_unit_tests
}

lane builds
lane tests_of_the_library
lane tests_of_the_process
lane tests_of_what_is_shipped
lanes_end

# Tests that only a release needs. They take hours.
if [ "$mode" = release ]; then
    step 'Two builds, byte for byte' two_builds
    step 'Library by cargo alone' cargo rustc -p mde --release --lib --crate-type cdylib
    step 'Tests: library by cargo alone' by_cargo_alone
    step 'cargo-c' cargo_c
    step 'Tests: cargo-c' some cargo test "${all[@]}" --test release -- release_only::
    step 'Tests: bindings, what a release needs' some cargo test "${all[@]}" --no-fail-fast --test bindings -- release_only::
    step 'Rust 1.85' msrv
    step 'Faults, at every byte' some cargo test "${all[@]}" --no-fail-fast --test faults -- release_only::
    step 'Soak, an hour' some env MDE_SOAK_SECONDS=3600 cargo test "${all[@]}" --test soak -- nothing_grows
    step 'Seeds, ten times as many' some env MDE_SEEDS=10000 cargo test "${all[@]}" --lib seed::
    step 'Checkers' tests/checkers.sh
    step 'Fuzzing' env MDE_FUZZ_SECONDS=300 tests/fuzz/run.sh long
    step 'Patterns, ten times as many' some env MDE_PROPERTY_CASES=1000000 cargo test "${all[@]}" --lib properties::
    MDE_PROPERTY_CASES=100000 step 'Patterns on Windows, all of them' some windows_unit_tests properties::
    step 'Models, ten times as often' some env MDE_MODEL_RUNS=200000 cargo test "${all[@]}" --lib models::
    step 'Programs that cargo builds' as_documented
    step 'A bare Debian' tests/bare.sh "$target/bare"
fi

table
printf '\n== All passed in %d s\n' $((SECONDS - started))
