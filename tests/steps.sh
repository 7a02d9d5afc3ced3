# Runs steps one after the other, or side by side in lanes, and prints how long each took. For tests/run.sh.
#
#     step NAME COMMAND...    runs a command; if it fails, its lane ends, or everything outside of lanes
#     check NAME COMMAND...   the same, but its lane goes on, so that one run shows all that fails
#     lane COMMAND...         runs steps beside those of other lanes; what a step prints is shown when it ends
#     after NAME...           waits for steps of other lanes
#     lanes_end               waits for all lanes, and ends everything if something has failed
#     table                   seconds of each step, and those of the processor in it, longest first

steps=$(mktemp -d)
started=$SECONDS
in_lane=
lanes=0
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
    if [ $code -ne 0 ]; then
        kill_below $$
        [ ! -s "$steps/times" ] || table
        printf '\n'
        while read -r name; do printf '== FAILED: %s\n' "$name"; done <"$steps/failed" >&2
        [ -s "$steps/failed" ] || printf '== ENDED in: %s\n' "$(cat "$steps/current" 2>/dev/null || echo 'the beginning')" >&2
    fi
    rm -rf "$steps"
    exit $code
}
: >"$steps/failed"

# In a lane: the step is done or has failed, whether its output can be shown or not.
show() {
    local name=$1 code=$2 seconds=$3
    if [ "$code" -eq 0 ]; then : >"$steps/$name.done"; else echo "$name" >>"$steps/failed"; fi
    printf '%d %d %s\n' "$seconds" "$(spent "$name")" "$name" >>"$steps/times"
    (
        flock 9
        printf '\n== %s\n' "$name"
        cat "$steps/$name.log"
        printf -- '-- %s: %d s\n' "$name" "$seconds"
    ) 9>"$steps/lock" || true
}

# Runs a command as a process of its own that leaves its times.
timed() {
    trap 'times >"$steps/$name.spent"' EXIT
    "$@"
}

# spent NAME: seconds of the processor.
spent() { awk -F '[ms ]+' 'NR == 2 { printf "%d", $1 * 60 + $2 + $3 * 60 + $4 }' "$steps/$1.spent"; }

check() {
    local name=$1 since=$SECONDS code=0
    shift
    if [ -z "$in_lane" ]; then
        echo "$name" >"$steps/current"
        printf '\n== %s\n' "$name"
        # Not in a condition, where a function would go on after a command that failed.
        timed "$@" &
        wait $! || code=$?
        printf -- '-- %s: %d s\n' "$name" $((SECONDS - since))
        printf '%d %d %s\n' $((SECONDS - since)) "$(spent "$name")" "$name" >>"$steps/times"
        [ $code -eq 0 ] || echo "$name" >>"$steps/failed"
        result=$code
        return
    fi
    timed "$@" >"$steps/$name.log" 2>&1 </dev/null &
    wait $! || code=$?
    show "$name" $code $((SECONDS - since))
    result=$code
}

step() {
    check "$@"
    [ "$result" -eq 0 ] || exit "$result"
}

# Lanes that wait for a step of this one end as well; what runs meanwhile runs to its end.
lane_ends() {
    local code=$?
    [ $code -ne 0 ] || return 0
    : >"$steps/given-up"
    [ -s "$steps/failed" ] || echo "$1" >>"$steps/failed"
}

lane() {
    (
        in_lane=yes
        trap "lane_ends '$1'" EXIT
        trap - INT TERM
        "$@"
    ) &
    lanes=$((lanes + 1))
}

after() {
    local name
    for name; do
        while [ ! -e "$steps/$name.done" ]; do
            [ ! -e "$steps/given-up" ] || exit 0
            sleep 0.2
        done
    done
}

lanes_end() {
    while [ "$lanes" -gt 0 ]; do
        wait -n || lane_ends 'a lane'
        lanes=$((lanes - 1))
    done
    [ ! -s "$steps/failed" ] || exit 1
}

table() {
    printf '\n  seconds  of a processor  step (some ran side by side)\n'
    sort -k1,1nr "$steps/times" | while read -r seconds spent name; do
        printf '%9d  %14d  %s\n' "$seconds" "$spent" "$name"
    done
}
