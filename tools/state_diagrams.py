"""Print the state machines as diagrams into ``specs/state-diagrams.md``: ``python -m tools.state_diagrams``.

The diagrams are made of the tables that the machines run on, so they cannot say anything else than the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, TypeVar

from mtftpd.core.mtftp import carousel_states
from mtftpd.core.mtftp import states as mtftp_states
from mtftpd.core.nodes import states as node_states
from mtftpd.core.nodes.states import NodeState
from mtftpd.core.tftp import multicast as tftp_multicast
from mtftpd.core.tftp import states as tftp_states
from mtftpd.rom import dhcp as rom_dhcp
from mtftpd.rom import mtftp as rom_mtftp
from mtftpd.rom import tftp as rom_tftp

_State = TypeVar("_State", bound=Enum)
_Event = TypeVar("_Event", bound=Enum)

PAGE = Path(__file__).parents[1] / "specs" / "state-diagrams.md"

DRAWN = 8
"""Evidence that moves a node from more states than this is drawn as coming from anywhere."""

_HEAD = """# State machines

Made by `python -m tools.state_diagrams` from the tables that the machines run on; do not edit. The rules of each
machine are on top of its module. What is not drawn cannot happen: an event that a state has no arrow for is a bug
there, except for the life of a node, where it changes nothing.
"""


class Arrow(NamedTuple):
    """One way from a state to another, with the word for what moves the machine."""

    origin: str
    event: str
    target: str


class Machine(NamedTuple):
    """One diagram; ``meanings`` has every state, in order, and what it means ("": the name says it)."""

    title: str
    where: str
    first: tuple[str, ...]
    arrows: tuple[Arrow, ...]
    meanings: Mapping[str, str]


def machines() -> tuple[Machine, ...]:
    """Return every machine of the server, then those of the simulated ROMs."""
    return (
        _of_classes("The session of a group", mtftp_states),
        _of_enums(
            "One unicast transfer",
            tftp_states,
            (tftp_states.State.OFFERED, tftp_states.State.FIRST),
            tftp_states.TABLE,
        ),
        _of_classes("The session of iPXE's group", carousel_states),
        _of_enums(
            "One transfer with option multicast", tftp_multicast, (tftp_multicast.State.CALLED,), tftp_multicast.TABLE
        ),
        _of_enums("DHCP of a ROM", rom_dhcp, (rom_dhcp.State.SELECT,), rom_dhcp.TRANSITIONS),
        _of_enums("Multicast TFTP of a ROM", rom_mtftp, (rom_mtftp.State.LISTEN,), rom_mtftp.TRANSITIONS),
        _of_enums(
            "Unicast TFTP of a ROM", rom_tftp, (rom_tftp.State.PROBE, rom_tftp.State.REQUEST), rom_tftp.TRANSITIONS
        ),
    )


def page() -> str:
    """Return the whole page."""
    return _HEAD + "".join(_section(machine) for machine in machines()) + _life_of_a_node()


def _of_classes(title: str, module: ModuleType) -> Machine:
    """Return the machine of a module whose states are classes; it begins in ``Idle``."""
    arrows = tuple(
        Arrow(origin.__name__, event.value, target.__name__)
        for origin, ways in module.TABLE.items()
        for event, target in ways.items()
    )
    meanings = {state.__name__: _first_sentence(state.__doc__) for state in module.TABLE}
    return Machine(title, module.__name__.replace(".", "/") + ".py", ("Idle",), arrows, meanings)


def _of_enums(
    title: str, module: ModuleType, first: Iterable[_State], table: Mapping[_State, Mapping[_Event, _State]]
) -> Machine:
    arrows = tuple(
        Arrow(origin.name, event.value, target.name) for origin, ways in table.items() for event, target in ways.items()
    )
    where = module.__name__.replace(".", "/") + ".py"
    said = {state.name: str(state.value) for state in table}
    meanings = {name: "" if value.replace("-", "_").upper() == name else value for name, value in said.items()}
    return Machine(title, where, tuple(state.name for state in first), arrows, meanings)


def _section(machine: Machine) -> str:
    meant = "".join(f"| `{state}` | {meaning} |\n" for state, meaning in machine.meanings.items() if meaning)
    table = f"\n| state | meaning |\n|---|---|\n{meant}" if meant else ""
    arrows = [*(Arrow("[*]", "", state) for state in machine.first), *machine.arrows]
    last = machine.meanings.keys() - {arrow.origin for arrow in machine.arrows}
    arrows += [Arrow(state, "", "[*]") for state in machine.meanings if state in last]
    return f"\n## {machine.title}\n\n`{machine.where}`\n\n{_diagram(arrows)}{table}"


def _diagram(arrows: Iterable[Arrow], names: Mapping[str, str] | None = None) -> str:
    """Return a Mermaid diagram; several events with the same way share an arrow.  ``names`` are shown for states."""
    ways: dict[tuple[str, str], list[str]] = {}
    for arrow in arrows:
        ways.setdefault((arrow.origin, arrow.target), []).append(arrow.event)
    lines = [f'    state "{shown}" as {state}' for state, shown in (names or {}).items()]
    lines += [
        f"    {origin} --> {target}" + (f": {' / '.join(map(_label, events))}" if any(events) else "")
        for (origin, target), events in ways.items()
    ]
    return "```mermaid\nstateDiagram-v2\n" + "\n".join(lines) + "\n```\n"


def _label(event: str) -> str:
    """Mermaid ends a label at a semicolon and takes a second colon for the end of the name."""
    return event.replace(";", ",").replace(":", ",")


def _first_sentence(doc: str | None) -> str:
    paragraph = " ".join((doc or "").partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".").replace("``", "`")


def _life_of_a_node() -> str:
    rows = "".join(
        f"| {evidence.value} | {_origins(origins)} | `{target.value}` |\n"
        for evidence, (origins, target) in node_states.MOVES.items()
    )
    waits = "".join(f"| `{state.value}` | `{target.value}` |\n" for state, target in node_states.SILENT_FROM.items())
    return (
        "\n## The life of a node\n\n`mtftpd/core/nodes/states.py`\n\n"
        f"States that are inferred: {_listed(node_states.INFERRED)}. Failed: {_listed(node_states.FAILED)}.\n"
        f"Succeeded: {_listed(node_states.SUCCEEDED)}.\n\n"
        f"{_diagram(_life_arrows(), {state.name: state.value for state in NodeState})}\n"
        f"Evidence that moves a node from more than {DRAWN} states is drawn as an arrow from the start. All of it:\n\n"
        f"| evidence | from | to |\n|---|---|---|\n{rows}\n"
        f"Silence leads elsewhere from these states:\n\n| from | to |\n|---|---|\n{waits}"
    )


def _life_arrows() -> Iterator[Arrow]:
    for evidence, (origins, target) in node_states.MOVES.items():
        if len(origins) > DRAWN:
            yield Arrow("[*]", evidence.value, target.name)
        else:
            yield from (Arrow(origin.name, evidence.value, target.name) for origin in NodeState if origin in origins)
    for origin, target in node_states.SILENT_FROM.items():
        yield Arrow(origin.name, node_states.Evidence.SILENCE.value, target.name)


def _origins(origins: frozenset[NodeState]) -> str:
    missing = frozenset(NodeState) - origins
    if not missing:
        return "any"
    return _listed(origins) if len(origins) <= len(missing) else f"any but {_listed(missing)}"


def _listed(states: frozenset[NodeState]) -> str:
    return ", ".join(f"`{state.value}`" for state in NodeState if state in states)


if __name__ == "__main__":
    PAGE.write_text(page())
