#!/bin/bash
# Makes the recordings beside this file anew, or those that are named: see README.md.
#   auditor/tests/recordings/make.sh [NAME…]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
programs=${CARGO_TARGET_DIR:-$root/target}/debug

if [ -z "${RECORDING_IN_NAMESPACES:-}" ]; then
    # In namespaces of its own, so that host name, cgroups and paths in the recordings are nobody's.
    exec env RECORDING_IN_NAMESPACES=1 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        unshare --mount --uts --cgroup bash "$0" "$@"
fi
hostname node-a
mount -t tmpfs tmpfs /srv
mkdir /srv/shop
cp "$root"/tests/fleets/* "$programs/auditor-workload" /srv/shop
cd /srv/shop
# Under a name of its own, so that the script's curl can be told from it.
cp /usr/bin/curl client
# On the thread that serves, to where the requests' own calls go: nothing but chance tells them apart.
{ cat server.js; echo 'setInterval(() => call({}).catch(() => {}), 45);'; } >timer.js
mkfifo hold
exec 9<>hold

started=()
trap 'kill "${started[@]}" 2>/dev/null || true; wait' EXIT

# serve NAME COMMAND…: starts a service; leaves $pid and $address.
serve() {
    local name=$1
    shift
    rm -f said
    mkfifo said
    OTEL_SERVICE_NAME=$name "$@" <hold >said &
    pid=$!
    started+=("$pid")
    read -r _ address <said
}

# What no recording may hold travels in every place where secrets do.
context() {
    printf '00-%s-%s-01' "$(od -An -N16 -tx1 /dev/urandom | tr -d ' ')" "$(od -An -N8 -tx1 /dev/urandom | tr -d ' ')"
}
ask() {
    local url=$1
    shift
    ./client --silent --show-error --noproxy '*' --output /dev/null \
        --header "traceparent: $(context)" \
        --header 'Authorization: Bearer hunter2' --header 'X-Api-Key: hunter2' --cookie 'session=hunter2' \
        "$@" "$url?token=hunter2"
}
# one_by_one COUNT URL CURL-ARGUMENT…
one_by_one() {
    local count=$1
    shift
    for _ in $(seq "$count"); do
        ask "$@"
        sleep "0.0$((RANDOM % 9 + 1))"
    done
}
# at_once WAVES URL CURL-ARGUMENT…: 16 at a time.
at_once() {
    local waves=$1
    shift
    for _ in $(seq "$waves"); do
        local clients=()
        for _ in $(seq 16); do
            ask "$@" &
            clients+=("$!")
            sleep "0.00$((RANDOM % 10))"
        done
        wait "${clients[@]}"
        sleep 0.25
    done
}

# record NAME AUDITOR-ARGUMENT… -- COMMAND…: records while the command runs.
record() {
    local name=$1 arguments=()
    shift
    while [ "$1" != -- ]; do
        arguments+=("$1")
        shift
    done
    shift
    rm -f "$here/$name.rec"
    : >log
    "$programs/auditor" record "${arguments[@]}" --output "$here/$name.rec" 2>log &
    local auditor=$!
    until grep -q 'recording to' log; do
        kill -0 "$auditor" || { cat log; exit 1; }
        sleep 0.05
    done
    "$@"
    sleep 0.3
    kill -INT "$auditor"
    wait "$auditor"
    chmod 644 "$here/$name.rec"
    sed "s#$here/##" log
}

wanted() {
    [ ${#names[@]} -eq 0 ] || [[ " ${names[*]} " == *" $1 "* ]]
}
names=("$@")

serve backend ./auditor-workload --delay-ms 6
backend=$address
port=${backend##*:}

if wanted python-drops; then
    serve cart python3 server.py drop urllib "$port"
    record python-drops --pid "$pid" -- one_by_one 20 "http://$address/cart"
fi
if wanted node-drops-among-sixteen; then
    # Slow enough for all sixteen to be open at once, though they begin one after the other.
    serve slow ./auditor-workload --delay-ms 150
    serve cart node server.js drop http "${address##*:}"
    record node-drops-among-sixteen --pid "$pid" -- at_once 4 "http://$address/cart" --data 'card=hunter2'
fi
if wanted healthy-beside-a-timer; then
    serve cart node timer.js forward http "$port"
    record healthy-beside-a-timer --pid "$pid" -- one_by_one 15 "http://$address/cart"
fi
if wanted cgi-drops; then
    serve cart python3 server.py drop cgi "$port"
    record cgi-drops --hooks syscall --comm python3 --comm curl -- one_by_one 18 "http://$address/cart"
fi
if wanted headers; then
    for style in upper:iovecs:7 no-space:split-each tabs:whole after-cookies:whole; do
        header=${style%%:*}
        serve "$header" ./auditor-workload --call "POST /charge $backend" --header "$header" --write "${style#*:}"
        pids+=(--pid "$pid")
        urls+=("http://$address/cart")
    done
    variants() {
        for url in "${urls[@]}"; do
            one_by_one 2 "$url" --data 'card=hunter2'
        done
    }
    record headers "${pids[@]}" -- variants
fi
nginx_of() {
    mkdir "$1"
    sed "s#@DIR@#/srv/shop/$1#; s#@BACKEND@#$2#; s#@PORT@#$3#" nginx.conf >"$1/nginx.conf"
    OTEL_SERVICE_NAME=proxy nginx -p "/srv/shop/$1" -c "/srv/shop/$1/nginx.conf" -e stderr <hold &
    pid=$!
    started+=("$pid")
    until (exec 3<>"/dev/tcp/127.0.0.1/$3") 2>/dev/null; do sleep 0.05; done
    pids=()
    for child in $(pgrep -P "$pid"); do
        pids+=(--pid "$child")
    done
}
if wanted nginx-to-tcp; then
    nginx_of tcp "$backend" 18080
    record nginx-to-tcp "${pids[@]}" -- one_by_one 10 http://127.0.0.1:18080/cart --data 'card=hunter2'
fi
if wanted nginx-to-unix; then
    serve backend ./auditor-workload --listen unix:/srv/shop/backend.sock --delay-ms 6
    nginx_of unix unix:/srv/shop/backend.sock 18081
    record nginx-to-unix "${pids[@]}" -- one_by_one 10 http://127.0.0.1:18081/cart --data 'card=hunter2'
fi
