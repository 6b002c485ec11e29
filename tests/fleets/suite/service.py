"""A service that the W3C trace-context test suite can drive: it makes the calls that a request asks for.

service.py {conforming|drops|FAULT}
Prints "listening ADDR" and ends when its standard input does.
"""

import http.client
import json
import pathlib
import sys
import urllib.parse

from propagation import SERVICES

sys.path.append(str(pathlib.Path(__file__).parent.parent))
import serving  # noqa: E402

PROPAGATION = SERVICES[sys.argv[1]]()


def call(url, body, headers):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        connection.putrequest("POST", parts.path)
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        connection.getresponse().read()
    finally:
        connection.close()


class Handler(serving.Handler):
    def do_POST(self):
        calls = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        context = PROPAGATION.extract(self.headers.items())
        for wanted in calls:
            call(wanted["url"], json.dumps(wanted["arguments"]).encode(), PROPAGATION.inject(context))
        self.answer(b"[]", "application/json")


serving.serve(Handler)
