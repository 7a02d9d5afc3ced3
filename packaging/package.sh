#!/usr/bin/env bash
# Makes the release archive of one target, and the debug symbols beside it.
#
#     packaging/package.sh           for this machine: x86_64-unknown-linux-gnu
#     packaging/package.sh TARGET    for x86_64-unknown-linux-gnu, x86_64-unknown-linux-musl,
#                                    aarch64-unknown-linux-gnu or x86_64-pc-windows-gnu
#     packaging/package.sh --verify [TARGET]   also builds a copy of the sources in another folder, and compares both
#     packaging/package.sh --help
#
# Writes mde-VERSION-TARGET.tar.gz (.zip for Windows), mde-VERSION-TARGET-debug.tar.gz and SHA256SUMS into
# the folder `package` of cargo's target folder, and prints the path of the archive.
#
# The standard library is compiled with the library. This removes its printing of backtraces and makes all targets
# alike. It needs the compiler's unstable options, which Debian's compiler has as well. `RUSTC` and `CARGO` name
# other compilers.
#
# The same sources, compilers and date give the same bytes in every folder. `SOURCE_DATE_EPOCH` is the date of all
# files, by default that of the last commit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$(pwd -P)
cd "$root"

die() { printf 'package.sh: %s\n' "$*" >&2; exit 1; }
say() { printf 'package.sh: %s\n' "$*" >&2; }

targets='x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu x86_64-unknown-linux-musl x86_64-pc-windows-gnu'
usage="usage: packaging/package.sh [--verify] [TARGET]; targets: $targets"
verify=''
case ${1:-} in
    --verify) verify=yes; shift ;;
    -h | --help) printf '%s\n' "$usage"; exit ;;
esac
[ $# -le 1 ] || die "$usage"
target=${1:-x86_64-unknown-linux-gnu}

# What a target needs: prefix of the binary utilities, linker, more programs, Debian packages.
prefix='' linker=cc last_linker='' more='' needed='gcc libc6-dev'
case $target in
    # Asks for no newer glibc than systems of the last ten years have.
    x86_64-unknown-linux-gnu) last_linker=$root/packaging/link_for_old_glibc.sh ;;
    x86_64-unknown-linux-musl) linker=musl-gcc needed='musl-tools' ;;
    aarch64-unknown-linux-gnu)
        prefix=aarch64-linux-gnu- linker=aarch64-linux-gnu-gcc needed='gcc-aarch64-linux-gnu libc6-dev-arm64-cross' ;;
    x86_64-pc-windows-gnu) prefix=x86_64-w64-mingw32- linker=x86_64-w64-mingw32-gcc more='llvm-dlltool zip' needed='mingw-w64 llvm zip' ;;
    *) die "the target \`$target\` is unknown; known are: $targets" ;;
esac

rustc=${RUSTC:-/usr/bin/rustc} cargo=${CARGO:-/usr/bin/cargo}
# A cargo that runs this script names itself.
[ -n "${RUSTC:-}" ] || cargo=/usr/bin/cargo
needed="rustc-web cargo-web rust-web-src python3 $needed"
require() { command -v "$1" >/dev/null || die "\`$1\` is missing; as root: apt-get install $needed"; }
if [ "${target##*-}" = musl ] && [ -e /etc/debian_version ]; then
    die "Debian has no libgcc_s for musl; build where musl is the system's, on Alpine for example"
fi
for command in "$rustc" "$cargo" "$linker" "${prefix}objcopy" $more python3 sha256sum; do require "$command"; done
sources=$("$rustc" --print sysroot)/lib/rustlib/src/rust
[ -e "$sources/library/std/Cargo.toml" ] || die "the compiler's own sources are missing; as root: apt-get install $needed"
sources=$(readlink -f "$sources")

if [ "${target##*-}" = musl ] && ! "$linker" -shared -xc /dev/null -lgcc_s -o /dev/null 2>/dev/null; then
    die "\`$linker\` has no libgcc_s for musl, as Debian's has none; build where musl is the system's, on Alpine for example"
fi

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
abi=$(sed -n 's/^const ABI_VERSION: u32 = \(.*\);/\1/p' build.rs)
name=mde-$version-$target
# The sources are a checkout, or an export without other files. Git refuses a checkout of another user. That is an error
# and not an export, since files of builds and tests would be packed.
is_checkout=
[ ! -e .git ] || is_checkout=yes
[ -z "$is_checkout" ] || git ls-files -- packaging/package.sh >/dev/null || die 'git does not read this checkout, for the reason above'
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    # Zip has no earlier date.
    SOURCE_DATE_EPOCH=315619200
    [ -z "$is_checkout" ] || SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
fi
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC

folder=$(RUSTC=$rustc "$cargo" metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
# The version in zig.txt, which has its SHA-256.
zig_version=0.17.1
# The path must be absolute, since the linker is started in other folders.
MDE_ZIG=$(realpath -m "${MDE_ZIG:-$folder/zig/ziglang/zig}")
export MDE_ZIG
export ZIG_GLOBAL_CACHE_DIR=$folder/package/build/zig ZIG_LOCAL_CACHE_DIR=$folder/package/build/zig
[ -z "$last_linker" ] || [ -x "$MDE_ZIG" ] ||
    die "zig $zig_version is missing; run: python3 -m pip install --no-deps --require-hashes --target $folder/zig -r $root/packaging/zig.txt"
build=$folder/package/build
mkdir -p "$build"

# Compiles both libraries at once. Cargo's messages name the crates in it, the compiler's the libraries that a program
# with the static one needs.
compile() {
    local crates=${CARGO_HOME:-$HOME/.cargo}/registry/src upper from flags=() c_flags=
    upper=$(tr a-z- A-Z_ <<<"$target")
    # Paths of this machine would make every build different, and reveal its folders. Both compilers use the last one
    # that matches, so the outermost folder comes first.
    local maps=("$root=/mde" "$build=/build" "$sources=/rust" "/usr/lib/rustlib/src/rust=/rust")
    for from in "$crates"/*; do maps+=("$from=/crates"); done
    for from in "${maps[@]}"; do
        flags+=("--remap-path-prefix=$from")
        c_flags+=" '-ffile-prefix-map=$from'"
    done
    case $target in
        *-windows-gnu) flags+=(-Clink-arg=-Wl,--no-insert-timestamp "-Cdlltool=$root/packaging/dlltool") ;;
        # The whole process uses the system's libc.
        *-musl) flags+=(-Ctarget-feature=-crt-static -Clink-self-contained=no) ;;
    esac
    # The location of a panic in our code, or of our call of other code, is worth its bytes. The locations within other
    # code are not: they take 50 kB. Nor are the fields of its values for debugging, 20 kB. Nor is ChaCha20 in a form for each
    # kind of processor, 19 kB.
    local IFS=$'\x1f'
    env -u RUSTFLAGS -u CARGO_BUILD_RUSTFLAGS -u CARGO_BUILD_TARGET -u CARGO_TARGET_DIR \
        RUSTC="$rustc" RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER='' CARGO_TERM_COLOR=never CARGO_ENCODED_RUSTFLAGS="${flags[*]}" \
        CARGO_INCREMENTAL=0 CC_SHELL_ESCAPED_FLAGS=1 "CFLAGS_${target//-/_}=$c_flags" \
        "CARGO_TARGET_${upper}_LINKER=$linker" \
        "$cargo" rustc -p mde --lib --crate-type cdylib,staticlib --profile archive --locked --target "$target" \
        --target-dir "$build" -Zbuild-std=std,panic_unwind -Zbuild-std-features=optimize_for_size \
        -Zprofile-rustflags --config 'profile.archive.package."*".rustflags=["-Zlocation-detail=none","-Zfmt-debug=shallow","--cfg=chacha20_backend=\"soft\"","--cfg=poly1305_backend=\"soft\""]' \
        --message-format=json-render-diagnostics -- --print native-static-libs "-Clinker=${last_linker:-$linker}" \
        2>&1 >"$build/$target.json" | tee "$build/$target.log" >&2
}

# shape FROM TO: fills in a template.
shape() {
    sed -e "s|@version@|$version|g" -e "s|@target@|$target|g" -e "s|@abi@|$abi|g" -e "s|@libraries@|$libraries|g" \
        -e "s|@cmake_libraries@|${libraries// /;}|g" "packaging/$1" >"$2"
}

stage=$folder/package/stage-$target
pack() {
    local built=$build/$target/archive top=$stage/$name debug=$stage/debug/$name share
    share=$top/share/mde
    rm -rf "$stage"
    mkdir -p "$top"/{include,lib/pkgconfig,lib/cmake/mde} "$share"/{examples,bindings} "$debug/lib"
    cp -r include/. "$top/include/"
    libraries=$(sed -n 's/^.*native-static-libs: *//p' "$build/$target.log" | tail -n 1)
    [[ $libraries =~ ^(\ ?-l[A-Za-z0-9_.+-]+)+$ ]] ||
        die "the compiler did not list the libraries that the static library needs, but \`$libraries\`"

    local library place
    case $target in
        *-windows-gnu)
            library=mde.dll place=bin
            mkdir "$top/bin" "$debug/bin"
            cp "$built/libmde.dll.a" "$top/lib/"
            definitions "$built/mde.dll" >"$top/lib/mde.def"
            # Microsoft's linker expects this form.
            llvm-dlltool -m i386:x86-64 -d "$top/lib/mde.def" -D mde.dll -l "$top/lib/mde.lib"
            ;;
        *)
            library=libmde.so.$version place=lib
            ln -s "libmde.so.$abi" "$top/lib/libmde.so"
            ln -s "libmde.so.$version" "$top/lib/libmde.so.$abi"
            ;;
    esac
    local whole=$built/libmde.so
    [ $place = lib ] || whole=$built/mde.dll
    "${prefix}objcopy" --only-keep-debug "$whole" "$debug/$place/$library.debug"
    "${prefix}objcopy" --strip-all "$whole" "$top/$place/$library"
    # The link names a file beside the library and its checksum.
    (cd "$debug/$place" && "${prefix}objcopy" --add-gnu-debuglink="$library.debug" "$top/$place/$library")
    mkdir "$debug/lib/debug"
    cp "$built/libmde.a" "$debug/lib/debug/"
    "${prefix}objcopy" --strip-debug --enable-deterministic-archives "$built/libmde.a" "$top/lib/libmde.a"

    shape mde.pc.in "$top/lib/pkgconfig/mde.pc"
    shape mde-static.pc.in "$top/lib/pkgconfig/mde-static.pc"
    local part
    for part in config config-version; do shape "mde-$part.cmake.in" "$top/lib/cmake/mde/mde-$part.cmake"; done
    for part in examples/{c,cpp,dotnet,go,lua,node,python} bindings/{dotnet,python}; do
        [ ! -d "$part" ] || copy "$part" "$share/${part%/*}/"
    done
    copy docs "$share/"
    cp README.md CHANGELOG.md SECURITY.md LICENSE-* "$share/"
    python3 packaging/links.py "$top" share/mde
    python3 packaging/bill.py --version "$version" --target "$target" --messages "$build/$target.json" --lock Cargo.lock \
        --rust "$sources" --rustc "$("$rustc" --version)" --to "$share"

    find "$stage" -type d -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
    chmod 755 "$top/$place/$library"
    find "$stage" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
    archive "$stage" "$name" "$folder/package/$name"
    tarball "$stage/debug" "$name" "$folder/package/$name-debug.tar.gz"
    rm -rf "$stage"
}

# listed PATH...: the files that belong to the sources, without those of builds and tests.
listed() {
    if [ -n "$is_checkout" ]; then
        git ls-files -z -- "$@"
    else
        find "$@" -path ./target -prune -o -type f -print0
    fi
}

# copy FOLDER INTO: its files into a folder of the same name.
copy() {
    listed "$1" | tar -c --null --files-from=- | tar -x -C "$2" --strip-components="$(tr -dc / <<<"$1" | wc -c)"
}

# Prints the export table as a module definition file.
definitions() {
    printf 'LIBRARY mde.dll\nEXPORTS\n'
    "${prefix}objdump" -p "$1" | sed -n 's/^.*\(\bmde_[a-z_]*\)$/    \1/p' | sort -u
}

tarball() {
    tar -c -C "$1" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" "$2" |
        gzip -9n >"$3.part"
    mv "$3.part" "$3"
}

archive() {
    case $target in
        *-windows-gnu)
            rm -f "$3.zip"
            (cd "$1" && find "$2" ! -type d | sort | zip -q -X -9 -@ "$3.zip")
            result=$3.zip
            ;;
        *)
            tarball "$1" "$2" "$3.tar.gz"
            result=$3.tar.gz
            ;;
    esac
}

compile
pack
(cd "$folder/package" && sha256sum mde-"$version"-*.tar.gz $(ls mde-"$version"-*.zip 2>/dev/null) >SHA256SUMS)

if [ -n "$verify" ]; then
    other=$(mktemp -d "$folder/package/another place.XXXXXX")
    trap 'rm -rf "$other"' EXIT
    mkdir "$other/checkout"
    listed . | tar -c --null --files-from=- | tar -x -C "$other/checkout"
    say "building again in $other"
    CARGO_TARGET_DIR="$other/target" "$other/checkout/packaging/package.sh" "$target" >/dev/null
    for file in "$folder/package/$name"*; do
        [ -f "$file" ] || continue
        cmp "$file" "$other/target/package/${file##*/}" || die "two builds differ: ${file##*/}"
    done
    say 'two builds in two folders are the same, byte for byte'
fi
printf '%s\n' "$result"
