"""An HTTPS server: what it receives is encrypted at the socket. usage: tls.py CERTIFICATE KEY"""

import ssl
import sys

import serving


class Handler(serving.Handler):
    def do_GET(self):
        self.answer(b"ok\n")


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
serving.serve(Handler, context)
