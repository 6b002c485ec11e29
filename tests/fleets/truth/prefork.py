"""gunicorn with four sync workers: each process works on one request at a time and has its own connection."""

import threading
import time

import common
from gunicorn.app.base import BaseApplication

WORKERS = 4
POOL = common.Pool()


class Later:
    """An answer after which there is something to do: a WSGI server closes it when it is sent."""

    def __init__(self, work):
        self.work = work

    def __iter__(self):
        yield b"ok\n"

    def close(self):
        time.sleep(common.pause())
        self.work()


def application(environ, start_response):
    route, request, query = common.split(f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}")
    received = {name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name[:5] == "HTTP_"}
    calls = [(method, f"{path}?{query}", common.outgoing(path, received)) for method, path in common.CALLS[route]]

    def work():
        for call in calls:
            common.tell(request, POOL.call(*call))

    headers = [("Content-Type", "text/plain"), ("Content-Length", "3")]
    if route == "late":
        start_response("202 Accepted", headers)
        return Later(work)
    work()
    start_response("200 OK", headers)
    return [b"ok\n"]


def end_with_stdin():
    threading.Thread(target=common.end_with_stdin, daemon=True).start()


def when_ready(server):
    end_with_stdin()
    common.listening(server.LISTENERS[0].getsockname()[1])


def post_fork(_server, _worker):
    end_with_stdin()
    # Every worker has a timer, and all of them call as often as that of another service.
    common.start_timer(common.Pool(), slow=WORKERS)


class Application(BaseApplication):
    def load_config(self):
        settings = {
            "bind": f"127.0.0.1:{common.PORT}",
            "workers": WORKERS,
            "worker_class": "sync",
            "timeout": 60,
            "graceful_timeout": 1,
            "loglevel": "error",
            "when_ready": when_ready,
            "post_fork": post_fork,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self):
        return application


Application().run()
