"""A service that answers HTTP on connections that may have spoken another protocol before, and its clients.

tunnel.py serve BACKEND_PORT
    Prints "listening ADDR" and ends when its standard input does. A thread a connection. What begins with the byte 3 is
    sent back, with the byte 4 is not answered. A request to /page has its context handed on; one to /session makes a call
    with the context that it brought itself, which may be none.
tunnel.py ask PORT {none|own} {whole|apart} TUNNELS PINGS ROUNDS
    Every round is a request to /page, with a trace, and while that is open one to /session on a tunnel: a connection that
    spoke the other protocol before, PINGS times, and once more one way only if heads and bodies cross apart. Each of
    TUNNELS connections is used for ROUNDS rounds.
"""

import random
import socket
import sys
import threading
import time
import uuid

SIZE = 1 << 16


def receive(end):
    data = end.recv(SIZE)
    if not data:
        raise ConnectionError("closed")
    return data


def message(end, head=b""):
    """A head, of which this came already, and its body; they may come apart."""
    while b"\r\n\r\n" not in head:
        head += receive(end)
    head, body = head.split(b"\r\n\r\n", 1)
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(fields.get(b"content-length", 0)):
        body += receive(end)
    return head, fields


def traceparent(trace):
    return b"traceparent: 00-%s-%s-01\r\n" % (trace, uuid.uuid4().hex[:16].encode())


def ask(end, line, context, apart=False):
    body = b"{}" if line.startswith(b"POST") else b""
    head = b"%s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n%s\r\n" % (line, len(body), context)
    send(end, head, body, apart)


def send(end, head, body, apart):
    if not apart:
        return end.sendall(head + body)
    end.sendall(head)
    # Else both may be read at once.
    time.sleep(0.001)
    end.sendall(body)


def connect(port):
    end = socket.create_connection(("127.0.0.1", port))
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return end


def serve(backend):
    idle = []

    def call(line, context):
        end = idle.pop() if idle else connect(backend)
        ask(end, line, context)
        message(end)
        idle.append(end)

    def answer(end):
        while True:
            data = receive(end)
            if data[0] == 3:
                end.sendall(data)
                continue
            if data[0] == 4:
                continue
            head, fields = message(end, data)
            trace = fields.get(b"traceparent", b"").split(b"-")[1:2]
            context = traceparent(trace[0]) if trace else b""
            if b"/page " in head:
                call(b"POST /render", context)
                time.sleep(0.015)
            else:
                call(b"GET /feed", context)
            send(end, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"ok\n", b"POST" in head)

    def connection(end):
        try:
            answer(end)
        except ConnectionError:
            end.close()

    def accept():
        while True:
            threading.Thread(target=connection, args=listener.accept()[:1], daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, daemon=True).start()
    print(f"listening 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    sys.stdin.read()


def clients(port, trace, how, tunnels, pings, rounds):
    page = connect(port)
    for _ in range(tunnels):
        tunnel = connect(port)
        for _ in range(pings):
            tunnel.sendall(b"\3ping")
            receive(tunnel)
        if how == "apart":
            tunnel.sendall(b"\4go")
            time.sleep(0.01)
        for _ in range(rounds):
            ask(page, b"GET /page", traceparent(uuid.uuid4().hex.encode()))
            time.sleep(0.004)
            own = traceparent(uuid.uuid4().hex.encode()) if trace == "own" else b""
            ask(tunnel, b"POST /session" if how == "apart" else b"GET /session", own, how == "apart")
            message(tunnel)
            message(page)
            time.sleep(random.uniform(0.02, 0.06))


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    clients(int(sys.argv[2]), *sys.argv[3:5], *map(int, sys.argv[5:]))
