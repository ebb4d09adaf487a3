"""The process of one simulated ROM in a demo: boots once and tells its parent about it, one JSON line at a time."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from mtftpd.core.settings import Ports
from mtftpd.daemon.demo_scene import Scene, hardware_of
from mtftpd.errors import StartupError
from mtftpd.net.rom_sockets import Observer, RomSockets, Traffic
from mtftpd.rom.actions import Enter, ImageMemory, Phase
from mtftpd.rom.node import Node
from mtftpd.rom.profiles import Identity, RomPorts, RomProfile

MAX_TEXT: Final = 200
"""Characters of one detail: a line stays below PIPE_BUF (4,096 octets), so that lines of many nodes never mix."""


@dataclass(frozen=True, slots=True)
class NodeTask:
    """What one process has to do: ``loss`` is a fraction, ``seconds`` the time that it has.

    ``number`` is that of its interface, and ``first`` that of the first interface of its machine.
    """

    number: int
    first: int
    profile: RomProfile
    loss: float
    seed: int
    seconds: float


class Teller:
    """Writes the lines of one node into the pipe that all nodes share."""

    def __init__(self, number: int, pipe: int) -> None:
        self._number = number
        self._pipe = pipe

    def tell(self, event: str, **values: Any) -> None:
        """Write one line, in one piece."""
        line = {"node": self._number, "event": event, "time": time.monotonic(), **values}
        os.write(self._pipe, json.dumps(line).encode("ascii") + b"\n")


def run_node(task: NodeTask, scene: Scene, pipe: int, gate: int) -> int:
    """Attach to the scene, wait until ``gate`` is closed at its other end, boot; return 0 when booted, else 1."""
    teller = Teller(task.number, pipe)
    try:
        attachment = scene.attach(hardware_of(task.number, task.profile.oui))
    except StartupError as error:
        teller.tell("end", phase=Phase.FAILED.value, detail=str(error)[:MAX_TEXT])
        return 1
    teller.tell("attached")
    os.read(gate, 1)
    memory = ImageMemory()
    chance = random.Random(f"{task.seed}/{task.number}")
    node = Node(_identity(task, chance), task.profile, memory, _ports(scene.ports))
    observer = Observer(
        on_phase=lambda entered: _tell_phase(teller, node, entered),
        on_progress=lambda: teller.tell("progress", octets=memory.size),
        lose=_loser(task.loss, chance),
    )
    RomSockets(node, attachment, observer).run(time.monotonic() + task.seconds)
    outcome = _outcome(node, memory, observer.traffic)
    if node.phase not in (Phase.DONE, Phase.FAILED):
        outcome |= {"phase": Phase.FAILED.value, "detail": too_late(task.seconds, node.phase.value)}
    teller.tell("end", **outcome)
    return 0 if node.phase is Phase.DONE else 1


def too_late(seconds: float, phase: str) -> str:
    """Return why a node failed that was still busy when its time was over."""
    return f"not done after {seconds:g} s, in phase {phase}"


def _identity(task: NodeTask, chance: random.Random) -> Identity:
    # The xid says whose it is, so that any stray answer names itself.
    return Identity(
        hardware=hardware_of(task.number, task.profile.oui),
        uuid=random.Random(f"{task.seed}/{task.first}").randbytes(16),
        xid=task.number << 16,
        port=2070 + chance.randrange(1000),
    )


def _ports(ports: Ports) -> RomPorts:
    return RomPorts(ports.dhcp_server, ports.dhcp_client, ports.pxe, ports.tftp)


def _loser(loss: float, chance: random.Random) -> Callable[[], bool] | None:
    if not loss:
        return None
    draw = chance.random
    return lambda: draw() < loss


def _tell_phase(teller: Teller, node: Node, entered: Enter) -> None:
    address = str(node.plan.address) if node.plan else ""
    teller.tell("phase", phase=entered.phase.value, detail=entered.detail[:MAX_TEXT], address=address)


def _outcome(node: Node, memory: ImageMemory, traffic: Traffic) -> dict[str, Any]:
    mtftp, unicast = node.mtftp, node.tftp
    return {
        "phase": node.phase.value,
        "octets": node.length,
        "sha256": hashlib.sha256(memory.image(node.length)).hexdigest() if node.phase is Phase.DONE else "",
        "fallback": node.fallback[:MAX_TEXT],
        "heard": mtftp.heard if mtftp else 0,
        "duplicates": mtftp.duplicates if mtftp else 0,
        "opens": mtftp.opens if mtftp else 0,
        "acknowledgements": (mtftp.acknowledgements if mtftp else 0) + (unicast.acknowledgements if unicast else 0),
        "received": traffic.received,
        "sent": traffic.sent,
        "lost_in": traffic.lost_in,
        "lost_out": traffic.lost_out,
        "overflowed": traffic.overflowed,
    }
