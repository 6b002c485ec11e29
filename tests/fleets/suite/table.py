"""Makes the tables of docs/conformance.md from what `run.py` wrote: table.py RESULTS"""

import collections
import json
import sys

from propagation import SERVICES

NOTES = {
    "choice": "Nobody has to take part in a trace: a service may send nothing where nothing valid came, and may pass on "
    "what came as it is. The suite takes every service for a tracer, which has to send a context of its own.",
    "unasked": "The service has the fault that it was written with, and the suite does not look at it in this case.",
    "proxy": "Proxies may leave traceparent as it is and add to tracestate (processing model); told at level info.",
    "may": "A list that cannot be read or is too long may be discarded, and need not be. The suite, at its strict level, "
    "wants it discarded. What is wrong with it is told of its sender.",
    "twice": "The suite wants a list kept in which a key is there twice. Each key is allowed once, and what is invalid "
    "may be discarded.",
    "should": "Members missing at the end of a list, or large ones, may have been cut for their length: told at level info.",
    "span": "Calls under one span rightly share its id, and nothing shows how many spans there were.",
    "history": "A miss: one parent-id in several traces that a service starts is a fault (`parent_id_reused`), and only "
    "told where the requests can have brought none: a body, which those of the suite have, may hold a context.",
    "kind": "A miss: the request has a fault of the same kind, and the call is taken to pass it on.",
    "name": "A miss: whether what a call carries came from a field with a wrong name is not looked at.",
    "alone": "A miss: the list of a new trace is compared with that of the request only if a traceparent came with it.",
    "open": "Not explained.",
}
# The service, a part of the name of the case, and why the auditor does not accuse it.
EXPLAINED = (
    ("drops", "", "choice"),
    ("copies", "", "choice"),
    ("copies-and-signs", "", "proxy"),
    ("unchecked-state", "", "may"),
    ("same-parent", "multiple_requests", "span"),
    ("flags-in-place", "multiple_requests", "span"),
    ("fixed-parent", "with_valid_traceparent", "span"),
    ("fixed-parent", "multiple_requests", "history"),
    ("reads-other-names", "header_name", "name"),
    ("writes-other-name", "test_traceparent_header_name", "kind"),
    ("illegal-state", "value_illegal_characters", "kind"),
    ("replaces-state", "duplicated_keys", "twice"),
    ("keeps-state", "included_traceparent_missing", "alone"),
)
# What each service does wrong also where the suite does not look.
OWN_FAULTS = {
    "restarts": {"trace_restarted"},
    "reserved-flags": {"reserved_trace_flags_set"},
    "flags-in-place": {"traceparent_partially_modified"},
    "reverses-state": {"tracestate_order_changed"},
    "sorts-state": {"tracestate_order_changed"},
    "appends-state": {"tracestate_update_not_leftmost"},
    "signs-twice": {"tracestate_duplicate_key"},
    "illegal-state": {"tracestate_malformed"},
}


HEALTHY = ("conforming", "copies")


def severe(result):
    return {code for code, (level, _) in result["codes"].items() if level != "info"}


def agrees(result):
    return bool(result["failed"]) == result["accused"]


def note(result):
    """Why the two disagree."""
    kind, case = result["service"], result["case"]
    if result["accused"]:
        return "unasked" if severe(result) <= OWN_FAULTS.get(kind, set()) else "open"
    if "tracestate_truncated_early" in result["codes"]:
        return "should"
    return next((why for service, part, why in EXPLAINED if service == kind and part in case), "open")


def cell(result):
    codes = ", ".join(f"`{code}`" for code in sorted(severe(result))) or "nothing"
    text = f"{'fails' if result['failed'] else 'passes'}, {codes}"
    return text if agrees(result) else f"{text} ({note(result)})"


def cases(results):
    print("| case | conforming | drops | of the faults it rejects, accused |\n|---|---|---|---|")
    for case in dict.fromkeys(case for _, case in results):
        of = {kind: results[kind, case] for kind in SERVICES if (kind, case) in results}
        faults = [result for kind, result in of.items() if kind not in (*HEALTHY, "drops") and result["failed"]]
        accused = sum(result["accused"] for result in faults)
        row = [f"`{case.split('.')[1].removeprefix('test_')}`", *(cell(of[kind]) for kind in ("conforming", "drops"))]
        print("| " + " | ".join([*row, f"{accused} of {len(faults)}"]) + " |")


def faults(results):
    print("| service | fails | accused | agree | findings | disagreements |\n|---|---|---|---|---|---|")
    for kind, service in SERVICES.items():
        of = [result for (other, _), result in results.items() if other == kind]
        if not of:
            continue
        codes = collections.Counter(code for result in of for code in severe(result))
        notes = collections.Counter(note(result) for result in of if not agrees(result))
        counts = [sum(bool(r["failed"]) for r in of), sum(r["accused"] for r in of), sum(map(agrees, of))]
        what = f"`{kind}`: {service.__doc__[0].lower()}{service.__doc__[1:].rstrip('.')}"
        listed = [", ".join(f"`{code}`" for code, _ in codes.most_common()), ", ".join(f"{n} {why}" for why, n in notes.items())]
        print("| " + " | ".join([what, *(f"{count}" for count in counts), *listed]) + " |")


def main():
    results = {}
    with open(sys.argv[1], encoding="utf-8") as lines:
        for result in map(json.loads, lines):
            results[result["service"], result["case"]] = result
    cases(results)
    print()
    faults(results)
    print()
    notes = collections.Counter(note(result) for result in results.values() if not agrees(result))
    for why, count in notes.most_common():
        print(f"- *{why}* ({count}): {NOTES[why]}")
    print(f"\n{sum(map(agrees, results.values()))} of {len(results)} agree.")


main()
