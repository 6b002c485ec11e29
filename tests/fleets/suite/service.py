"""A service that the W3C trace-context test suite can drive: it makes the calls that a request asks for.

service.py {conforming|drops|FAULT}
Prints "listening ADDR" and ends when its standard input does.
"""

import http.client
import http.server
import json
import sys
import threading
import urllib.parse

from propagation import SERVICES

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


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        calls = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        context = PROPAGATION.extract(self.headers.items())
        for wanted in calls:
            call(wanted["url"], json.dumps(wanted["arguments"]).encode(), PROPAGATION.inject(context))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


def main():
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"listening 127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()


main()
