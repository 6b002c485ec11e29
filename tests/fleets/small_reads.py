"""Reads heads of 16,600 bytes in two pieces, the second of which is small and goes across 16 KiB. Between the two the
buffer of the first is written to: who reads from there once more reads the end of a head that is none."""

import os
import socket

FIRST, SECOND = 16_200, 400

# What is left over from one call to the next is left on one processor.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
listener = socket.create_server(("127.0.0.1", 0))
print("listening 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
first, second = bytearray(FIRST), bytearray(SECOND)
while connection.recv_into(first, FIRST, socket.MSG_WAITALL) == FIRST:
    first[10:14] = b"\r\n\r\n"
    connection.recv_into(second, SECOND, socket.MSG_WAITALL)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
