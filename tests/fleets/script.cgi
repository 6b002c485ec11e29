#!/bin/sh
# A CGI script that asks a backend. Whether it forwards the trace context is up to who started it.
if [ -n "$HTTP_TRACEPARENT" ]; then
    curl --silent --show-error --fail --noproxy '*' --data '{}' --header "traceparent: $HTTP_TRACEPARENT" "$BACKEND/charge"
else
    curl --silent --show-error --fail --noproxy '*' --data '{}' "$BACKEND/charge"
fi
