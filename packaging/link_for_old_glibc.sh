#!/usr/bin/env bash
# The linker of the release archive. The library needs only glibc 2.17, of 2012, whatever glibc the building machine
# has.
#
# MDE_ZIG names the program zig, which knows the functions of that glibc; `pip install -r zig.txt` installs it. The unwinder
# stays the host's libgcc_s, as in every build: zig's own would be a second one in the process.
set -euo pipefail
: "${MDE_ZIG:?names no zig; pip install --require-hashes --target FOLDER -r packaging/zig.txt, then MDE_ZIG=FOLDER/ziglang/zig}"
arguments=()
for argument in "$@"; do
    case $argument in
        -lgcc_s) arguments+=("$(cc -print-file-name=libgcc_s.so.1)") ;;
        # Options of GNU's tools for zig's default behaviour.
        -m64 | -Wl,--no-undefined-version) ;;
        *) arguments+=("$argument") ;;
    esac
done
# zig compiles a few lines of that glibc, whose debug information has the path of the source. It must not be a folder of
# this machine.
exec 9<"$(dirname "$MDE_ZIG")/lib"
cd /
ZIG_LIB_DIR=/proc/self/fd/9 exec "$MDE_ZIG" cc -target "$(uname -m)-linux-gnu.2.17" "${arguments[@]}"
