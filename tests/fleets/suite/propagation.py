"""Trace context as the specification wants it propagated, and the ways in which services get it wrong.

Each class is a service; those below `Conforming` differ from it in one deliberate fault.
"""

import dataclasses
import os
import re

OWN = "audited"
PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
MEMBER = re.compile(r"([a-z0-9][a-z0-9_*/@-]{0,255})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])")
WHITESPACE = " \t"
SAMPLED, RANDOM = 0x01, 0x02


@dataclasses.dataclass
class Context:
    """What a request hands to its calls. `received`: the values of both fields as they came."""

    trace: str
    parent: str
    flags: int
    members: list
    received: tuple
    version: str = "00"
    restarted: bool = False


def new_id(size):
    return os.urandom(size).hex()


class Conforming:
    """Continues valid traces, starts a new one otherwise, and adds a member to tracestate."""

    def values(self, headers, name):
        return [value for field, value in headers if field.lower() == name]

    def extract(self, headers):
        received = self.values(headers, "traceparent"), self.values(headers, "tracestate")
        parent = self.parse(received[0])
        if parent is None:
            return self.start(received)
        version, trace, parent, flags = parent
        known = int(flags, 16) & (SAMPLED | RANDOM)
        return Context(trace, parent, known, self.members(received[1]), received, version)

    def start(self, received):
        return Context(new_id(16), new_id(8), SAMPLED | RANDOM, [], received, restarted=True)

    def parse(self, values):
        """Version, trace-id, parent-id and flags of the only value, if it is valid."""
        found = PARENT.fullmatch(values[0].strip(WHITESPACE)) if len(values) == 1 else None
        if found is None or found[1] == "ff" or found[1] == "00" and found[5]:
            return None
        return None if set(found[2]) == {"0"} or set(found[3]) == {"0"} else found.groups()[:4]

    def members(self, lines):
        """All of the list, each key once, or nothing of it."""
        texts = [text for line in lines for text in split(line)]
        found = [MEMBER.fullmatch(text) for text in texts]
        if not all(found) or len(found) > 32:
            return []
        members = {}
        for member in found:
            members.setdefault(member[1], member[2])
        return list(members.items())

    def inject(self, context):
        return [("traceparent", self.traceparent(context)), *self.tracestate(context)]

    def traceparent(self, context):
        return f"00-{context.trace}-{new_id(8)}-{context.flags:02x}"

    def tracestate(self, context):
        others = [(key, value) for key, value in context.members if key != OWN]
        return [("tracestate", join([(OWN, "1"), *others][:32]))]


def split(line):
    return [text for text in (text.strip(WHITESPACE) for text in line.split(",")) if text]


def join(members):
    return ",".join(f"{key}={value}" for key, value in members)


class Drops(Conforming):
    """Sends nothing."""

    def inject(self, context):
        return []


class Copies(Conforming):
    """Sends both fields on as they came, and nothing if none came: a forwarder, which is legal."""

    def inject(self, context):
        return [(name, value) for name, values in zip(("traceparent", "tracestate"), context.received) for value in values]


class CopiesAndSigns(Conforming):
    """Sends traceparent on as it came, and writes into tracestate."""

    def inject(self, context):
        copied = [("traceparent", value) for value in context.received[0]]
        return (copied or [("traceparent", self.traceparent(context))]) + self.tracestate(context)


class Lenient(Conforming):
    """Takes what stands where the trace-id should be, of whatever comes first."""

    def parse(self, values):
        parts = values[0].strip(WHITESPACE).split("-") if values else []
        return ("00", parts[1], parts[2], "01") if len(parts) >= 4 else None


class Restarts(Conforming):
    """Starts a trace for every request."""

    def parse(self, values):
        return None


class RejectsLaterVersions(Conforming):
    """Takes version 00 for the only one."""

    def parse(self, values):
        parent = super().parse(values)
        return parent if parent and parent[0] == "00" else None


class KeepsLaterVersions(Conforming):
    """Claims the version that it received."""

    def traceparent(self, context):
        return context.version + super().traceparent(context)[2:]


class CaseSensitive(Conforming):
    """Finds fields with lower-case names alone."""

    def values(self, headers, name):
        return [value for field, value in headers if field == name]


class SpaceSensitive(Conforming):
    """Does not expect white space behind the value."""

    def parse(self, values):
        return super().parse(values) if all(value == value.strip(WHITESPACE) for value in values) else None


class ReadsOtherNames(Conforming):
    """Finds fields under names that are not theirs."""

    def values(self, headers, name):
        return [value for field, value in headers if re.sub("[^a-z]", "", field.lower()) == name]


class WritesOtherName(Conforming):
    """Sends traceparent as trace-parent."""

    def inject(self, context):
        return [("trace-parent", self.traceparent(context)), *self.tracestate(context)]


class Uppercase(Conforming):
    """Formats ids with capital letters."""

    def traceparent(self, context):
        return super().traceparent(context).upper()


class ZeroParent(Conforming):
    """Has no span id."""

    def traceparent(self, context):
        return f"00-{context.trace}-{0:016x}-{context.flags:02x}"


class Twice(Conforming):
    """Two instrumentations inject."""

    def inject(self, context):
        return [("traceparent", self.traceparent(context)), *super().inject(context)]


class ReservedFlags(Conforming):
    """Sets flags that mean nothing."""

    def traceparent(self, context):
        return super().traceparent(context)[:-2] + f"{context.flags | 0x80:02x}"


class LevelOne(Conforming):
    """Knows the sampled flag alone."""

    def traceparent(self, context):
        return super().traceparent(context)[:-2] + f"{context.flags & SAMPLED:02x}"


class FlagsInPlace(Conforming):
    """Samples on its own, under the parent-id that it received."""

    def traceparent(self, context):
        return f"00-{context.trace}-{context.parent}-{context.flags ^ SAMPLED:02x}"


class SameParent(Conforming):
    """Sends one parent-id in all calls of a request."""

    def extract(self, headers):
        return dataclasses.replace(super().extract(headers), parent=new_id(8))

    def traceparent(self, context):
        return f"00-{context.trace}-{context.parent}-{context.flags:02x}"


class FixedParent(Conforming):
    """Sends one parent-id for ever."""

    def traceparent(self, context):
        return f"00-{context.trace}-53995c3f42cd8ad8-{context.flags:02x}"


class DropsState(Conforming):
    """Sends no tracestate."""

    def tracestate(self, context):
        return []


class ReplacesState(Conforming):
    """Sends a tracestate of its own alone."""

    def tracestate(self, context):
        return [("tracestate", join([(OWN, "1")]))]


class FirstStateLine(Conforming):
    """Reads the first line of tracestate alone."""

    def members(self, lines):
        return super().members(lines[:1])


class ReversesState(Conforming):
    """Writes tracestate in another order."""

    def members(self, lines):
        return super().members(lines)[::-1]


class SortsState(Conforming):
    """Writes tracestate in the order of the keys."""

    def members(self, lines):
        return sorted(super().members(lines))


class AppendsState(Conforming):
    """Puts its member at the end."""

    def tracestate(self, context):
        return [("tracestate", join([*context.members[:31], (OWN, "1")]))]


class SignsTwice(Conforming):
    """Puts its member into tracestate without taking the old one out."""

    def tracestate(self, context):
        return [("tracestate", join([(OWN, "1"), (OWN, "0"), *context.members[:30]]))]


class CutsState(Conforming):
    """Cuts tracestate to what fits into its buffer."""

    def tracestate(self, context):
        return [("tracestate", join([(OWN, "1"), *context.members])[:256])]


class UncheckedState(Conforming):
    """Sends tracestate on without looking at it."""

    def members(self, lines):
        return [text.partition("=")[::2] for line in lines for text in split(line)]


class IllegalState(Conforming):
    """Writes a member that the grammar does not allow."""

    def tracestate(self, context):
        return [("tracestate", join([(OWN, "a=b"), *context.members[:31]]))]


class KeepsState(Conforming):
    """Keeps tracestate when it starts a trace."""

    def start(self, received):
        return dataclasses.replace(super().start(received), members=self.members(received[1]))


def slug(name):
    return re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower()


SERVICES = {slug(service.__name__): service for service in (Conforming, *Conforming.__subclasses__())}
