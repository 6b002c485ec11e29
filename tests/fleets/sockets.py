"""Both ends of HTTP connections in one process, used in every way that sockets can be used.

usage: sockets.py CASE

Waits for a line on standard input, runs the case, and prints how many requests and responses crossed sockets (each is
sent and received, so twice) as `{"requests": R, "responses": S}`. Ends when standard input does.
"""

import ctypes
import inspect
import json
import os
import socket
import struct
import sys
import tempfile
import threading
import time

CONTEXT = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
SIZE = 1 << 16
libc = ctypes.CDLL(None, use_errno=True)
seen = {"requests": 0, "responses": 0}


def request(path, extra=CONTEXT):
    return b"GET /%s HTTP/1.1\r\nHost: h\r\n%s\r\n" % (path.encode(), extra)


def tcp(family=socket.AF_INET, address="127.0.0.1"):
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind((address, 0))
    listener.listen()
    client = socket.socket(family, socket.SOCK_STREAM)
    client.connect(listener.getsockname())
    server, _ = listener.accept()
    listener.close()
    return client, server


def sent(what, times=2):
    seen[what] += times


def receive(end):
    return end.recv(SIZE)


def ask(client, server, data):
    client.sendall(data)
    receive(server)
    sent("requests")


def answer(client, server):
    server.sendall(OK)
    receive(client)
    sent("responses")


def exchange(client, server, path="x"):
    ask(client, server, request(path))
    answer(client, server)


def fin_with_a_request():
    """The read that takes a request takes the FIN behind it, which has a sequence number of its own."""
    client, server = tcp()
    exchange(client, server)
    client.sendall(request("last"))
    client.shutdown(socket.SHUT_WR)
    arrived(server)
    receive(server)
    sent("requests")
    answer(client, server)


def fin_in_the_middle_of_a_head():
    client, server = tcp()
    data = request("split")
    client.sendall(data[:40])
    receive(server)
    client.sendall(data[40:])
    client.shutdown(socket.SHUT_WR)
    arrived(server)
    receive(server)
    sent("requests")
    answer(client, server)


def fin_with_a_response():
    client, server = tcp()
    exchange(client, server)
    ask(client, server, request("last"))
    server.sendall(OK)
    server.close()
    arrived(client)
    receive(client)
    sent("responses")


def arrived(end):
    """Waits until the peer's FIN is there: TCP_CLOSE_WAIT in tcp_info."""
    for _ in range(1000):
        if end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 8:
            return
        time.sleep(0.001)
    raise TimeoutError("no FIN")


def closed_before_it_is_read():
    """A connection that is over before its response is read: the response still counts."""
    client, server = tcp()
    ask(client, server, request("half"))
    client.shutdown(socket.SHUT_WR)
    receive(server)
    server.sendall(OK)
    server.close()
    for _ in range(1000):
        if client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 7:
            break
        time.sleep(0.001)
    receive(client)
    sent("responses")


def reset_before_it_is_read():
    client, server = tcp()
    client.sendall(request("reset"))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    # Linux drops what was queued, or gives it out: either way nothing may stay open.
    try:
        receive(server)
        sent("requests", 1)
    except ConnectionResetError:
        pass
    sent("requests", 1)
    try:
        server.sendall(OK)
    except OSError:
        pass


def body_spliced_in(pair):
    client, server = pair()
    exchange(client, server)
    client.sendall(b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
    receive(server)
    sent("requests")
    client.sendall(b"z" * 1000)
    reading, writing = os.pipe()
    os.splice(server.fileno(), writing, 1000)
    answer(client, server)
    for _ in range(3):
        exchange(client, server)


def body_spliced_in_over_tcp():
    body_spliced_in(tcp)


def body_spliced_in_over_unix():
    body_spliced_in(socket.socketpair)


def body_sent_by_sendfile():
    file = tempfile.TemporaryFile()
    file.write(b"GET /fake HTTP/1.1\r\n\r\n" * 5000)
    file.flush()
    length = file.tell()
    for pair in (tcp, socket.socketpair):
        client, server = pair()
        ask(client, server, request("file"))
        server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        done = threading.Thread(target=lambda: drain(client, length))
        done.start()
        offset = 0
        while offset < length:
            offset += os.sendfile(server.fileno(), file.fileno(), offset, length - offset)
        done.join()
        sent("responses")
        exchange(client, server)


def drain(end, length):
    head = b""
    while b"\r\n\r\n" not in head:
        head += end.recv(1)
    while length > 0:
        length -= len(end.recv(SIZE))


def peeked_and_truncated():
    client, server = socket.socketpair()
    client.sendall(request("peek"))
    server.recv(10, socket.MSG_PEEK)
    # On a Unix socket the flag changes nothing.
    server.recv_into(bytearray(SIZE), SIZE, socket.MSG_TRUNC)
    sent("requests")
    answer(client, server)
    client, server = tcp()
    client.sendall(request("peek"))
    server.recv(SIZE, socket.MSG_PEEK)
    receive(server)
    sent("requests")
    answer(client, server)
    client.sendall(b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n")
    receive(server)
    sent("requests")
    client.sendall(b"discarded")
    server.recv_into(bytearray(9), 9, socket.MSG_TRUNC)
    answer(client, server)
    exchange(client, server)


def empty_line_before_a_request():
    client, server = tcp()
    exchange(client, server)
    ask(client, server, b"\r\n" + request("second"))
    answer(client, server)
    exchange(client, server)


def read_of_nothing():
    client, server = tcp()
    data = request("pieces")
    client.sendall(data[:30])
    receive(server)
    os.readv(server.fileno(), [bytearray(0)])
    client.sendall(data[30:])
    receive(server)
    sent("requests")
    answer(client, server)


def one_byte_an_iovec():
    client, server = tcp()
    data = request("iovecs", CONTEXT + b"x: " + b"y" * 80 + b"\r\n")
    assert len(data) < 255
    os.writev(client.fileno(), [data[i : i + 1] for i in range(len(data))])
    receive(server)
    sent("requests")
    answer(client, server)


class IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class MsgHdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.c_void_p),
        ("count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class MMsgHdr(ctypes.Structure):
    _fields_ = [("header", MsgHdr), ("moved", ctypes.c_uint)]


def messages():
    """Requests as an array for `sendmmsg`, what it consists of, and what it points to."""
    data = [request("m" * (i + 1)) for i in range(4)]
    buffers = [ctypes.create_string_buffer(d, len(d)) for d in data]
    messages, vectors = (MMsgHdr * 4)(), (IoVec * 4)()
    for i in range(4):
        vectors[i].base, vectors[i].length = ctypes.addressof(buffers[i]), len(data[i])
        messages[i].header.vectors, messages[i].header.count = ctypes.addressof(vectors[i]), 1
    return messages, data, (buffers, vectors)


def same_messages_again():
    """One message array, used with a growing number of messages."""
    client, server = tcp()
    array, data, _memory = messages()
    for count in (1, 2, 4):
        send_messages(client, server, array, data[:count])
        sent("requests", 2 * count)
        for _ in range(count):
            answer(client, server)


def send_messages(client, server, array, data):
    assert libc.sendmmsg(client.fileno(), array, len(data), 0) == len(data)
    expected = b"".join(data)
    got = b""
    while len(got) < len(expected):
        got += receive(server)
    assert got == expected


def talk(client, server):
    """Protocols that are not HTTP: one is told by its first byte, one begins like a method, a MySQL packet like SSL 3.0."""
    for message in (b"\x03ping", b"\x16\x03\0\0" + b"x" * 0x316, b"Q\0\0\0\x05;") * 10:
        client.sendall(message)
        receive(server)
        server.sendall(message)
        receive(client)


def sockets_of_another_protocol_used_again():
    """The kernel gives the memory of a socket to the next."""
    for _ in range(20):
        client, server = tcp()
        talk(client, server)
        client.close()
        server.close()
        client, server = tcp()
        exchange(client, server)
        server.close()
        client.close()


def messages_on_a_connection_of_another_protocol():
    """What is not looked at there does not move what is known of the same array elsewhere."""
    array, data, (buffers, _vectors) = messages()
    other = tcp()
    # Of an array the third message is the next that is looked at.
    talk(*other)
    for _ in range(10):
        for buffer in buffers:
            buffer[0] = b"\x03"
        for _ in range(3):
            send_messages(*other, array, [buffer.raw for buffer in buffers])
        for buffer, message in zip(buffers, data):
            buffer.raw = message
        client, server = tcp()
        send_messages(client, server, array, data)
        sent("requests", 2 * len(data))
        for _ in data:
            answer(client, server)


def upload_under_way():
    """A body that began before anybody looked is no other protocol, however long it is."""
    client, server = tcp()
    client.sendall(b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n")
    receive(server)
    yield
    for _ in range(200):
        client.sendall(b"z" * 100)
        receive(server)
    for _ in range(3):
        exchange(client, server)


def http_after_another_protocol():
    client, server = tcp()
    talk(client, server)
    for _ in range(60):
        exchange(client, server)


def end_of_stream_again_and_again():
    client, server = socket.socketpair()
    exchange(client, server)
    client.shutdown(socket.SHUT_WR)
    for _ in range(1000):
        server.recv(10)
    for _ in range(1000):
        server.recvmsg(10)


case = globals()[sys.argv[1]]
# What such a case does first comes before anybody looks.
steps = case() if inspect.isgeneratorfunction(case) else None
if steps:
    next(steps)
print("listening 127.0.0.1:0", flush=True)
sys.stdin.readline()
if steps:
    next(steps, None)
else:
    case()
path = sys.argv[2]
with open(path + ".part", "w") as result:
    json.dump(seen, result)
os.rename(path + ".part", path)
sys.stdin.read()
