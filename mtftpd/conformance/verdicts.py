"""What a case finds: it passes by returning, and otherwise raises one of three exceptions with the evidence.

`check` compares one field; what is expected is a value, or an `Expectation` that says in words what it accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from mtftpd.conformance.packets import Packet


class Verdict(Enum):
    """How a case ended; ``NOT_RUN`` is one that an interruption left out."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not-applicable"
    NOT_RUN = "not-run"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is wrong: the ``field``, what it should be and what it was, in words; where that is written; the packet.

    ``source`` is empty when the sources of the requirement say it all; ``packet`` is None when none came.
    """

    field: str
    expected: str
    got: str
    source: str = ""
    packet: Packet | None = None

    def __str__(self) -> str:
        where = f"packet {self.packet.number}: " if self.packet is not None else ""
        return f"{where}{self.field}: expected {self.expected}, got {self.got}"


class Failed(Exception):
    """The target breaks the requirement of the case."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(str(evidence))
        self.evidence = evidence


class Inconclusive(Exception):
    """The case could not be brought to the point where the requirement shows."""


class NotApplicable(Exception):
    """The requirement does not concern this target, or nothing was given that it could be seen with."""


class Expectation(NamedTuple):
    """A condition on a field, in words and as a function."""

    text: str
    accepts: Callable[[Any], bool]


def at_least(least: float) -> Expectation:
    """Accept numbers from ``least``."""
    return Expectation(f"{least} or more", lambda got: got >= least)


def at_most(most: float) -> Expectation:
    """Accept numbers up to ``most``."""
    return Expectation(f"{most} or less", lambda got: got <= most)


def between(least: float, most: float) -> Expectation:
    """Accept numbers from ``least`` to ``most``."""
    return Expectation(f"{least} to {most}", lambda got: least <= got <= most)


def one_of(values: Collection[object]) -> Expectation:
    """Accept any of ``values``."""
    return Expectation(" or ".join(map(shown, values)), lambda got: got in values)


def other_than(value: object) -> Expectation:
    """Accept anything but ``value``."""
    return Expectation(f"anything but {shown(value)}", lambda got: got != value)


ABSENT = Expectation("absent", lambda got: got is None)
PRESENT = Expectation("present", lambda got: got is not None)


def check(packet: Packet, field: str, got: object, expected: object, source: str = "") -> None:
    """Raise `Failed` unless ``got``, the value of ``field`` in ``packet``, is ``expected`` or accepted by it.

    ``source`` is document and section where the requirement's own sources do not name them.
    """
    if isinstance(expected, Expectation):
        if expected.accepts(got):
            return
        text = expected.text
    else:
        if got == expected:
            return
        text = shown(expected)
    raise Failed(Evidence(field, text, shown(got), source, packet))


def fail(field: str, expected: str, got: str, packet: Packet | None = None) -> Failed:
    """Return the exception for what is not the value of one field."""
    return Failed(Evidence(field, expected, got, packet=packet))


@contextmanager
def given(what: str) -> Iterator[None]:
    """Make a failure of the body, which only prepares what the case is about, inconclusive."""
    try:
        yield
    except Failed as failure:
        raise Inconclusive(f"no {what}: {failure}") from failure


def shown(value: object) -> str:
    """Return a value as it stands in evidence: octets in hexadecimal, with their text where they are one."""
    if value is None:
        return "nothing"
    if isinstance(value, bytes):
        text = value.decode("ascii", "replace")
        is_text = bool(value) and all(" " <= each <= "~" for each in text)
        return f'{value.hex(" ")} "{text}"' if is_text else value.hex(" ") or "no octets"
    if isinstance(value, Enum):
        return value.name
    return str(value)
