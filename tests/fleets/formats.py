"""A service between formats: it takes its trace from whatever a request carries, and calls a backend with some formats.

formats.py FORMATS BACKEND_PORT
FORMATS: w3c, tracestate, baggage, b3, b3-64, datadog, jaeger and uberctx, with commas between them.
Prints "listening ADDR" and ends when its standard input does.
"""

import http.client
import os
import sys

import serving

FORMATS, BACKEND = sys.argv[1].split(","), int(sys.argv[2])


def trace_of(received):
    """128 bits in hex, of the first format that is there."""
    if "traceparent" in received:
        return received["traceparent"].split("-")[1]
    if "b3" in received:
        return received["b3"].split("-")[0]
    return received["uber-trace-id"].split(":")[0]


def carried_on(received, name):
    return {field: value for field, value in received.items() if field.lower().startswith(name)}


def written(wanted, received):
    """The fields of a call in a format."""
    trace, span = trace_of(received), os.urandom(8).hex()
    low, high = int(trace[16:], 16), trace[:16]
    return {
        "w3c": lambda: {"traceparent": f"00-{trace}-{span}-01"},
        "b3": lambda: {"b3": f"{trace}-{span}-1"},
        "b3-64": lambda: {"b3": f"{trace[16:]}-{span}-1"},
        "datadog": lambda: {
            "x-datadog-trace-id": str(low),
            "x-datadog-parent-id": str(int(span, 16)),
            "x-datadog-sampling-priority": "1",
            "x-datadog-tags": f"_dd.p.tid={high}",
        },
        "jaeger": lambda: {"uber-trace-id": f"{trace}:{span}:0:1"},
        "uberctx": lambda: carried_on(received, "uberctx-"),
    }.get(wanted, lambda: carried_on(received, wanted))()


class Handler(serving.Handler):
    def do_GET(self):
        headers = {}
        for wanted in FORMATS:
            headers.update(written(wanted, self.headers))
        connection = http.client.HTTPConnection("127.0.0.1", BACKEND, timeout=30)
        try:
            connection.request("POST", "/charge", body=b"{}", headers=headers)
            connection.getresponse().read()
        finally:
            connection.close()
        self.answer(b"ok\n")


serving.serve(Handler)
