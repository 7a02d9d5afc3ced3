#!/usr/bin/env bash
# The linker of the release archive: makes a library that asks for no newer glibc than 2.17, of 2012, whatever the
# machine has that it is built on.
#
# MDE_ZIG names the zig that knows which functions that glibc had; `pip install ziglang` brings it. The unwinder
# remains the one of the host, libgcc_s, as in every build: zig's own would be a second one in the process.
set -euo pipefail
: "${MDE_ZIG:?names no zig; pip install --target FOLDER ziglang, then MDE_ZIG=FOLDER/ziglang/zig}"
arguments=()
for argument in "$@"; do
    case $argument in
        -lgcc_s) arguments+=("$(cc -print-file-name=libgcc_s.so.1)") ;;
        # Options of GNU's tools that say what zig does anyway.
        -m64 | -Wl,--no-undefined-version) ;;
        *) arguments+=("$argument") ;;
    esac
done
# What zig compiles itself, a few lines of that glibc, tells debuggers where it came from: no folder of this machine.
exec 9<"$(dirname "$MDE_ZIG")/lib"
cd /
ZIG_LIB_DIR=/proc/self/fd/9 exec "$MDE_ZIG" cc -target "$(uname -m)-linux-gnu.2.17" "${arguments[@]}"
