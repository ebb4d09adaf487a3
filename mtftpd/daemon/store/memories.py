"""What was found out about nodes, as rows and back: one table and one pair of functions for each kind of `Memory`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from math import inf, isfinite
from typing import Any, Final, NamedTuple

from mtftpd.core.learning.experience import Experience
from mtftpd.core.learning.fallback import Mark, NodeStage, Trigger
from mtftpd.core.learning.lessons import Firmware, Learnt, Sign
from mtftpd.core.mtftp.pass_rates import PassRate
from mtftpd.core.nodes.attempts import Attempt, NodeKey
from mtftpd.core.nodes.nics import KnownMachine
from mtftpd.core.nodes.states import NodeState
from mtftpd.daemon.store import Former, Memory, RunningPass
from mtftpd.daemon.store.schema import ATTEMPTS, LEARNT, MACHINES, MARKS, PASSES, RATES, Table
from mtftpd.daemon.store.writer import Row
from mtftpd.quirks.evidence import Fingerprint
from mtftpd.wire.datagram import HardwareAddress


class _Kind(NamedTuple):
    table: Table
    key: Callable[[Any], str]
    row: Callable[[Any], Row]


def key_of(memory: Memory) -> tuple[Table, str]:
    """Return the table of ``memory``, and its key there."""
    kind = _KINDS[type(memory)]
    return kind.table, kind.key(memory)


def row_of_memory(memory: Memory) -> Row:
    """Return ``memory`` as a row whose times are still on the monotonic clock."""
    return _KINDS[type(memory)].row(memory)


def read_memories(connection: sqlite3.Connection) -> Former:
    """Return everything, in wall time; ValueError when a value is none that was ever written."""
    marks = connection.execute("SELECT node, fingerprint, reason, at, failures, successes FROM marks")
    learnt = connection.execute("SELECT node, fingerprint, signs, at FROM learnt")
    machines = connection.execute("SELECT interfaces, bootable FROM machines")
    rates = connection.execute("SELECT profile, answer, factor, burst, loss FROM rates")
    attempts = connection.execute(
        "SELECT node, began, since, state, reason, packet, inferred, round, address, stage, rom, file, multicast"
        " FROM attempts ORDER BY since, began"
    )
    passes = connection.execute("SELECT multicast FROM passes")
    return Former(
        Experience(tuple(_mark(*row) for row in marks), tuple(_learnt(*row) for row in learnt)),
        tuple(_machine(*row) for row in machines),
        tuple(_rate(*row) for row in rates),
        tuple(_attempt(*row) for row in attempts),
        tuple(RunningPass(group) for (group,) in passes),
    )


def on_clock(former: Former, offset: float) -> Former:
    """Return what was read with its times moved from the wall clock."""
    known = former.experience
    return Former(
        Experience(
            tuple(replace(each, at=each.at - offset) for each in known.marks),
            tuple(replace(each, at=each.at - offset) for each in known.learnt),
        ),
        former.machines,
        former.rates,
        tuple(each._replace(began=each.began - offset, since=each.since - offset) for each in former.attempts),
        former.passes,
    )


def _mark_key(mark: Mark) -> str:
    return f"{_node_text(mark.node.hardware)} {mark.node.stage}"


def _mark_row(mark: Mark) -> Row:
    fingerprint = _fingerprint_text(mark.fingerprint)
    return _mark_key(mark), fingerprint, mark.trigger.name, mark.at, mark.failures, mark.successes


def _mark(node: str, fingerprint: str, trigger: str, at: float, failures: int, successes: int) -> Mark:
    hardware, stage = node.split()
    try:
        reason = Trigger[trigger]
    except KeyError:
        raise ValueError(f"{trigger!r} is no reason to fall back") from None
    owner = NodeStage(_hardware(hardware), stage)
    return Mark(owner, _fingerprint(fingerprint), reason, _time(at, node), failures, successes)


def _learnt_key(learnt: Learnt) -> str:
    return f"{_node_text(learnt.firmware.hardware)} {_fingerprint_text(learnt.firmware.fingerprint)}"


def _learnt_row(learnt: Learnt) -> Row:
    hardware, fingerprint = learnt.firmware
    signs = " ".join(sorted(sign.name for sign in learnt.signs))
    return _node_text(hardware), _fingerprint_text(fingerprint), signs, learnt.at


def _learnt(node: str, fingerprint: str, signs: str, at: float) -> Learnt:
    try:
        shown = frozenset(Sign[name] for name in signs.split())
    except KeyError:
        raise ValueError(f"{signs!r} are no signs of a ROM") from None
    return Learnt(Firmware(_hardware(node), _fingerprint(fingerprint)), shown, _time(at, node))


def _machine_key(machine: KnownMachine) -> str:
    return _node_text(machine.nics[0])


def _machine_row(machine: KnownMachine) -> Row:
    return _machine_key(machine), " ".join(map(_node_text, machine.nics)), _node_text(machine.bootable)


def _machine(interfaces: str, bootable: str) -> KnownMachine:
    nics = tuple(_hardware(text) for text in interfaces.split())
    if (which := _hardware(bootable)) not in nics:
        raise ValueError(f"{bootable} is none of {interfaces}")
    return KnownMachine(nics, which)


def _rate_row(rate: PassRate) -> Row:
    return rate.profile, rate.answer, rate.factor, rate.burst, rate.loss


def _rate(profile: str, answer: float, factor: float, burst: int, loss: float) -> PassRate:
    if not (0.0 <= answer < inf and 0.0 < factor < inf and burst >= 1 and 0.0 <= loss < inf):
        raise ValueError(f"no rate of {profile}")
    return PassRate(profile, answer, factor, burst, loss)


def _attempt_key(attempt: Attempt) -> str:
    return f"{_node_text(attempt.node)} {attempt.number}"


def _attempt_row(attempt: Attempt) -> Row:
    _, _, began, since, state, reason, packet, inferred, *rest = attempt
    return (
        _attempt_key(attempt),
        began,
        since,
        state.value,
        _clean(reason),
        _clean(packet),
        int(inferred),
        *map(_clean, rest),
    )


def _attempt(
    node: str, began: float, since: float, state: str, reason: str, packet: str, inferred: int, *rest: Any
) -> Attempt:
    who, number = node.split()
    times = _time(began, node), _time(since, node)
    return Attempt(_node(who), int(number), *times, NodeState(state), reason, packet, bool(inferred), *rest)


def _clean(value: Any) -> Any:
    """Replace what no UTF-8 can hold: octets of file names come from the network as surrogates."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) and not value.isascii() else value


def _node_text(node: NodeKey) -> str:
    return node if isinstance(node, str) else f"{node.htype}/{node.octets.hex()}"


def _node(text: str) -> NodeKey:
    return _hardware(text) if "/" in text else text


def _hardware(text: str) -> HardwareAddress:
    htype, slash, octets = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is no hardware address")
    return HardwareAddress(int(htype), bytes.fromhex(octets))


def _fingerprint_text(fingerprint: Fingerprint) -> str:
    return json.dumps([each.hex() if isinstance(each, bytes) else each for each in fingerprint])


def _fingerprint(text: str) -> Fingerprint:
    try:
        *octets, uuid_octets, hlen = json.loads(text)
        return Fingerprint._make((*map(bytes.fromhex, octets), uuid_octets, hlen))
    except TypeError:
        raise ValueError(f"{text} is no fingerprint") from None


def _time(value: float, what: str) -> float:
    if not isfinite(value):
        raise ValueError(f"{what} has no proper time")
    return value


_KINDS: Final[dict[type, _Kind]] = {
    Mark: _Kind(MARKS, _mark_key, _mark_row),
    Learnt: _Kind(LEARNT, _learnt_key, _learnt_row),
    KnownMachine: _Kind(MACHINES, _machine_key, _machine_row),
    PassRate: _Kind(RATES, lambda each: each.profile, _rate_row),
    Attempt: _Kind(ATTEMPTS, _attempt_key, _attempt_row),
    RunningPass: _Kind(PASSES, lambda each: each.group, lambda each: (each.group,)),
}
