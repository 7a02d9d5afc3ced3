# Runs steps one after the other, or side by side in lanes, and says how long each took. For tests/run.sh.
#
#     step NAME COMMAND...   runs a command; if it fails, everything ends
#     lane COMMAND...        runs steps beside those of other lanes; what a step prints is shown when it ends
#     after NAME...          waits for steps of other lanes
#     lanes_end              waits for all lanes
#     table                  seconds of each step, longest first

steps=$(mktemp -d)
started=$SECONDS
in_lane=
lanes=()
trap steps_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# kill_below PID: its children and theirs.
kill_below() {
    local child
    for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
        kill_below "$child"
        kill "$child" 2>/dev/null || true
    done
}

steps_end() {
    local code=$?
    [ -e "$steps/failed" ] && code=1
    if [ $code -ne 0 ]; then
        kill_below $$
        printf '\n== FAILED: %s\n' "$(cat "$steps/failed" 2>/dev/null || cat "$steps/current" 2>/dev/null || echo starting)" >&2
    fi
    rm -rf "$steps"
    exit $code
}

step() {
    local name=$1 since=$SECONDS code=0
    shift
    if [ -z "$in_lane" ]; then
        echo "$name" >"$steps/current"
        printf '\n== %s\n' "$name"
        "$@"
    else
        # Not in a condition, where a function would go on after a command that failed.
        "$@" >"$steps/$name.log" 2>&1 </dev/null &
        wait $! || code=$?
        (
            flock 9
            # The first failure is the one to show; the others are ended by it.
            [ ! -e "$steps/failed" ] || exit 0
            printf '\n== %s\n' "$name"
            cat "$steps/$name.log"
            [ $code -eq 0 ] || echo "$name" >"$steps/failed"
        ) 9>"$steps/lock"
        [ $code -eq 0 ] || exit $code
    fi
    printf -- '-- %s: %d s\n' "$name" $((SECONDS - since))
    printf '%d %s\n' $((SECONDS - since)) "$name" >>"$steps/times"
    : >"$steps/$name.done"
}

lane() {
    (
        in_lane=yes
        "$@"
    ) &
    lanes+=($!)
}

after() {
    local name
    for name; do
        while [ ! -e "$steps/$name.done" ]; do sleep 0.2; done
    done
}

lanes_end() {
    local lane
    while [ -n "$(jobs -rp)" ]; do
        [ ! -e "$steps/failed" ] || exit 1
        sleep 0.2
    done
    for lane in "${lanes[@]}"; do wait "$lane" || exit 1; done
    lanes=()
}

table() {
    printf '\n  seconds  step (some ran side by side)\n'
    sort -k1,1nr "$steps/times" | while read -r seconds name; do printf '%9d  %s\n' "$seconds" "$name"; done
}
