"""Drives the W3C trace-context test suite against services behind the auditor, and compares the two.

run.py SUITE AUDITOR OUTPUT [SERVICE …]
SUITE: directory `test` of github.com/w3c/trace-context; its requirements have to be installed. Needs root, as the
auditor does. Writes one JSON line for each case and service: what the suite says, and what the auditor says of the
service. `table.py` makes tables of it.
"""

import collections
import contextlib
import io
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
# A call that carries nothing is only accused when chance is excluded.
ROUNDS = 40
SEVERE = ("warning", "error")


def suite(directory):
    """The suite's module, and the names of its cases."""
    os.environ.update(SPEC_LEVEL="2", STRICT_LEVEL="2", SERVICE_ENDPOINT="")
    sys.path.insert(0, str(directory))
    import test

    cases = [case for group in unittest.TestLoader().loadTestsFromModule(test) for case in group]
    return test, [f"{type(case).__name__}.{case._testMethodName}" for case in cases]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """One process of a service, for one case alone."""

    def __init__(self, kind, case):
        # The case is its name, so that neither findings nor evidence of two cases are added up.
        environment = dict(os.environ, OTEL_SERVICE_NAME=case)
        command = [sys.executable, str(HERE / "service.py"), kind]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, env=environment, text=True, **pipes)

    def wait(self):
        self.endpoint = f"http://{self.process.stdout.readline().split()[1]}/test"

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Auditor:
    """A run of the auditor over some processes."""

    def __init__(self, program, pids):
        command = [program, "run", "--aggregation-window", "0"]
        command += [word for pid in pids for word in ("--pid", str(pid))]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.records = []
        for line in self.process.stdout:
            self.records.append(json.loads(line))
            if self.records[-1].get("event_name") == "auditor.attached":
                return
        sys.exit(self.process.stderr.read())

    def finish(self):
        self.process.send_signal(signal.SIGINT)
        output, errors = self.process.communicate(timeout=60)
        if self.process.returncode != 0:
            sys.exit(errors)
        return self.records + [json.loads(line) for line in output.splitlines()]


def verdict(test, case):
    """Why the suite is not content; nothing if it is."""
    group, name = case.split(".")
    result = unittest.TestResult()
    with contextlib.redirect_stdout(io.StringIO()):
        getattr(test, group)(name).run(result)
    return [text.strip().splitlines()[-1] for _, text in result.failures + result.errors]


def findings(records):
    """Of each service, the codes of what it did itself, with their reason and level."""
    found = collections.defaultdict(collections.Counter)
    for record in records:
        if record["record_type"] == "finding" and record["finding"]["direction"] == "outbound":
            finding = record["finding"]
            found[record["resource"]["service.name"]][finding["code"], record["level"]] += finding["count"]
    return found


def run(kind, test, cases, program):
    services = {case: Service(kind, case) for case in cases}
    for service in services.values():
        service.wait()
    auditor = Auditor(program, [service.process.pid for service in services.values()])
    failures = {case: [] for case in cases}
    # All cases in turn: of a service that has a request open all the time nobody can tell what its calls are for.
    for _ in range(ROUNDS):
        for case, service in services.items():
            os.environ["SERVICE_ENDPOINT"] = service.endpoint
            failures[case] += verdict(test, case)
    found = findings(auditor.finish())
    for service in services.values():
        service.stop()
    for case in cases:
        codes = {code: [level, count] for (code, level), count in sorted(found[case].items())}
        severe = any(level in SEVERE for level, _ in codes.values())
        failed, why = len(failures[case]), (failures[case] or [None])[0]
        yield {"service": kind, "case": case, "failed": failed, "why": why, "accused": severe, "codes": codes}


def main():
    from propagation import SERVICES

    directory, program, output, *kinds = sys.argv[1:]
    test, cases = suite(directory)
    port = free_port()
    test.client = test.TestClient(host="127.0.0.1", port=port, timeout=10)
    test.server = test.TestServer(host="127.0.0.1", port=port, timeout=10)
    with test.server, open(output, "w", encoding="utf-8") as lines:
        for kind in kinds or SERVICES:
            results = list(run(kind, test, cases, program))
            lines.writelines(json.dumps(result) + "\n" for result in results)
            lines.flush()
            agreed = sum(bool(result["failed"]) == result["accused"] for result in results)
            print(f"{kind}: {agreed} of {len(results)} agree", file=sys.stderr)


main()
