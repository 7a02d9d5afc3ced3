#!/usr/bin/env bash
# Measures the cost of one call: libmde against libcurl + cJSON and against plain sockets, with nginx as the server.
#
#     benches/run.sh calls          CPU and wall time, system calls, threads
#     benches/run.sh instructions   instructions per call
#     benches/run.sh memory         peak memory, size of the libraries
#     benches/run.sh cold           first answer, new connections, new clients
#     benches/run.sh overshoot      how late a stop ends a call
#     benches/run.sh limiter        cost and limits of the rate limiter, against the crate governor
#     benches/run.sh download       a large package to disk, from nginx and Azurite, against curl
#     benches/run.sh waits          a thousand waiting threads, against reading each action at an interval
#     benches/run.sh fleet          a call over 500 devices, against the least time of the quota
#     benches/run.sh waiting        memory of devices that wait in a job
#     benches/run.sh start          a job over 100,000 devices: until its first request, and its document
#     benches/run.sh gates          instructions and allocations of a call, against those of benches/gates/figures.txt
#     benches/run.sh all            everything but the gates
#
# MDE_LIB_DIR names a directory with the libmde.so to measure; without it, one is built. These variables change the numbers:
#     CALLS     calls per run (10,000)
#     ROUNDS    rounds of alternating runs (9; 7 of downloads, 5 of shared logs)
#     TRIALS    stops per phase (200)
#     WAITERS   waiting threads (1,000)
#     DEVICES   devices of a job (500 in fleet, which take four minutes; 100,000 in start; 250 to 1,000 in waiting)
#     MIB       size of the package (1,024)
# The gates hold for the library of the release archive, so they need MDE_LIB_DIR. With MDE_UPDATE_GATES=1 what is measured
# becomes the figures. TARGET is the folder for the package and the job. PROGRESS is a file for the progress of the part fleet.
# LIMITER_WITH is put before the program of the part limiter, for example 'chrt -f 5' on a machine that has other work.
# MDE_LIMITER_BENCH and MDE_SIMULATOR name these programs if they are built already.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
calls=${CALLS:-10000}
rounds=${ROUNDS:-9}
trials=${TRIALS:-200}
# Counts need fewer calls than times.
many=$((calls < 1200 ? calls : 1200))
few=$((many / 6))
counted=$((many - few))

die() { printf 'benches/run.sh: %s\n' "$*" >&2; exit 1; }

# Each tool or file with the Debian package that has it.
tools() {
    local missing=() pair
    for pair in gcc:gcc nginx:nginx-light openssl:openssl strace:strace valgrind:valgrind python3:python3 \
        ldd:libc-bin base64:coreutils taskset:util-linux /usr/include/stdlib.h:libc6-dev \
        /etc/ssl/certs/ca-certificates.crt:ca-certificates /usr/include/cjson/cJSON.h:libcjson-dev; do
        PATH=$PATH:/usr/sbin type -P "${pair%%:*}" >/dev/null || [ -e "${pair%%:*}" ] || missing+=("${pair##*:}")
    done
    printf '#include <curl/curl.h>\n' | gcc -fsyntax-only -xc - 2>/dev/null || missing+=(libcurl4-openssl-dev)
    [ ${#missing[@]} -eq 0 ] || die "missing tools; as root:
    apt-get install -y --no-install-recommends ${missing[*]}"
}

# The library, and the programs beside it.
build() {
    local lib=${MDE_LIB_DIR:-} flags
    if [ -z "$lib" ]; then
        command -v cargo >/dev/null || die 'cargo is missing; install Rust from https://rustup.rs'
        (cd "$here/.." && cargo rustc -p mde --release --lib --crate-type cdylib)
        lib=$(cd "$here/.." && cargo metadata --format-version 1 --no-deps |
            sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release
    fi
    [ -f "$lib/libmde.so" ] || die "there is no libmde.so in $lib"
    cp "$lib/libmde.so" "$work/libmde.so.0"
    ln -s libmde.so.0 "$work/libmde.so"
    flags=(-std=c99 -D_POSIX_C_SOURCE=200809L -O2 -Wall -Wextra -Werror -I "$here/../include" -I "$here/c")
    local mde=("-L$work" -lmde "-Wl,-rpath,$work") curl=(-lcurl -lcjson) name
    for name in mde curl raw; do
        local link=()
        [ $name = mde ] && link=("${mde[@]}")
        [ $name = curl ] && link=("${curl[@]}")
        gcc "${flags[@]}" -o "$work/${name}_calls" "$here/c/main.c" "$here/c/arguments.c" \
            "$here/c/${name}_calls.c" "${link[@]}"
        gcc "${flags[@]}" -shared -fPIC -o "$work/${name}_calls.so" "$here/c/${name}_calls.c" "${link[@]}"
    done
    gcc "${flags[@]}" -o "$work/first_answer" "$here/c/first_answer.c" "$here/c/arguments.c" -ldl
    gcc "${flags[@]}" -pthread -o "$work/overshoot" "$here"/overshoot/*.c "${mde[@]}"
}

# A CA and a server certificate, both ECDSA P-256.
certificates() {
    local ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
    (
        cd "$work"
        openssl req -x509 "${ec[@]}" -keyout ca.key -out ca.pem -days 30 -subj '/CN=bench CA' \
            -addext 'keyUsage=critical,keyCertSign' -addext 'basicConstraints=critical,CA:TRUE'
        openssl req "${ec[@]}" -keyout server.key -out server.csr -subj '/CN=localhost'
        printf '%s\n' 'subjectAltName=DNS:localhost,IP:127.0.0.1' 'extendedKeyUsage=serverAuth' \
            'keyUsage=digitalSignature' 'basicConstraints=CA:FALSE' >server.ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
            -extfile server.ext -out server.pem
    ) >"$work/openssl.log" 2>&1 || die "openssl failed: $(tail -n 3 "$work/openssl.log")"
    # libmde trusts the system's certificates and ca_file; libcurl gets both in one file.
    cat /etc/ssl/certs/ca-certificates.crt "$work/ca.pem" >"$work/trust.pem"
}

# A token of a usual size, whose claims name a tenant and an application.
token() {
    local claims
    claims=$(printf '{"tid":"9d4b7c1e-2f60-4a85-8c3d-51e0a7b6f924","appid":"3a8f5d02-6b7c-4e19-9f48-c2d1708be563","x":"%0900d"}' 0)
    printf 'eyJhbGciOiJub25lIn0.%s.AAAA\n' "$(printf '%s' "$claims" | base64 -w0 | tr '+/' '-_' | tr -d =)" >"$work/token"
}

# Prints ports of 127.0.0.1 that nothing has, below those that the system gives to connections.
unused_ports() {
    local port left=$1
    while [ "$left" -gt 0 ]; do
        port=$((20000 + (RANDOM << 15 | RANDOM) % 12000))
        ! (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null || continue
        printf '%d\n' "$port"
        left=$((left - 1))
    done
}

# nginx that answers with one machine action, on four ports: plain and TLS, with and without keep-alive.
serve() {
    local ports
    mkdir -p "$work/www"
    cat >"$work/www/action.json" <<'JSON'
{"@odata.context":"https://api-us3.securitycenter.microsoft.com/api/$metadata#MachineActions/$entity","id":"5382f7ea-7557-4ab7-9782-d50480024a4e","type":"CollectInvestigationPackage","title":null,"requestor":"3a8f5d02-6b7c-4e19-9f48-c2d1708be563","requestorComment":"case 4711","status":"Pending","machineId":"49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9","computerDnsName":"desktop-39g9tgl","creationDateTimeUtc":"2026-01-24T22:17:02.3605671Z","lastUpdateDateTimeUtc":"2026-01-24T22:17:02.3605672Z","cancellationRequestor":null,"cancellationComment":null,"cancellationDateTimeUtc":null,"errorHResult":0,"scope":null,"externalId":null,"requestSource":"PublicApi","relatedFileInfo":null,"commands":[],"troubleshootInfo":null}
JSON
    ports=$(unused_ports 4)
    set -- $ports
    http=http://127.0.0.1:$1 https=https://127.0.0.1:$2 http_closing=http://127.0.0.1:$3 https_closing=https://127.0.0.1:$4
    cat >"$work/answers.conf" <<'CONF'
root www;
types {}
default_type "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8";
location /api/machineactions/ { try_files /action.json =404; }
location /api/machines/ { error_page 405 =201 /action.json; return 405; }
CONF
    cat >"$work/nginx.conf" <<CONF
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events { worker_connections 256; }
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    large_client_header_buffers 4 64k;
    client_header_buffer_size 8k;
    open_file_cache max=10;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    ssl_certificate server.pem;
    ssl_certificate_key server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:1m;
    server { listen 127.0.0.1:$1; include answers.conf; }
    server { listen 127.0.0.1:$2 ssl; include answers.conf; }
    server { listen 127.0.0.1:$3; keepalive_timeout 0; include answers.conf; }
    server { listen 127.0.0.1:$4 ssl; keepalive_timeout 0; include answers.conf; }
}
CONF
    chmod 755 "$work" "$work/www"
    PATH=$PATH:/usr/sbin nginx -p "$work" -c "$work/nginx.conf" -e error.log 2>"$work/nginx.log" &
    server=$!
    for _ in $(seq 100); do
        "$work/raw_calls" get 1 "$http" "$work/token" 2>/dev/null && return
        sleep 0.1
    done
    die "nginx does not answer: $(cat "$work/nginx.log" "$work/error.log")"
}

# command PROGRAM MODE COUNT URL: with the files that belong to the program.
command_of() {
    local ca=$work/trust.pem
    [ "$1" = mde ] && ca=$work/ca.pem
    printf '%s' "$work/$1_calls $2 $3 $4 $work/token $ca"
}

programs_for() { case $1 in https:*) echo mde curl ;; *) echo mde curl raw ;; esac; }

label() { case $1 in https:*) echo "TLS $2" ;; *) echo "HTTP $2" ;; esac; }

# All cases on a warm connection: get and collect, over HTTP and TLS.
each_case() {
    local url mode
    for url in "$http" "$https"; do
        for mode in get collect; do "$@" "$url" "$mode"; done
    done
}

# Puts the server on a core; pairs.py puts the programs on one. On the same core the figures vary least. On two cores,
# waking each other costs more.
server_on() { taskset -cp "$1" "$server" >/dev/null; }

cpu_case() {
    local commands=() name
    for name in $(programs_for "$1"); do commands+=("$(command_of "$name" "$2" "$calls" "$1")"); done
    python3 "$here/pairs.py" --rounds "$rounds" --calls "$calls" --core "$core" \
        "$(label "$1" "$2")" "${commands[@]}"
}

# Counts system calls of two run lengths, so that those of start and end cancel out.
traced() {
    strace -f -c -U calls,name -o "$work/strace.$3" $(command_of "$1" "$2" "$3" "$4") || die "strace failed: $1"
}

system_calls_case() {
    local name
    for name in $(programs_for "$1"); do
        traced "$name" "$2" $few "$1"
        traced "$name" "$2" $many "$1"
        python3 - "$work/strace.$few" "$work/strace.$many" $counted "$(label "$1" "$2")" "$name" <<'PY'
import sys
def read(path):
    rows = (line.split() for line in open(path))
    return {r[-1]: int(r[0]) for r in rows if len(r) == 2 and r[0].isdigit() and r[-1] != "total"}
short, long, counted = read(sys.argv[1]), read(sys.argv[2]), int(sys.argv[3])
per = {name: (count - short.get(name, 0)) / counted for name, count in long.items()}
threads = sum(per.get(name, 0) for name in ("clone", "clone3", "fork", "vfork"))
shown = ", ".join(f"{n} {c:.3g}" for n, c in sorted(per.items(), key=lambda i: -i[1]) if c >= 0.005)
print(f"| {sys.argv[4]} | {sys.argv[5]} | {sum(per.values()):.2f} | {threads:.2f} | {shown} |")
PY
    done
}

cpu_table() {
    echo '| case | program | CPU µs per call | wall µs per call | CPU ratio | wall ratio |'
    echo '|---|---|---|---|---|---|'
}

# on_cores WHERE CORE: the programs on that core, the server on the first.
on_cores() {
    local core=$2
    printf '\nServer and program on %s. Median of %s rounds of %s calls; ratios to curl with smallest and largest.\n\n' \
        "$1" "$rounds" "$calls"
    cpu_table
    each_case cpu_case
}

calls_part() {
    server_on "$first_core"
    on_cores 'one core' "$first_core"
    if [ "$last_core" != "$first_core" ]; then
        on_cores 'a core each' "$last_core"
    else
        printf '\nThis machine has one core: there are no figures for a core each.\n'
    fi
    server_on "$first_core-$last_core"
    printf '\nSystem calls and threads per call (%s calls less %s calls).\n\n' $many $few
    echo '| case | program | system calls | threads | which |'
    echo '|---|---|---|---|---|'
    each_case system_calls_case
}

# instructions COMMAND...: those in user space.
instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 | sed -n 's/.*Collected : \([0-9]*\)$/\1/p'
}

# allocations COMMAND...: how often it gets memory from the C library.
allocations() {
    rm -f "$work/allocations"
    ALLOCATIONS=$work/allocations LD_PRELOAD=$work/allocations.so "$@"
    cat "$work/allocations"
}

# per_call MEASURE FEW MANY COMMAND...: what one call takes. The word N in the command stands for the number of calls.
per_call() {
    local measure=$1 few=$2 many=$3 word short long small=() large=()
    for word in "${@:4}"; do
        if [ "$word" = N ]; then small+=("$few") large+=("$many"); else small+=("$word") large+=("$word"); fi
    done
    short=$("$measure" "${small[@]}")
    long=$("$measure" "${large[@]}")
    [ -n "$short" ] && [ -n "$long" ] || die "no number of $measure: ${*:4}"
    printf '%d\n' $(((long - short) / (many - few)))
}

instructions_case() {
    local name took measure rows=()
    for name in $(programs_for "$1"); do
        took=$(per_call instructions "$few" "$many" $(command_of "$name" "$2" N "$1"))
        rows+=("$name $took")
        [ "$name" = curl ] && measure=$took
    done
    for name in "${rows[@]}"; do
        set -- "$1" "$2" $name
        printf '| %s | %s | %s | %s |\n' "$(label "$1" "$2")" "$3" "$4" \
            "$(python3 -c "print(f'{$4 / $measure:.2f}')")"
    done
}

instructions_part() {
    printf '\nInstructions in user space per call (%s calls less %s calls).\n\n' $many $few
    echo '| case | program | instructions | ratio |'
    echo '|---|---|---|---|'
    each_case instructions_case
}

# The libraries that a program loads beyond the C library and its loader.
libraries_of() {
    ldd "$work/$1_calls" | awk '$2 == "=>" {print $3} $1 ~ /^\// {print $1}' | xargs -n1 readlink -f | sort -u |
        grep -v -x -F -f <(ldd "$work/raw_calls" | awk '$2 == "=>" {print $3} $1 ~ /^\// {print $1}' |
            xargs -n1 readlink -f) || true
}

memory_part() {
    local name url
    printf '\nLibraries that are loaded beyond the C library.\n\n'
    echo '| program | files | KiB on disk |'
    echo '|---|---|---|'
    for name in mde curl; do
        libraries_of "$name" | xargs stat -L -c %s |
            awk -v name="$name" '{n++; size += $1} END {printf "| %s | %d | %.0f |\n", name, n, size / 1024}'
    done
    printf '\nPeak memory of the process, KiB, after 1 and 1,000 calls.\n\n'
    echo '| case | program | 1 call | 1,000 calls |'
    echo '|---|---|---|---|'
    for url in "$http" "$https"; do
        for name in $(programs_for "$url"); do
            printf '| %s | %s | %s | %s |\n' "$(label "$url" get)" "$name" \
                "$(BENCH_PEAK=1 $(command_of "$name" get 1 "$url"))" \
                "$(BENCH_PEAK=1 $(command_of "$name" get 1000 "$url"))"
        done
    done
}

first_answer_case() {
    python3 - "$rounds" "$(label "$1" '')" "$work" "$1" <<'PY'
import statistics, subprocess, sys
rounds, label, work, url = int(sys.argv[1]), *sys.argv[2:]
cases = {"mde": ("mde", "ca.pem"), "curl": ("curl", "trust.pem")}
if url.startswith("https"):
    cases["curl, trusting one CA"] = ("curl", "ca.pem")
took = {case: [] for case in cases}
for number in range(4 * rounds + 1):
    for case in (cases if number % 2 else reversed(cases)):
        name, ca = cases[case]
        words = [f"{work}/first_answer", f"{work}/{name}_calls.so", "get", "1", url, f"{work}/token", f"{work}/{ca}"]
        done = int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        if number:
            took[case].append(done / 1000)
for case, all in took.items():
    ratio = statistics.median(a / b for a, b in zip(all, took["curl"]))
    print(f"| {label.strip()} | {case} | {statistics.median(all):.1f} | {ratio:.2f} |")
PY
}

cold_part() {
    local count=$((calls < 200 ? calls : 200))
    printf '\nFrom dlopen() to the first answer (median of %s).\n\n' $((4 * rounds))
    echo '| case | program | ms | ratio |'
    echo '|---|---|---|---|'
    first_answer_case "$http"
    first_answer_case "$https"
    printf '\n%s calls in a row, each on a new connection or with a new client; median of %s rounds.\n\n' "$count" "$rounds"
    cpu_table
    server_on "$first_core"
    for url in "$http_closing" "$https_closing"; do
        python3 "$here/pairs.py" --rounds "$rounds" --calls $count --core "$first_core" \
            "$(label "$url" 'new connection')" \
            "$(command_of mde get $count "$url")" "$(command_of curl get $count "$url")"
        python3 "$here/pairs.py" --rounds "$rounds" --calls $count --core "$first_core" \
            "$(label "$url" 'new client')" \
            "$(command_of mde fresh $count "$url")" "$(command_of curl fresh $count "$url")"
    done
    server_on "$first_core-$last_core"
}

overshoot_part() { printf '\n'; "$work/overshoot" "$trials"; }

# limiter_program: needs a separate build, since the library exports its limiter only to tests and benches.
limiter_program() {
    [ -z "${MDE_LIMITER_BENCH:-}" ] || { printf '%s\n' "$MDE_LIMITER_BENCH"; return; }
    command -v cargo >/dev/null || die 'cargo is missing; install Rust from https://rustup.rs'
    (
        cd "$here/.."
        cargo build -q -p mde-limiter-bench --profile limiter-bench
        cargo metadata --format-version 1 --no-deps
    ) | sed 's/.*"target_directory":"\([^"]*\)".*/\1\/limiter-bench\/mde-limiter-bench/'
}

# Starts a Redis server that saves nothing, and sets redis to its address.
redis_server() {
    local port
    port=$(unused_ports 1)
    ${LIMITER_WITH:-} redis-server --bind 127.0.0.1 --port "$port" --dir "$work" --save '' --appendonly no \
        >"$work/redis.log" &
    redis_pid=$!
    redis=redis://127.0.0.1:$port
    for _ in $(seq 100); do
        (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null && return
        sleep 0.1
    done
    die "redis-server does not answer: $(cat "$work/redis.log")"
}

limiter_part() {
    local program redis stamps name missing=() pair
    for pair in valgrind:valgrind python3:python3 redis-server:redis-server; do
        type -P "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} -eq 0 ] || die "missing tools; as root:
    apt-get install -y --no-install-recommends ${missing[*]}"
    program=$(limiter_program)
    redis_server
    ${LIMITER_WITH:-} "$program" decisions
    printf '\nInstructions in user space per decision (120,000 decisions less 20,000).\n\n'
    echo '| stamps in the log | limiter | instructions |'
    echo '|---|---|---|'
    for stamps in 1 1500; do
        for name in ours governor; do
            printf '| %s | %s | %s |\n' $stamps $name \
                "$(per_call instructions 20000 120000 "$program" loop $name $stamps N)"
        done
    done
    ${LIMITER_WITH:-} "$program" bursts
    ${LIMITER_WITH:-} "$program" shared "$work" "$redis"
    ${LIMITER_WITH:-} "$program" lateness "$work" "$trials" "$redis"
    ${LIMITER_WITH:-} "$program" waiting "$work" "$redis"
}

download_part() {
    local azurite=$here/../tests/azurite
    command -v curl >/dev/null && command -v unzip >/dev/null ||
        die 'curl or unzip is missing; as root: apt-get install -y --no-install-recommends curl unzip'
    command -v node >/dev/null && command -v npm >/dev/null ||
        die "Node.js is missing; run: tests/node.sh target/node && export PATH=\$PWD/target/node/bin:\$PATH"
    [ -d "$azurite/node_modules" ] || npm ci --prefix "$azurite" --ignore-scripts --no-audit --no-fund >"$work/npm.log"
    gcc -std=c99 -O2 -Wall -Wextra -Werror -I "$here/../include" -o "$work/download" "$here/download/download.c" \
        "-L$work" -lmde "-Wl,-rpath,$work"
    printf '\n%s MiB to disk. Seconds and MiB: medians of %s rounds; ratios of the wall times: to curl alone, the same to the last byte, and to all of the work done with other programs.\n\n' "${MIB:-1024}" "${ROUNDS:-7}"
    echo '| from | program | wall s | CPU s | peak MiB | to curl -o | to the last byte | to the whole job |'
    echo '|---|---|---|---|---|---|---|---|'
    python3 "$here/download/measure.py" --rounds "${ROUNDS:-7}" --mib "${MIB:-1024}" --azurite \
        "$work" "$work/download" "$azurite/blobs.mjs" "${TARGET:-$work/target}"
}

# waits_case HOW INTERVAL LABEL: everything runs ten times as fast.
waits_case() {
    local before after late
    before=$(polls)
    late=$("$work/waits" "$1" $(($2 * 100)) "$waiters" "$simulator_url")
    after=$(polls)
    set -- $late "$3" $((after - before))
    printf '| %s | %s | %s | %.1f | %.1f | %.1f | %s |\n' "$5" "$6" \
        "$(python3 -c "print(f'{$6 / $waiters:.3f}')")" \
        "$(python3 -c "print($1 / 100)")" "$(python3 -c "print($2 / 100)")" "$(python3 -c "print($3 / 100)")" "$4"
}

# The number of requests so far that read or list actions.
polls() {
    curl -sS "$simulator_url/_control/stats" | python3 -c '
import json, sys
by = json.load(sys.stdin)["by_endpoint"]
of = lambda name: by.get(name, 0) if isinstance(by.get(name, 0), int) else by[name].get("requests", 0)
print(of("read") + of("list"))'
}

# Leaves the program of the simulator in `simulator`.
simulator_program() {
    simulator=${MDE_SIMULATOR:-}
    if [ -z "$simulator" ]; then
        command -v cargo >/dev/null || die 'cargo is missing; install Rust from https://rustup.rs'
        (cd "$here/.." && cargo build -q --release -p mde-simulator)
        simulator=$(cd "$here/.." && cargo metadata --format-version 1 --no-deps |
            sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/mde-simulator
    fi
}

# start_simulator FLAGS...: leaves its address in `simulator_url`.
start_simulator() {
    "$simulator" --quiet --listen 127.0.0.1:0 --port-file "$work/simulator.port" "$@" >"$work/simulator.log" 2>&1 &
    simulator_pid=$!
    for _ in $(seq 100); do [ -s "$work/simulator.port" ] && break; sleep 0.1; done
    simulator_url=http://127.0.0.1:$(tr -d '[:space:]' <"$work/simulator.port")
}

stop_simulator() {
    kill "$simulator_pid"
    wait "$simulator_pid" || true
    simulator_pid=
    rm -f "$work/simulator.port"
}

waits_part() {
    local waiters=${WAITERS:-1000} program
    simulator_program
    gcc -std=c99 -O2 -Wall -Wextra -Werror -pthread -I "$here/../include" -o "$work/waits" "$here/waits/waits.c" \
        "-L$work" -lmde "-Wl,-rpath,$work"
    printf '\n%s threads, each on a collection of its own that takes a minute and a half; seconds between an end and its notice.\n\n' "$waiters"
    echo '| how | requests | per package | median s | 99 % s | largest s | CPU ms |'
    echo '|---|---|---|---|---|---|---|'
    for program in 'wait 15 mde_wait_action' 'poll 5 read every 5 s' 'poll 15 read every 15 s' 'poll 30 read every 30 s'; do
        set -- $program
        # A new simulator for each case, so that all devices are free.
        start_simulator --machines "$waiters" --quota-mode off --pending 3 --in-progress 6
        waits_case "$1" "$2" "${*:3}"
        stop_simulator
    done
}

fleet_part() {
    local devices=${DEVICES:-500} speed=60 took
    simulator_program
    gcc -std=c99 -O2 -Wall -Wextra -Werror -I "$here/../include" -o "$work/fleet" "$here/fleet/fleet.c" \
        "-L$work" -lmde "-Wl,-rpath,$work"
    start_simulator --machines "$devices" --time-scale "$speed" --pending 5 --in-progress 60
    mkdir "$work/packages"
    took=$("$work/fleet" "$speed" "$simulator_url" "$work/packages" ${PROGRESS:+"$PROGRESS"})
    printf '\nOne call over %s devices, all of it %s times as fast. The least time is that of the links, and one collection.\n\n' "$devices" "$speed"
    echo '| devices | s | least s | ratio | refused | requests per package | polls | CPU ms |'
    echo '|---|---|---|---|---|---|---|---|'
    curl -sS "$simulator_url/_control/stats" | python3 -c '
import json, sys
devices, speed, wall, cpu = map(float, sys.argv[1:])
stats = json.load(sys.stdin)
of = lambda *names: sum(stats["by_endpoint"].get(name, {"requests": 0})["requests"] for name in names)
# Two links a minute, the first two at once.
least = ((devices - 1) // 2 * 60 + 65) / speed
print("| %d | %.2f | %.2f | %.3f | %d | %.2f | %d | %d |" % (
    devices, wall, least, wall / least, stats["refusals"], of("collect", "link", "download") / devices,
    of("list", "read"), cpu))' \
        "$devices" "$speed" $took
    stop_simulator
}

waiting_part() {
    local devices took
    simulator_program
    gcc -std=c99 -O2 -Wall -Wextra -Werror -I "$here/../include" -o "$work/waiting" "$here/waiting/waiting.c" \
        "-L$work" -lmde "-Wl,-rpath,$work"
    printf '\nDevices that wait in one call, when the collections of all of them run.\n\n'
    echo '| devices | bytes per device | threads |'
    echo '|---|---|---|'
    for devices in ${DEVICES:-250 500 1000}; do
        start_simulator --machines "$devices" --quota-mode off --pending 1 --in-progress 1000000
        mkdir "$work/job-$devices"
        took=$("$work/waiting" "$devices" "$simulator_url" "$work/job-$devices")
        printf '| %s | %s | %s |\n' "$devices" $took
        stop_simulator
    done
}

start_part() {
    local devices=${DEVICES:-100000} round
    gcc -std=c99 -O2 -Wall -Wextra -Werror -I "$here/../include" -o "$work/start" "$here/start/start.c" \
        "-L$work" -lmde "-Wl,-rpath,$work"
    printf '\nA job over %s devices; medians of %s rounds.\n\n' "$devices" "$rounds"
    for round in $(seq "$rounds"); do
        # On a disk, since the journal is flushed.
        mkdir -p "${TARGET:-$work}/job"
        "$work/start" "$devices" "${TARGET:-$work}/job" "$http" "$work/token"
        rm -rf "${TARGET:-$work}/job"
    done | python3 -c '
import statistics, sys
rows = zip(*([float(word) for word in line.split()] for line in sys.stdin))
new, end, again, end_again, size, peak = (statistics.median(row) for row in rows)
print("| job | ms until the first request | ms from a stop to the end, with the document | document MiB | peak MiB |")
print("|---|---|---|---|---|")
print(f"| new | {new:.0f} | {end:.0f} | {size / 2**20:.1f} | {peak:.1f} |")
print(f"| resumed | {again:.0f} | {end_again:.0f} | {size / 2**20:.1f} | {peak:.1f} |")'
}

# The figures of the gates, one a line. Counts are exact, so a few calls are enough.
gate_figures() {
    local url mode scheme
    for url in "$http" "$https"; do
        scheme=${url%%:*}
        for mode in get collect; do
            printf 'instructions.%s.%s %s\n' "$mode" "$scheme" \
                "$(per_call instructions 20 120 $(command_of mde "$mode" N "$url"))"
            printf 'allocations.%s.%s %s\n' "$mode" "$scheme" \
                "$(per_call allocations 20 120 $(command_of mde "$mode" N "$url"))"
        done
        # From the start of the process to its end, with one CA to trust.
        printf 'instructions.cold.%s %s\n' "$scheme" \
            "$(SSL_CERT_FILE=$work/ca.pem SSL_CERT_DIR=$work/www instructions $(command_of mde get 1 "$url"))"
    done
    printf 'instructions.refused %s\n' "$(per_call instructions 20 120 "$work/gates" refused N "$http")"
    printf 'allocations.refused %s\n' "$(per_call allocations 20 120 "$work/gates" refused N "$http")"
    printf 'instructions.inspect %s\n' "$(per_call instructions 1 3 "$work/gates" inspect N "$work/package.zip")"
    printf 'allocations.inspect %s\n' "$(per_call allocations 1 3 "$work/gates" inspect N "$work/package.zip")"
    # A program for tests is not compiled as it is released.
    if [ -z "${MDE_LIMITER_BENCH:-}" ]; then
        printf 'instructions.decision %s\n' \
            "$(per_call instructions 20000 120000 "$(limiter_program)" loop ours 1500 N)"
    fi
}

gates_part() {
    local figures=$here/gates/figures.txt words=()
    [ -n "${MDE_LIB_DIR:-}" ] || die 'the gates are for the library of the archive: MDE_LIB_DIR=target/shipped/lib'
    gcc -std=c99 -O2 -Wall -Wextra -Werror -I "$here/../include" -o "$work/gates" "$here/gates/gates.c" \
        "-L$work" -lmde "-Wl,-rpath,$work"
    gcc -std=c99 -O2 -Wall -Wextra -Werror -shared -fPIC -o "$work/allocations.so" "$here/gates/allocations.c"
    python3 "$here/gates/package.py" "$work/package.zip"
    [ -z "${MDE_UPDATE_GATES:-}" ] || words+=(--update)
    [ -z "${MDE_LIMITER_BENCH:-}" ] || words+=(--without instructions.decision)
    gate_figures >"$work/figures"
    printf '\nInstructions in user space and allocations of a call, against their gates.\n\n'
    python3 "$here/gates/compare.py" "${words[@]}" "$figures" "$work/figures"
}

usage='usage: benches/run.sh [calls|instructions|memory|cold|overshoot|limiter|download|waits|fleet|waiting|start|gates|all]'
part=${1:-all}
[ $# -le 1 ] || die "$usage"
case $part in
    calls | instructions | memory | cold | overshoot | limiter | download | waits | fleet | waiting | start | gates) parts=("$part") ;;
    all) parts=(calls instructions memory cold overshoot limiter download waits fleet waiting start) ;;
    *) die "$usage" ;;
esac

server=
redis_pid=
simulator_pid=
work=$(mktemp -d)
end() {
    local pid
    for pid in $server $redis_pid $simulator_pid; do
        kill "$pid" || true
        wait "$pid" || true
    done
    rm -rf "$work"
}
trap end EXIT
if [ "$part" = limiter ]; then
    # The limiter makes no calls, so it needs nothing that follows.
    limiter_part
    exit
fi
tools
read -r first_core last_core <<<"$(python3 -c 'import os; c = sorted(os.sched_getaffinity(0)); print(c[0], c[-1])')"
build
certificates
token
serve
for part in "${parts[@]}"; do "${part}_part"; done
