#!/bin/sh
# What cgi_server.py runs for every request. BACKEND and VARIANT are in the environment; truth lines go to descriptor 3.
id=${PATH_INFO##*/}
route=${PATH_INFO#/}
route=${route%/*}

# call METHOD PATH
call() {
    forward=
    case $VARIANT:$2 in
    healthy:* | broken:/kept | broken:/a | broken:/c) forward=context ;;
    affine:*) forward=ids ;;
    esac
    url="$BACKEND$2?$QUERY_STRING"
    [ "$1" = POST ] && set -- --post-data '{}' || set --
    if [ "$forward" = context ] && [ -n "$HTTP_TRACEPARENT" ]; then
        # Version and trace stay, the parent is new, and so the flags.
        read -r uuid </proc/sys/kernel/random/uuid
        group=${uuid#*-}
        parent=${group%%-*}${uuid##*-}
        set -- "$@" --header "traceparent: ${HTTP_TRACEPARENT%-*-*}-$parent-${HTTP_TRACEPARENT##*-}"
        [ -n "$HTTP_TRACESTATE" ] && set -- "$@" --header "tracestate: $HTTP_TRACESTATE"
    fi
    if [ "$forward" = ids ]; then
        [ -n "$HTTP_X_REQUEST_ID" ] && set -- "$@" --header "x-request-id: $HTTP_X_REQUEST_ID"
        [ -n "$HTTP_AUTHORIZATION" ] && set -- "$@" --header "authorization: $HTTP_AUTHORIZATION"
    fi
    echo "$id $(busybox wget -q -Y off -O - "$@" "$url")" >&3
}

answer() {
    printf 'Status: %s\nContent-Type: text/plain\nContent-Length: 3\n\nok\n' "$1"
}

case $route in
keep) call GET /kept && answer '200 OK' ;;
drop) call GET /dropped && answer '200 OK' ;;
fan) call GET /a && call GET /b && call GET /c && answer '200 OK' ;;
late)
    answer '202 Accepted'
    # The server answers when the output ends.
    exec >&-
    sleep 0.004
    call POST /after
    ;;
none) answer '200 OK' ;;
esac
