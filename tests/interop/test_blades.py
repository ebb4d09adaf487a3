"""48 blades with 144 interfaces, and every client that is known, on one hub of 100 Mbit/s that loses packets.

Real processes and sockets: ``mtftpd serve`` on a bridge that floods, and simulated ROMs, each interface in a network
namespace of its own.  The kernel shapes what the server sends and loses one frame in a hundred on each cable, each way.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from mtftpd.daemon.demo import Demo, DemoSettings
from mtftpd.daemon.demo_scene import hardware_of
from mtftpd.rom.firmwares import FIRMWARES
from mtftpd.rom.profiles import RomProfile
from tests.interop.conftest import write_image
from tools.lab.segment import run

BLADES = 48
OF_EACH = 3
LIMIT = 240.0
"""Seconds for everybody to boot on a machine that has other things to do; on an idle one it takes a tenth."""
OCTETS = {"blades": 1536 * 1024, "mixed": 512 * 1024}
"""A pass of 3,073 blocks takes two processors 4 s, for each goes to 144 namespaces; there are some three passes."""
ONE_IN_A_HUNDRED = "numgen random mod 100 0 drop"
HUB = {"link": "hub-100", "serve-all": True}


def spoil() -> None:
    """Turn the bridge of the demo, in whose namespace this process is, into a hub of 100 Mbit/s that loses packets."""
    ports = [name for _, name in socket.if_nameindex() if name.startswith("port")]
    for hook in ("ingress", "egress"):
        base = f"type filter hook {hook} devices = {{ {', '.join(ports)} }} priority 0"
        run("nft", f"table netdev lost_{hook} {{\nchain lossy {{ {base}; {ONE_IN_A_HUNDRED}; }}\n}}")
    run("ip", "link", "set", "segment", "type", "bridge", "ageing_time", "0", "mcast_snooping", "0")
    run("tc", "qdisc", "replace", "dev", "segment", "root", "tbf", "rate", "100mbit", "burst", "16k", "latency", "50ms")


def interfaces(fleet: tuple[RomProfile, ...]) -> list[tuple[int, bool]]:
    """Return the number of each interface of ``fleet``, and whether its machine boots from it."""
    return [(task.number, boots) for task, boots in DemoSettings(fleet=fleet).tasks()]


def nodes_with_three_interfaces(fleet: tuple[RomProfile, ...]) -> str:
    """Return sections for the machines of ``fleet`` that have several interfaces."""
    sections, first = [], 1
    for rom in fleet:
        nics = [f'"{hardware_of(number)}"' for number in range(first, first + rom.nics)]
        if rom.nics > 1:
            sections.append(f"[[node]]\nhardware = [{', '.join(nics)}]\nbootable = {nics[rom.boots_from - 1]}\n")
        first += rom.nics
    return "\n".join(sections)


def boot(fleet: tuple[RomProfile, ...], image: Path) -> dict[str, Any]:
    """Boot all of ``fleet`` at once, with hardly more addresses than machines; return the state of the server."""
    settings = DemoSettings(
        fleet=fleet, image=image, limit=LIMIT, server=HUB, sections=nodes_with_three_interfaces(fleet)
    )
    with Demo(settings) as demo:
        demo.prepare()
        spoil()
        for _ in demo.run():
            pass
        result = demo.result()
        print(result)  # noqa: T201 - pytest shows it when the test fails
        assert result.failures == {}
        assert result.verified == len(fleet)
        return demo.ask("nodes")


@pytest.mark.parametrize("name", OCTETS)
def test_nobody_is_lost(name: str, tmp_path: Path) -> None:
    fleet = (FIRMWARES["rlx-3nic"],) * BLADES if name == "blades" else (*FIRMWARES.values(),) * OF_EACH
    write_image(tmp_path / "image", OCTETS[name])
    records = boot(fleet, tmp_path / "image")["nodes"]
    wrong = {nic for node in records for nic in node["wrong_nics"]}
    others = {str(hardware_of(number)) for number, boots in interfaces(fleet) if not boots}
    # Who loses both its first calls may be heard of only after everybody has booted.
    assert wrong <= others
    assert len(wrong) > len(others) // 2
    assert not others & {node["hardware"] for node in records}
