"""An OTLP/HTTP receiver for logs that takes nothing but what the protocol allows, by OpenTelemetry's own definitions.

    otlp.py OUT [--port PORT] [--answers STATUS,...]

Prints `listening ADDRESS` and appends every record that it accepted to OUT, one JSON object a line. The first requests get
these answers: a status, `partial` (one record is rejected) or `busy` (503 with Retry-After: 1).
"""

import argparse
import base64
import gzip
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

IDS = {"traceId": 32, "spanId": 16}
TEXT_NUMBERS = {"timeUnixNano", "observedTimeUnixNano", "intValue"}


def strict(pairs):
    """Field names of an object: once each, in lower camel case."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is there twice")
    for name, value in pairs:
        if not re.fullmatch("[a-z][A-Za-z0-9]*", name):
            raise ValueError(f"{name} is not in lower camel case")
        if name in TEXT_NUMBERS and not (isinstance(value, str) and re.fullmatch("-?[0-9]+", value)):
            raise ValueError(f"{name} has 64 bits and is not text")
        if name in IDS:
            if not re.fullmatch("[0-9a-f]{%d}" % IDS[name], value) or not int(value, 16):
                raise ValueError(f"{value} is no {name}")
            # The protocol has ids in hex, which protobuf's own JSON has in base64.
            fields[name] = base64.b64encode(bytes.fromhex(value)).decode()
    return fields


def refuse(constant):
    raise ValueError(f"{constant} is not JSON")


def plain(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes(value.kvlist_value.values)
    return getattr(value, kind) if kind else None


def attributes(pairs):
    found = {pair.key: plain(pair.value) for pair in pairs}
    if len(found) != len(pairs):
        raise ValueError("an attribute is there twice")
    return found


def records(request):
    for resource_logs in request.resource_logs:
        for scope_logs in resource_logs.scope_logs:
            for record in scope_logs.log_records:
                yield {
                    "resource": attributes(resource_logs.resource.attributes),
                    "scope": [scope_logs.scope.name, scope_logs.scope.version],
                    "time": record.time_unix_nano,
                    "observed": record.observed_time_unix_nano,
                    "severity_number": record.severity_number,
                    "severity_text": record.severity_text,
                    "body": plain(record.body),
                    "event_name": record.event_name,
                    "trace_id": record.trace_id.hex(),
                    "span_id": record.span_id.hex(),
                    "flags": record.flags,
                    "attributes": attributes(record.attributes),
                }


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    answers = []
    out = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.lock:
            answer = self.answers.pop(0) if self.answers else "200"
            if answer not in ("200", "partial"):
                headers = {"Retry-After": "1"} if answer == "busy" else {}
                return self.answer(503 if answer == "busy" else int(answer), b"", headers)
            try:
                assert self.path == "/v1/logs", self.path
                assert self.headers["Content-Type"] == "application/json", self.headers["Content-Type"]
                assert self.headers["Content-Encoding"] == "gzip", self.headers["Content-Encoding"]
                text = gzip.decompress(body).decode("utf-8")
                fields = json.loads(text, object_pairs_hook=strict, parse_constant=refuse)
                request = json_format.Parse(json.dumps(fields), ExportLogsServiceRequest(), ignore_unknown_fields=False)
                accepted = list(records(request))
            except Exception as error:
                print(f"refused: {error!r}", file=sys.stderr, flush=True)
                return self.answer(400, b"", {})
            response = ExportLogsServiceResponse()
            if answer == "partial":
                accepted.pop()
                response.partial_success.rejected_log_records = 1
                response.partial_success.error_message = "one too many"
            with open(self.out, "a", encoding="utf-8") as out:
                out.writelines(json.dumps(record) + "\n" for record in accepted)
            self.answer(200, json_format.MessageToJson(response).encode(), {"Content-Type": "application/json"})

    def answer(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--answers", default="")
    arguments = parser.parse_args()
    Receiver.out = arguments.out
    Receiver.answers = [answer for answer in arguments.answers.split(",") if answer]
    server = ThreadingHTTPServer(("127.0.0.1", arguments.port), Receiver)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("listening 127.0.0.1:%d" % server.server_address[1], flush=True)
    sys.stdin.read()


main()
