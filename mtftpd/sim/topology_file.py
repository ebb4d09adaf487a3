"""Networks from a TOML file.

::

    name = "two racks and the old hub"
    rate = "1G"                  # the server's link
    queue = "128K"               # the port of the switch that leads to the server

    [[segment]]
    name = "rack-1"              # a switch behind an uplink
    share = 80                   # of all nodes, by weight
    rate = "100M"                # of each node's link
    uplink = "1G"                # absent: the server hangs on this very switch or hub
    queue = "128K"
    snooping = "no-querier"      # off, querier, no-querier
    join_delay = 0.5
    loss = "1%"

    [[segment]]
    name = "lab"
    kind = "hub"
    share = 20
    rate = "100M"
    uplink = "100M"
    speed = 2000                 # packets per second of a ROM
    ring = 8
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any, Final

from mtftpd.sim import amounts
from mtftpd.sim.chance import Quality
from mtftpd.sim.topology import Kind, Segment, Snooping, Topology

Reader = Callable[[Any], Any]


class BadTopology(ValueError):
    """A file that describes no network; the message names the key and what to write."""


def read_topology(text: str) -> Topology:
    """Return the network that a TOML text describes; raises `BadTopology`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadTopology(str(error)) from None
    tables = document.pop("segment", None)
    if not isinstance(tables, list) or not tables:
        raise BadTopology("there is no [[segment]]; nodes need something to hang on")
    values = {"name": "file", **_values(document, _TOP, "")}
    segments = tuple(_segment(table, f"segment {number}: ") for number, table in enumerate(tables, 1))
    at_server = [segment.name for segment in segments if not segment.uplink]
    if len(at_server) > 1:
        raise BadTopology(f"segments {', '.join(at_server)} have no uplink; the server hangs on one of them only")
    if at_server and len(segments) > 1 and any(s.kind is Kind.HUB for s in segments if not s.uplink):
        raise BadTopology(f"segment {at_server[0]} is a hub with the server on it: give the other segments a file each")
    values.setdefault("rate", max(segment.uplink or segment.rate for segment in segments))
    return Topology(segments=segments, **values)


def _segment(table: Any, where: str) -> Segment:
    if not isinstance(table, dict):
        raise BadTopology(f"{where}is not a table; write [[segment]]")
    quality = {key: table[key] for key in table if key in _QUALITY}
    others = {key: table[key] for key in table if key not in _QUALITY}
    values = {"name": where.rstrip(": "), **_values(others, _SEGMENT, where)}
    return Segment(quality=Quality(**_values(quality, _QUALITY, where)), **values)


def _values(table: dict[str, Any], readers: dict[str, Reader], where: str) -> dict[str, Any]:
    values = {}
    for key, value in table.items():
        reader = readers.get(key)
        if reader is None:
            raise BadTopology(f"{where}{key} is not known; there are: {', '.join(readers)}")
        try:
            values[key] = reader(value)
        except ValueError as error:
            raise BadTopology(f"{where}{key}: {error}") from None
    return values


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a text")
    return value


def _number(least: float, *, whole: bool = False) -> Reader:
    def read(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or value < least:
            raise ValueError(f"{value!r} is not a{' whole' if whole else ''} number from {least:g}")
        return value

    return read


def _of(kind: type[Kind] | type[Snooping]) -> Reader:
    def read(value: Any) -> Any:
        try:
            return kind(value)
        except ValueError:
            raise ValueError(f"{value!r} is not one of {', '.join(each.value for each in kind)}") from None

    return read


def _amount(reader: Callable[[str], Any]) -> Reader:
    return lambda value: reader(str(value))


_QUALITY: Final[dict[str, Reader]] = {
    "loss": _amount(amounts.fraction),
    "burst": _number(1),
    "duplicate": _amount(amounts.fraction),
    "reorder": _amount(amounts.fraction),
    "delay": _number(0),
}
_SEGMENT: Final[dict[str, Reader]] = {
    "name": _text,
    "kind": _of(Kind),
    "share": _number(0.001),
    "rate": _amount(amounts.rate),
    "queue": _amount(amounts.octets),
    "latency": _number(0),
    "uplink": _amount(amounts.rate),
    "snooping": _of(Snooping),
    "join_delay": _number(0),
    "membership": _number(1),
    "speed": _number(1),
    "ring": _number(1, whole=True),
}
_TOP: Final[dict[str, Reader]] = {"name": _text, "rate": _amount(amounts.rate), "queue": _amount(amounts.octets)}
