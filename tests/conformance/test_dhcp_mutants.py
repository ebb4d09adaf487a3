"""The suites for DHCP and PXE can fail: servers that break one requirement each are caught by the case of it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from mtftpd.conformance.discovery import Told
from mtftpd.conformance.results import Report
from mtftpd.conformance.verdicts import Verdict
from mtftpd.net.outside import Heard
from mtftpd.wire import bootp, pxe
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.options import Options
from mtftpd.wire.pxe import PxeOptions
from tests.conformance.memory_network import EVERYBODY, MemoryNetwork
from tests.conformance.mutation import Mutant, by_verdict, changed, check_caught, judged, mutant
from tests.conformance.reference_dhcp import (
    AGENT,
    CLASS,
    CLIENT_ID,
    FILE_NAME,
    LEASE,
    MACHINE,
    ROUTER,
    SIZE,
    T1,
    T2,
    VENDOR,
    DhcpServer,
)
from tests.conformance.reference_dhcp import SERVER as SERVER_ID

SERVER: Any = DhcpServer
NOBODY = IPv4Address(0)
ELSEWHERE = IPv4Address("10.0.0.9")


def reply(id_: str, also: str = "", **fields: Any) -> Mutant:
    """Return a mutant whose replies to DHCP have other ``fields`` in their header."""
    return mutant(id_, also, edited=lambda self, message, reply: replace(reply, **fields))


def options(id_: str, change: Callable[[DhcpMessage, Options], Options], also: str = "") -> Mutant:
    """Return a mutant whose replies to DHCP have other options."""
    return mutant(id_, also, edited=lambda self, message, reply: replace(reply, options=change(message, reply.options)))


def tags(id_: str, change: Callable[[bytes], bytes], also: str = "") -> Mutant:
    """Return a mutant whose replies to BIOS clients of DHCP have another option 43."""

    def changed_tags(message: DhcpMessage, old: Options) -> Options:
        value = old.get(VENDOR, b"")
        return old.with_(VENDOR, change(value)) if GROUP_TAG in value else old

    return options(id_, changed_tags, also)


def ack_4011(id_: str, also: str = "", **fields: Any) -> Mutant:
    """Return a mutant whose answers on port 4011 have other ``fields`` in their header."""
    return mutant(id_, also, edited_ack=lambda self, message, reply: replace(reply, **fields))


GROUP_TAG, CLIENT_PORT_TAG, TIMEOUT_TAG = b"\1\4\xef\1\1\1", b"\2\2\7\7", b"\4\1\2"

MASK, GATEWAY = bytes.fromhex("0104ffffff00"), bytes.fromhex("03040a000001")
COUNT = itertools.count(1)


def rebinds(heard: Heard) -> bool:
    """Return whether this is the REQUEST, to everybody, of a client that has an address."""
    is_broadcast = heard.destination == Endpoint(EVERYBODY, 67)
    return is_broadcast and heard.data[242:243] == b"\3" and heard.data[12:16] != NOBODY.packed


DHCP = [
    mutant("MSG-01", is_request=lambda self, message: message.is_dhcp and self.is_possible(message.giaddr)),
    mutant("MSG-01", other=lambda self, message, kind: self.refuse(message) if kind == 2 else None),
    mutant("MSG-02", understood=lambda self, data: bootp.parse_untrusted(data[:236] + bootp.MAGIC_COOKIE + data[240:])),
    reply("MSG-04", hops=1),
    mutant("MSG-04", edited=lambda self, message, reply: replace(reply, secs=message.secs)),
    reply("MSG-05", ciaddr=ELSEWHERE),
    mutant("MSG-07", "ADR-13 ADR-21 ADR-22 ADR-23 ADR-24 RLY-08", destination=lambda self, message, reply: Endpoint(
        EVERYBODY, 68) if message.ciaddr != NOBODY else SERVER.destination(self, message, reply)),
    mutant("MSG-08", destination=lambda self, message, reply: SERVER.destination(
        self, replace(message, flags=0) if message.flags == 0x8000 else message, reply)),
    mutant("MSG-09", destination=lambda self, message, reply: SERVER.destination(
        self, replace(message, flags=message.flags | 0x8000), reply)),
    mutant("MSG-10", destination_of_nak=lambda self, message, usual: usual if message.broadcast or
           message.giaddr != NOBODY else Endpoint("10.0.0.100", 68)),
    mutant("MSG-11", is_request=lambda self, message: SERVER.is_request(self, message) and not message.flags & 0x7FFF),
    mutant("MSG-13", key=lambda self, message: message.chaddr[: message.hlen]),
    mutant("MSG-15", other=lambda self, message, kind: self.discover(message) if kind == 99 else None),
    mutant("ADR-04", "ADR-09 ADR-20", is_free=lambda self, address, key: address not in self.declined
           and address not in [each for owner, each in self.offers.items() if owner != key]),
    mutant("ADR-05", "MSG-13", is_free=lambda self, address, key: address not in self.declined
           and address not in [each for owner, each in self.leases.items() if owner != key]),
    mutant("ADR-06", "ADR-07", chosen_another=lambda self, message: self.refuse(message)),
    mutant("ADR-07", chosen_another=lambda self, message: None),
    mutant("ADR-09", "ADR-04", may_have=lambda self, key, wanted, named: named is not None
           or SERVER.may_have(self, key, wanted, named)),
    mutant("ADR-11", unknown=lambda self, message, wanted: self.refuse(message)),
    mutant("ADR-11", unknown=lambda self, message, wanted: self.answer(message, 5, wanted)),
    mutant("ADR-01", "ADR-28", edited=lambda self, message, reply: replace(reply, options=reply.options.without(LEASE))
           if reply.message_type == 2 else reply),
    mutant("ADR-08", "ADR-13", edited=lambda self, message, reply: replace(reply, options=reply.options.without(LEASE))
           if reply.message_type == 5 else reply),
    mutant("ADR-03", "ADR-25 ADR-29", is_free=lambda self, address, key: SERVER.is_free(self, address, b"")),
    mutant("ADR-09", refuse=lambda self, message: SERVER.refuse(self, message)
           if SERVER_ID not in message.options else None),
    mutant("ADR-10", refuse=lambda self, message: SERVER.refuse(self, message)
           if SERVER_ID in message.options else None),
    mutant("ADR-12", "ADR-10", request=lambda self, message: SERVER.request(self, message)
           if SERVER_ID in message.options or message.ciaddr != NOBODY else None),
    mutant("ADR-15", edited_nak=lambda self, message, reply: replace(
        reply, options=reply.options.with_(LEASE, bytes(4)))),
    mutant("ADR-16", edited_nak=lambda self, message, reply: replace(reply, yiaddr=ELSEWHERE)),
    mutant("ADR-17", decline=lambda self, message: self.release(replace(message, ciaddr=message.options.address(50)))),
    mutant("ADR-18", release=lambda self, message: self.answer(message, 5, NOBODY)),
    mutant("ADR-20", holds=lambda self, message, address: [self.leases.pop(owner) for owner, each in
           list(self.leases.items()) if each == address] and self.leases.update({self.key(message): address}) is None),
    mutant("ADR-21", "ADR-24", inform=lambda self, message: None),
    mutant("ADR-22", "ADR-24", inform=lambda self, message: self.answer(message, 5, message.ciaddr)),
    mutant("ADR-24", inform=lambda self, message: SERVER.inform(self, message)
           if self.key(message) in self.leases else None),
    mutant("ADR-25", "ADR-05 ADR-07 MSG-13", is_free=lambda self, address, key: SERVER.is_free(self, address, key)
           and address not in self.offers.values()),
    options("ADR-26", lambda message, old: old.with_(T2, old[T1]) if T1 in old else old),
    mutant("ADR-27", candidates=lambda self, message: (each for each in SERVER.candidates(self, message)
           if each not in self.former.values())),
    mutant("ADR-29", "MSG-13", key=lambda self, message: message.options.get(CLIENT_ID, SERVER.key(self, message))),
    options("OPT-02", lambda message, old: old.with_(T1, b"\x0e\x10\1") if T1 in old else old, "ADR-26"),
    options("OPT-10", lambda message, old: old.without(ROUTER)),
    options("OPT-11", lambda message, old: old.with_(55, b"\1")),
    options("OPT-12", lambda message, old: old.without(CLIENT_ID)),
    mutant("OPT-13", edited=lambda self, message, reply: replace(reply, file=b"")
           if message.options.integer(57) == 300 else reply),
    options("RLY-03", lambda message, old: old.without(AGENT), "RLY-04"),
    options("RLY-06", lambda message, old: old if AGENT in message.options else old.with_(AGENT, b"\1\1x")),
    mutant("RLY-01", "RLY-02 RLY-03 RLY-04 RLY-06 RLY-09", destination=lambda self, message, reply: Endpoint(
        EVERYBODY, 68) if message.giaddr != NOBODY else SERVER.destination(self, message, reply)),
    mutant("RLY-07", edited_nak=lambda self, message, reply: replace(reply, flags=0)),
    mutant("RLY-11", is_possible=lambda self, agent: True, destination=lambda self, message, reply: Endpoint(
        EVERYBODY, 67) if str(message.giaddr) == "10.0.0.255" else SERVER.destination(self, message, reply)),
    mutant("DHCP-01", is_rom=lambda self, message: b"pxeclient" in message.options.get(CLASS, b"").lower()),
    mutant("DHCP-02", "OPT-03 OPT-04 OPT-06 OPT-08 OPT-15 DHCP-06", edited=lambda self, message, reply: replace(
        reply, options=reply.options.with_(CLASS, b"PXEClient:")) if CLASS in reply.options else reply),
    reply("DHCP-03", htype=6),
    mutant("DHCP-03", edited=lambda self, message, reply: replace(reply, chaddr=message.chaddr[:6] + b"\1" * 10)),
    options("DHCP-04", lambda message, old: old.without(SERVER_ID) if SERVER_ID in message.options else old, "DHCP-10"),
    options("DHCP-05", lambda message, old: old.without(MACHINE)),
    mutant("DHCP-06", is_rom=lambda self, message: SERVER.is_rom(self, message) and MACHINE in message.options),
    mutant("DHCP-09", edited=lambda self, message, reply: replace(
        reply, file=b"other", options=reply.options.with_(FILE_NAME, b"other"))
           if reply.message_type == 5 else reply),
    options("DHCP-10", lambda message, old: old.with_(SERVER_ID, ELSEWHERE.packed)
            if SERVER_ID in message.options else old),
    reply("DHCP-11", siaddr=NOBODY),
    mutant("DHCP-13", "OPT-13", octets=lambda self, message, data: data.ljust(560, b"\0")),
    options("DHCP-15", lambda message, old: old.with_(FILE_NAME, b"other") if FILE_NAME in old else old),
    options("DHCP-17", lambda message, old: old.with_(SIZE, b"\0\2") if SIZE in old else old),
    mutant("MSG-06", put=lambda self, source, destination, reply, message: SERVER.put(
        self, Endpoint(source.address, 6767) if source.port == 67 else source, destination, reply, message)),
    mutant("MSG-14", octets=lambda self, message, data: data[:44] + b"s" * 64 + data[108:]),
    mutant("MSG-17", discover=lambda self, message: [
        self.__dict__.update({message.chaddr: message.xid}), SERVER.discover(self, message)],
           request=lambda self, message: SERVER.request(self, message) if SERVER_ID not in message.options
           or self.__dict__.get(message.chaddr) == message.xid else None),
    mutant("ADR-14", receive=lambda self, heard: None if rebinds(heard) else SERVER.receive(self, heard)),
    mutant("OPT-01", octets=lambda self, message, data: data.rstrip(b"\0")[:-1].ljust(len(data), b"\0")),
    mutant("OPT-05", octets=lambda self, message, data: data.replace(MASK + GATEWAY, GATEWAY + MASK)),
    mutant("OPT-09", octets=lambda self, message, data: data[:240] + data[243:249] + data[240:243] + data[249:]),
    mutant("OPT-14", is_request=lambda self, message: SERVER.is_request(self, message) and 224 not in message.options),
    mutant("OPT-15", is_rom=lambda self, message: SERVER.is_rom(self, message)
           and not message.options[CLASS].endswith(b"\0")),
    options("DHCP-16", lambda message, old: old.with_(66, b"")),
    mutant("DHCP-18", "MSG-13", frame=lambda self, message, destination: b"\xff" * 6
           if destination.address == EVERYBODY else bytes(6)),
]  # fmt: skip

PXE = [
    options("O43-01", lambda message, old: old.with_(VENDOR, old[VENDOR][:-1]) if VENDOR in old else old),
    tags("O43-03", lambda value: value.replace(TIMEOUT_TAG, b""), "O43-05 O43-06"),
    tags("O43-04", lambda value: value.replace(GROUP_TAG, b"\1\4\xe0\0\0\5")),
    tags("O43-04", lambda value: value.replace(GROUP_TAG, b"\1\4\x0a\0\0\5")),
    tags("O43-05", lambda value: value.replace(TIMEOUT_TAG, b"\4\1\0"), "O43-06"),
    tags("O43-06", lambda value: value.replace(TIMEOUT_TAG, b"\4\1\5")),
    tags("O43-08", lambda value: value.replace(b"\6\1\x0a", b"\6\1\x08"), "O43-11"),
    tags("O43-09", lambda value: value.replace(b"\6\1\x0a", b"\6\1\x0b"), "O43-11"),
    tags("O43-10", lambda value: value.replace(b"\6\1\x0a", b"\6\1\x02"), "O43-11 PXE-10"),
    tags("O43-11", lambda value: value.replace(b"\6\1\x0a", b"")),
    tags("O43-19", lambda value: value + b"\0\0", "O43-01"),
    tags("O43-20", lambda value: value.replace(b"\6\1\x0a", b"\6\1\x1a"), "O43-11"),
    tags("O43-25", lambda value: value.replace(CLIENT_PORT_TAG, b"\2\2\7\6")),
    mutant("O43-26", tags=lambda self, message: SERVER.tags(self, replace(message, giaddr=NOBODY))),
    mutant("O43-27", "O43-07", is_efi=lambda self, message: False),
    mutant("O43-14", "DSC-06", serves=lambda self, item: not item.layer & 0x8000),
    mutant("O43-14", serves=lambda self, item: item.type == 0),
    ack_4011("DHCP-08", "DSC-09", yiaddr=ELSEWHERE),
    ack_4011("DSC-02", "DSC-06 O43-13 O43-15 DSC-07", file=b""),
    ack_4011("DSC-11", "DHCP-08 DHCP-20", chaddr=bytes(16)),
    mutant("DSC-04", boot_server=lambda self, heard, message: SERVER.boot_server(self, replace(
        heard, destination=Endpoint(EVERYBODY, 5000)) if heard.destination.address == EVERYBODY else heard, message)),
    mutant("DSC-07", edited_ack=lambda self, message, reply: reply if self.item(message) else replace(
        reply, file=b"", options=reply.options.without(FILE_NAME))),
    mutant("DSC-09", edited_ack=lambda self, message, reply: replace(
        reply, options=reply.options.with_(LEASE, b"\0\0\1\0"))),
    mutant("DSC-10", edited_ack=lambda self, message, reply: replace(reply, secs=next(COUNT))),
    mutant("O43-07", "O43-27", is_efi=lambda self, message: False, tags=lambda self, message: replace(
        SERVER.tags(self, message), discovery_control=None if SERVER.is_efi(self, message) else 10)),
    mutant("O43-15", edited_ack=lambda self, message, reply: replace(reply, options=reply.options.with_(
        VENDOR, pxe.build(PxeOptions(discovery_control=8, boot_item=self.item(message))))
           if self.item(message) else reply.options)),
    mutant("O43-23", is_request=lambda self, message: SERVER.is_request(self, message)
           and b"nic" not in message.options.get(VENDOR, b"")),
    mutant("PXE-08", "PXE-09", edited=lambda self, message, reply: replace(
        reply, file=b"", options=reply.options.without(FILE_NAME))
           if message.options.get(93) == b"\0\7" else reply),
    mutant("DSC-08", boot_server=lambda self, heard, message: SERVER.boot_server(self, heard, replace(
        message, options=message.options.with_(CLASS, b"PXEClient")))),
    mutant("PXE-04", is_rom=lambda self, message: SERVER.is_rom(self, message)
           and len(message.options.get(93, b"\0\0")) == 2),
    mutant("PXE-06", edited=lambda self, message, reply: replace(reply, options=reply.options.without(MACHINE))
           if len(reply.options.get(MACHINE, b"")) != 17 else reply),
    mutant("PXE-07", key=lambda self, message: message.options.get(MACHINE, message.chaddr)),
    mutant("PXE-09", edited=lambda self, message, reply: replace(reply, file=b"")
           if message.options.get(93) == b"\0\x09" else reply),
    mutant("PXE-11", edited=lambda self, message, reply: reply if VENDOR in message.options[55] else replace(
        reply, options=reply.options.without(VENDOR))),
    mutant("PXE-12", is_rom=lambda self, message: b"Client:" in message.options.get(CLASS, b"")),
    mutant("PXE-14", gives_addresses=False, discover=lambda self, message: self.answer(message, 2, NOBODY)),
    mutant("PXE-15", gives_addresses=False, destination=lambda self, message, reply: Endpoint("10.0.0.255", 68)
           if not message.broadcast else SERVER.destination(self, message, reply)),
    mutant("PXE-16", gives_addresses=False, edited=lambda self, message, reply: replace(
        reply, options=reply.options.with_(LEASE, b"\0\0\1\0"))),
    mutant("PXE-17", gives_addresses=False, chosen_another=lambda self, message: self.answer(message, 5, NOBODY)),
]  # fmt: skip


async def run(suite: str, changes: dict[str, object]) -> Report:
    (server,) = changed(DhcpServer, changes=changes)

    def start(network: MemoryNetwork, nursery: trio.Nursery) -> None:
        network.server = server(network, nursery).receive

    return await judged(suite, Told(), start)


@pytest.mark.parametrize(("suite", "least"), [("dhcp", 70), ("pxe", 30)])
async def test_the_reference_server_passes(suite: str, least: int, autojump_clock: MockClock) -> None:
    report = await run(suite, {})
    assert not by_verdict(report, Verdict.FAIL)
    assert not by_verdict(report, Verdict.INCONCLUSIVE)
    assert Counter(result.verdict for result in report.results)[Verdict.PASS] > least


@pytest.mark.parametrize("mutant", DHCP, ids=lambda each: each.id)
async def test_a_mutant_of_dhcp_is_caught(mutant: Mutant, autojump_clock: MockClock) -> None:
    check_caught(await run("dhcp", mutant.changes), mutant)


@pytest.mark.parametrize("mutant", PXE, ids=lambda each: each.id)
async def test_a_mutant_of_pxe_is_caught(mutant: Mutant, autojump_clock: MockClock) -> None:
    check_caught(await run("pxe", mutant.changes), mutant)
