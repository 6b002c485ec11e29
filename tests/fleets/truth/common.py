"""What the fleet services in Python share: arguments, what becomes of the trace context, truth lines, the timer.

SERVICE PORT BACKEND_PORT VARIANT [--no-timer]
The behaviour of all fleet services is told in tests/src/truth.rs.
"""

import http.client
import http.server
import os
import random
import signal
import sys
import threading
import time
import uuid

PORT, BACKEND, VARIANT = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
TIMER = "--no-timer" not in sys.argv
# The calls that a request to each route causes.
CALLS = {
    "keep": [("GET", "/kept")],
    "drop": [("GET", "/dropped")],
    "fan": [("GET", "/a"), ("GET", "/b"), ("GET", "/c")],
    "late": [("POST", "/after")],
    "none": [],
}
BROKEN = {"/dropped", "/b", "/after"}


def split(target):
    """Route, id and query of `/ROUTE/ID?QUERY`."""
    path, _, query = target.partition("?")
    _, route, request = path.split("/")
    return route, request, query


def outgoing(path, received):
    """The headers of a call to `path` that is made because of a request with the headers `received`."""
    headers = {}
    if VARIANT == "healthy" or VARIANT == "broken" and path not in BROKEN:
        traceparent, tracestate = received.get("traceparent"), received.get("tracestate")
        if traceparent:
            version, trace, _parent, flags = traceparent.split("-")
            headers["traceparent"] = "-".join([version, trace, uuid.uuid4().hex[:16], flags])
        if tracestate:
            headers["tracestate"] = tracestate
    if VARIANT == "affine":
        headers.update({name: received[name] for name in ("x-request-id", "authorization") if received.get(name)})
    return headers


def say(line):
    """One write, so that the lines of several processes do not mix."""
    os.write(1, (line + "\n").encode())


def listening(port):
    say(f"listening {port}")


def tell(request, call):
    """The truth about a call; `request` is `-` for one that nobody asked for."""
    say(f"{request} {call}")


def pause():
    """Between the answer and what is done after it; in seconds."""
    return random.uniform(0.002, 0.008)


def period():
    """Between two calls of the timer; in seconds."""
    return random.uniform(0.05, 0.35)


class Pool:
    """Connections to the backend, kept and shared by threads: the one that was used last is used next."""

    def __init__(self):
        self.idle = []

    def call(self, method, target, headers):
        """Makes a call; which one it was."""
        try:
            connection = self.idle.pop()
        except IndexError:
            connection = http.client.HTTPConnection("127.0.0.1", BACKEND, timeout=60)
        body = b"{}" if method == "POST" else None
        connection.request(method, target, body=body, headers=headers)
        response = connection.getresponse()
        response.read()
        self.idle.append(connection)
        return response.headers["X-Call"]


def start_timer(pool, slow=1):
    """Calls without any request, from a thread of its own; `slow` times as seldom."""

    def run():
        while True:
            time.sleep(period() * slow)
            tell("-", pool.call("GET", "/config", {}))

    if TIMER:
        threading.Thread(target=run, daemon=True).start()


def end_with_stdin(other=None):
    """Whoever started this service holds the other end of its standard input. Ends this process, and the other."""
    while os.read(0, 4096):
        pass
    if other:
        os.kill(other, signal.SIGTERM)
    os._exit(0)


class Handler(http.server.BaseHTTPRequestHandler):
    """Parses a request and answers when `work`, a service's own, has made the calls."""

    protocol_version = "HTTP/1.1"
    # Head and body of the answer in one write.
    wbufsize = -1

    def do_GET(self):
        route, request, query = split(self.path)
        calls = [(method, f"{path}?{query}", outgoing(path, self.headers)) for method, path in CALLS[route]]
        if route == "late":
            self.answer(202)
            self.after(request, calls)
        else:
            self.work(request, calls)
            self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")
        self.wfile.flush()

    def work(self, request, calls):
        raise NotImplementedError

    def after(self, request, calls):
        """On the thread that answered; the next request of this client waits."""
        time.sleep(pause())
        self.work(request, calls)

    def log_message(self, *_arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def serve(handler, server=Server):
    """Serves until standard input ends."""
    running = server(("127.0.0.1", PORT), handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    listening(running.server_address[1])
    end_with_stdin()
