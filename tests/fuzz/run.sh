#!/usr/bin/env bash
# Builds the fuzz targets and runs them.
#
#     tests/fuzz/run.sh replay              the corpus and all findings, once
#     tests/fuzz/run.sh short               the same, and a minute of fuzzing in all
#     tests/fuzz/run.sh long [TARGET…]      10 million inputs or twenty minutes for each target, whichever comes first
#     tests/fuzz/run.sh merge [TARGET…]     adds to the corpus what reached other code in a long run
#
# The compiler is the usual one. Its coverage and its sanitizer are not stable, hence RUSTC_BOOTSTRAP. MDE_FUZZ_SECONDS and
# MDE_FUZZ_INPUTS are other bounds. A finding goes to tests/fuzz/findings/TARGET, where it stays.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

die() { printf 'tests/fuzz/run.sh: %s\n' "$*" >&2; exit 1; }

mode=${1:-short}
shift || true
all=(options devices replies headers proxies redirects json_get states journal certificates quota_file zip c_calls fetch)
targets=("${@:-${all[@]}}")

host=$(rustc -vV | sed -n 's/^host: //p')
folder=${CARGO_TARGET_DIR:-../../target}/fuzz
coverage='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters'
coverage+=' -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares'
# A target of its own: what runs while something is built needs no sanitizer.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="--cfg fuzzing $coverage -Zsanitizer=address" \
    cargo build --quiet --release --locked --bins --target "$host" --target-dir "$folder"

export ASAN_OPTIONS=detect_odr_violation=0:abort_on_error=1:${ASAN_OPTIONS:-}
# Files in memory. A target that ends at a finding leaves some.
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ]; then TMPDIR=/dev/shm; fi
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/mde-fuzz.XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

program() { printf '%s/%s/release/%s' "$folder" "$host" "$1"; }

# The inputs that are committed.
replay() {
    local inputs
    mapfile -t inputs < <(find "corpus/$1" "findings/$1" -type f 2>/dev/null | sort)
    [ ${#inputs[@]} -gt 0 ] || die "$1 has no inputs"
    "$(program "$1")" -timeout=20 "${inputs[@]}" >"$folder/$1.log" 2>&1 || {
        tail -n 40 "$folder/$1.log" >&2
        die "$1: an input of the corpus or a finding fails"
    }
    printf '%s: %d inputs replayed\n' "$1" ${#inputs[@]}
}

# fuzz TARGET SECONDS INPUTS
fuzz() {
    local grown=$folder/corpus/$1 code=0 leaks=1
    # Where a server has threads of its own, what they begin with looks like a leak.
    case $1 in c_calls | fetch) leaks=0 ;; esac
    mkdir -p "$grown" "findings/$1"
    "$(program "$1")" -max_total_time="$2" -runs="$3" -timeout=20 -detect_leaks="$leaks" -rss_limit_mb=4096 -max_len=4096 -dict=words.dict -print_funcs=0 -reload=0 \
        -artifact_prefix="findings/$1/" -print_final_stats=1 "$grown" "corpus/$1" >"$folder/$1.log" 2>&1 || code=$?
    rmdir --ignore-fail-on-non-empty "findings/$1"
    if [ "$code" -ne 0 ]; then
        grep -v '^#[0-9]' "$folder/$1.log" | tail -n 60 >&2
        printf '%s: FINDING\n' "$1"
        return 1
    fi
    sed -n "s/^Done \([0-9]*\) runs in \([0-9]*\) second.*/$1: \1 inputs in \2 s/p" "$folder/$1.log"
}

bad=()
case $mode in
    replay) for target in "${targets[@]}"; do replay "$target"; done ;;
    short)
        for target in "${targets[@]}"; do replay "$target"; done
        seconds=$((${MDE_FUZZ_SECONDS:-60} / ${#targets[@]}))
        for target in "${targets[@]}"; do fuzz "$target" "$seconds" "${MDE_FUZZ_INPUTS:-10000000}" || bad+=("$target"); done ;;
    long)
        for target in "${targets[@]}"; do
            fuzz "$target" "${MDE_FUZZ_SECONDS:-1200}" "${MDE_FUZZ_INPUTS:-10000000}" || bad+=("$target")
        done ;;
    merge)
        for target in "${targets[@]}"; do
            "$(program "$target")" -merge=1 -timeout=20 -max_len=4096 "corpus/$target" "$folder/corpus/$target" 2>/dev/null
        done ;;
    *) die 'usage: tests/fuzz/run.sh [replay|short|long|merge] [TARGET…]' ;;
esac
[ ${#bad[@]} -eq 0 ] || die "findings in: ${bad[*]}"
