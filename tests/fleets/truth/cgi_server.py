"""A CGI server: every request is read by a process of its own, which runs a script, which calls.

The script is script.cgi beside this file. The timer is another process, as a cron job would be.
"""

import http.server
import os
import socketserver
import subprocess
import threading
import time

import common

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "script.cgi")
# Where the script writes the truth.
TRUTH = 3


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path, _, query = self.path.partition("?")
        environment = dict(os.environ, PATH_INFO=path, QUERY_STRING=query, REQUEST_METHOD="GET")
        environment.update(BACKEND=f"http://127.0.0.1:{common.BACKEND}", VARIANT=common.VARIANT)
        for name, value in self.headers.items():
            environment["HTTP_" + name.upper().replace("-", "_")] = value
        command = ["/bin/sh", SCRIPT]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=[TRUTH]
        ) as script:
            # Up to the end of its output: it may go on after that.
            head, _, body = script.stdout.read().partition(b"\n\n")
            status, _, fields = head.removeprefix(b"Status: ").partition(b"\n")
            self.wfile.write(b"HTTP/1.0 %s\r\n%s\r\n\r\n%s" % (status, fields.replace(b"\n", b"\r\n"), body))

    def log_message(self, *_arguments):
        pass


class Server(socketserver.ForkingMixIn, http.server.HTTPServer):
    request_queue_size = 128
    max_children = 512


def timer():
    pool = common.Pool()
    while True:
        time.sleep(common.period())
        common.tell("-", pool.call("GET", "/config", {}))


def main():
    os.dup2(1, TRUTH)
    if os.fork() == 0:
        # Not in the server: its threads would be forked with every request.
        if common.TIMER:
            threading.Thread(target=timer, daemon=True).start()
        common.end_with_stdin(os.getppid())
    server = Server(("127.0.0.1", common.PORT), Handler)
    common.listening(server.server_address[1])
    server.serve_forever()


main()
