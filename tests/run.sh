#!/usr/bin/env bash
# Sets up and runs the tests, from any directory.
#
#     tests/run.sh         everything
#     tests/run.sh core    the quick part: without valgrind, sanitizers, static linking, models, Redis, .NET 8 and
#                          the demonstration
#
# Needs Rust; installs missing Debian packages when run as root, and otherwise says which command does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Shells have what they start in the background ignore Ctrl-C, and tests send it.
[ -n "${MDE_TEST_SIGNALS:-}" ] || MDE_TEST_SIGNALS=default exec env --default-signal=INT,QUIT tests/run.sh "$@"

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
    for pair in abidiff:abigail-tools cc:gcc c++:g++ clang:clang clang++:clang nm:binutils cmake:cmake curl:curl doxygen:doxygen ip:iproute2 \
        kill:procps mcs:mono-mcs mono:mono-runtime xbuild:mono-xbuild nginx:nginx-light node:nodejs npm:npm openssl:openssl \
        pip3:python3-pip pkg-config:pkg-config python3:python3 script:bsdutils strace:strace tinyproxy:tinyproxy-bin \
        unshare:util-linux zip:zip; do
        PATH=$PATH:/usr/sbin type -P "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
    # The class library that mcs compiles against.
    [ -e /usr/lib/mono/4.5/System.Core.dll ] || missing+=(libmono-cil-dev)
    if [ "$mode" = full ]; then
        /usr/bin/python3 -c 'import pip, setuptools' 2>/dev/null || missing+=(python3-pip python3-setuptools)
        command -v valgrind >/dev/null || missing+=(valgrind)
        # The header for C++ with the other standard library, and for Windows.
        [ -d /usr/include/c++/v1 ] || missing+=(libc++-dev libc++abi-dev)
        command -v x86_64-w64-mingw32-g++ >/dev/null || missing+=(g++-mingw-w64-x86-64)
        # What programs built with sanitizers are linked with.
        printf 'int main(void) { return 0; }\n' | clang -fsanitize=thread -xc - -o /dev/null 2>/dev/null ||
            missing+=(libclang-rt-dev)
        [ -x /usr/sbin/squid ] || missing+=(squid)
        # valgrind needs the symbols of the dynamic loader.
        [ -d /usr/lib/debug ] || missing+=(libc6-dbg)
        command -v redis-server >/dev/null || missing+=(redis-server)
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
    # For cargo-c.
    [ "$mode" = core ] || [ -e /usr/include/openssl/ssl.h ] || missing+=(libssl-dev)
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

# Debian's is too old. It stays in cargo's target folder, and takes less long to build than to optimise.
cargo_c() {
    CARGO_TARGET_DIR=$target/tools/build cargo install cargo-c@0.10.24 --locked --root "$target/tools" \
        --config profile.release.opt-level=0 --config profile.release.lto=false
    rm -rf "$target/tools/build"
    export MDE_CARGO_C=$target/tools/bin
}

# For the tests of the archive, and of all that is built with nothing else.
archive() {
    MDE_ARCHIVE=$(if [ "$mode" = core ]; then ./package.sh; else ./package.sh --verify; fi)
    export MDE_ARCHIVE
}

# The last version that checks for Python 3.8.
type_checker() {
    local version=1.14.1 folder=$target/mypy
    [ -d "$folder/mypy-$version.dist-info" ] && return
    rm -rf "$folder"
    /usr/bin/python3 -m pip install -q --disable-pip-version-check --target "$folder" "mypy==$version"
}

# The oldest compiler that is promised, as Debian has it. Not installed but unpacked: a newer one has the same name.
msrv() {
    local version folder=$target/msrv package
    local lib=$folder/usr/lib/x86_64-linux-gnu
    if [ ! -e "$folder/unpacked" ]; then
        rm -rf "$folder"
        mkdir -p "$folder/packages"
        [ "$(id -u)" != 0 ] || apt-get update -q
        version=$(apt-cache madison rustc-web | awk '$3 ~ /^1\.85\./ { print $3; exit }')
        [ -n "$version" ] || die 'Debian has no rustc-web 1.85 here; look with: apt-cache madison rustc-web'
        (
            cd "$folder/packages"
            apt-get download -q {rustc-web,cargo-web,libstd-rust-web-1.85,libstd-rust-web-dev}="$version" \
                libllvm19 libhttp-parser2.9 libpcre3 libssh2-1
        )
        for package in "$folder"/packages/*.deb; do dpkg -x "$package" "$folder"; done
        rm -r "$folder/packages"
        touch "$folder/unpacked"
    fi
    LD_LIBRARY_PATH=$lib:$folder/lib/x86_64-linux-gnu RUSTC=$folder/usr/bin/rustc CARGO_TARGET_DIR=$folder/target \
        CARGO_PROFILE_DEV_DEBUG=false \
        "$folder/usr/bin/cargo" build -p mde --lib --locked
}

# The unit tests once more, as a program for Windows. The tests before it made the folder for Wine.
unit_tests_on_windows() {
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_PROFILE_TEST_DEBUG=false \
        CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=/usr/lib/wine/wine64 \
        WINEPREFIX=$target/wine/prefix WINEPATH="Z:${target//\//\\}\\wine" WINEDEBUG=-all LC_ALL=C.UTF-8 DISPLAY= \
        /usr/bin/cargo test -p mde --lib --locked --target x86_64-pc-windows-gnu --target-dir "$target/package/build" \
        -Zbuild-std=std,panic_unwind,test
}

# The linker that knows what old systems have.
zig() {
    local version folder=$target/zig
    version=$(sed -n 's/^zig_version=//p' package.sh)
    if [ ! -e "$folder/$version" ]; then
        rm -rf "$folder"
        python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" "ziglang==$version"
        touch "$folder/$version"
    fi
}

# The programs in C once more, with the library as it is shipped.
shipped() {
    local folder=$target/shipped
    rm -rf "$folder"
    mkdir "$folder"
    tar -xf "$MDE_ARCHIVE" -C "$folder" --strip-components=1
    MDE_LIB_DIR=$folder/lib MDE_TEST_GLIBC=2.17 cargo test -p mde --test c_abi --test compatibility --test header
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
step 'Linker for old systems' zig
step 'Archive of the release' archive
step 'Runtimes of .NET' tests/dotnet/runtimes.sh "$target/dotnet" "$mode"

if [ "$mode" = core ]; then
    step 'Tests, without the slow ones in C' cargo test --workspace --no-fail-fast -- --skip full::
else
    step 'Type checker for Python' type_checker
    # Without credentials, so that it never starts a real collection.
    step 'The demonstration' env -u MDE_TENANT_ID -u MDE_CLIENT_ID -u MDE_CLIENT_SECRET -u MDE_MACHINE_ID \
        examples/demo.sh
    step 'cargo-c' cargo_c
    # Each once; tests/targets.rs takes them from there.
    step 'Library for Windows' ./package.sh x86_64-pc-windows-gnu
    step 'Library for Arm' ./package.sh aarch64-unknown-linux-gnu
    export MDE_LIB_DIR_WINDOWS=$target/package/build/x86_64-pc-windows-gnu/archive
    export MDE_LIB_DIR_AARCH64=$target/package/build/aarch64-unknown-linux-gnu/archive
    step 'Tests' cargo test --workspace --no-fail-fast
    step 'Unit tests on Windows' unit_tests_on_windows
    step 'Rust 1.85' msrv
    step 'The library of the archive' shipped
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
