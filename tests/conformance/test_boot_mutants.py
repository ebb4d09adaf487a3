"""The cases of BOOTP, of menus and of a proxy can fail, each because of its requirement and no other."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from mtftpd.conformance.discovery import Told
from mtftpd.conformance.results import Report
from mtftpd.conformance.verdicts import Verdict
from mtftpd.wire.bootp import MessageType
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.pxe import BootItem, BootServers, MenuPrompt, PxeOptions
from tests.conformance.memory_network import EVERYBODY, MemoryNetwork
from tests.conformance.mutation import Mutant, by_verdict, changed, check_caught, judged, mutant
from tests.conformance.reference_boot import FILES, BootpServer, MenuServer
from tests.conformance.reference_dhcp import DhcpServer

BOOTP: Any = BootpServer
MENU: Any = MenuServer
EMPTY_LINE = b"\0\1\4Node\0\2\0"
SHORT_ITEM = b"\x47\3"
ELSEWHERE = IPv4Address("10.0.0.9")

BOOTP_MUTANTS = [
    mutant("BTP-01", octets=lambda self, message, data: data if message.message_type else data[:299]),
    mutant("BTP-02", of_bootp=lambda self, options: options.without(51, 53, 54)),
    mutant("BTP-03", of_bootp=lambda self, options: options),
    mutant("BTP-04", destination=lambda self, message, reply: BOOTP.destination(self, message, reply)
           if message.message_type else Endpoint(EVERYBODY, 68)),
]  # fmt: skip

MENU_MUTANTS = [
    mutant("O43-09", "O43-12", servers=lambda self: ()),
    mutant("O43-10", prompt=lambda self: None),
    mutant("PXE-10", tags=lambda self, message: replace(MENU.tags(self, message), menu=(), others=((9, EMPTY_LINE),))),
    mutant("O43-12", menu=lambda self: MENU.menu(self)[1:]),
    mutant("O43-22", "DSC-05", servers=lambda self: tuple(
        BootServers(type_, (IPv4Address("239.1.1.1"),)) for type_ in FILES)),
    mutant("O43-21", prompt=lambda self: MenuPrompt(5, "Choose\0")),
    mutant("O43-13", "DSC-06", tags_of=lambda self, item: PxeOptions(discovery_control=8, boot_item=BootItem(1, 0))),
    mutant("O43-16", item=lambda self, message: None if SHORT_ITEM in message.options.get(43, b"")
           else MENU.item(self, message)),
    mutant("DSC-01", boot_server=lambda self, heard, message: None if message.message_type == MessageType.INFORM
           else MENU.boot_server(self, heard, message)),
    mutant("DSC-05", servers=lambda self: tuple(BootServers(type_, (ELSEWHERE,)) for type_ in FILES)),
    mutant("DSC-06", file_of=lambda self, type_: b"" if type_ == 2 else FILES[type_]),
]  # fmt: skip

PROXY = {"gives_addresses": False, "tags": lambda self, message: PxeOptions(discovery_control=8)}
PROXY_MUTANTS = [
    mutant("DHCP-07", "RLY-03", edited=lambda self, message, reply: replace(reply, yiaddr=ELSEWHERE)),
    mutant("DHCP-12", "OPT-13", octets=lambda self, message, data: data.rstrip(b"\0")),
]


async def run(suite: str, base: type[DhcpServer], changes: dict[str, Any]) -> Report:
    (server,) = changed(base, changes=changes)

    def start(network: MemoryNetwork, nursery: trio.Nursery) -> None:
        network.server = server(network, nursery).receive

    return await judged(suite, Told(), start)


@pytest.mark.parametrize(
    ("suite", "base", "changes", "mutants"),
    [
        ("dhcp", BootpServer, {}, BOOTP_MUTANTS),
        ("pxe", MenuServer, {}, MENU_MUTANTS),
        ("dhcp", DhcpServer, PROXY, PROXY_MUTANTS),
    ],
)
async def test_the_reference_servers_pass(
    suite: str, base: type[DhcpServer], changes: dict[str, Any], mutants: list[Mutant], autojump_clock: MockClock
) -> None:
    report = await run(suite, base, changes)
    assert not by_verdict(report, Verdict.FAIL)
    assert not by_verdict(report, Verdict.INCONCLUSIVE)
    passed = {id_ for result in report.results if result.verdict is Verdict.PASS for id_ in result.case.ids}
    assert passed >= {each.id for each in mutants}


@pytest.mark.parametrize("mutant", BOOTP_MUTANTS, ids=lambda each: each.id)
async def test_a_mutant_of_bootp_is_caught(mutant: Mutant, autojump_clock: MockClock) -> None:
    check_caught(await run("dhcp", BootpServer, mutant.changes), mutant)


@pytest.mark.parametrize("mutant", MENU_MUTANTS, ids=lambda each: each.id)
async def test_a_mutant_of_the_menu_is_caught(mutant: Mutant, autojump_clock: MockClock) -> None:
    check_caught(await run("pxe", MenuServer, mutant.changes), mutant)


@pytest.mark.parametrize("mutant", PROXY_MUTANTS, ids=lambda each: each.id)
async def test_a_mutant_of_a_proxy_is_caught(mutant: Mutant, autojump_clock: MockClock) -> None:
    check_caught(await run("dhcp", DhcpServer, PROXY | mutant.changes), mutant)
