"""An HTTP service as Python people write them: ThreadingHTTPServer that calls a backend for every request.

server.py {forward|drop} {http.client|urllib|cgi|logs} BACKEND_PORT
Prints "listening ADDR" and ends when its standard input does.
"""

import http.client
import os
import socket
import subprocess
import sys
import urllib.request
import uuid

import serving

MODE, CLIENT, BACKEND = sys.argv[1], sys.argv[2], int(sys.argv[3])
HERE = os.path.dirname(os.path.abspath(__file__))


def outgoing(received):
    """The headers of a call that is made because of a request."""
    if received is None or MODE == "drop":
        return {}
    version, trace, _parent, flags = received.split("-")
    return {"traceparent": "-".join([version, trace, uuid.uuid4().hex[:16], flags])}


def call_http_client(headers):
    connection = http.client.HTTPConnection("127.0.0.1", BACKEND, timeout=30)
    try:
        connection.request("POST", "/charge", body=b"{}", headers=headers)
        connection.getresponse().read()
    finally:
        connection.close()


def call_urllib(headers):
    request = urllib.request.Request(f"http://127.0.0.1:{BACKEND}/charge", data=b"{}", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        response.read()


def call_cgi(headers):
    """As a CGI server does: a new process, the headers in its environment."""
    environment = dict(os.environ, BACKEND=f"http://127.0.0.1:{BACKEND}")
    environment.update({f"HTTP_{name.upper()}": value for name, value in headers.items()})
    script = os.path.join(HERE, "script.cgi")
    subprocess.run(["/bin/sh", script], env=environment, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


def journal():
    """A log as services have under systemd: a stream that somebody else reads, and answers nothing."""
    own, other = socket.socketpair()
    subprocess.Popen(["cat"], stdin=other, stdout=subprocess.DEVNULL)
    other.close()
    return own


def call_and_log(headers):
    """Calls, and prints the request before a library added the context to it."""
    call_http_client(headers)
    LOG.sendall(b"POST /charge HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 2\r\n\r\n{}" % BACKEND)


CALL = {"http.client": call_http_client, "urllib": call_urllib, "cgi": call_cgi, "logs": call_and_log}[CLIENT]
LOG = journal() if CLIENT == "logs" else None


class Handler(serving.Handler):
    def do_GET(self):
        CALL(outgoing(self.headers.get("traceparent")))
        self.answer(b"ok\n")


serving.serve(Handler)
