"""What a PXE client asks beyond DHCP: port 4011, and boot servers of a type (PXE 2.1 sections 2.2.3 and 2.2.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import Final

from mtftpd.conformance.dhcp_client import BIOS, PXE_PORT, DhcpClient, Rom
from mtftpd.conformance.findings import Feature
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.mailbox import Mailbox, Reply
from mtftpd.conformance.verdicts import given
from mtftpd.wire import pxe
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.datagram import Endpoint

VENDOR_SPECIFIC: Final = 43


def item(type_: int, layer: int = 0) -> dict[int, bytes]:
    """Return the option 43 by which a client asks for a boot server of ``type_``."""
    return {VENDOR_SPECIFIC: pxe.build(pxe.PxeOptions(boot_item=pxe.BootItem(type_, layer)))}


class PxeQuestion:
    """A client at the port that it asks from; its answers come there, and not to port 68.

    A client with a lease asks from port 4011 of its own address, as Intel's does; one without, beside a proxy, from a
    port of this machine.
    """

    def __init__(self, lab: Lab, client: DhcpClient) -> None:
        self.client = client
        has_address = int(client.address) != 0
        host = client.machine if has_address else lab.host
        self.address = IPv4Address(host.address)
        self.mailbox: Mailbox = lab.mailbox(host, PXE_PORT if has_address else 0)
        self.server = Endpoint(str(lab.target), lab.target.pxe_port)

    def message(self, more: dict[int, bytes] | None = None, kind: MessageType = MessageType.REQUEST) -> DhcpMessage:
        """Return the question with ``more`` options."""
        return self.client.message(kind, more, ciaddr=self.address, flags=0)

    async def ask(
        self, more: dict[int, bytes] | None = None, *, kind: MessageType = MessageType.REQUEST,
        to: Endpoint | None = None,
    ) -> Reply[DhcpMessage]:  # fmt: skip
        """Ask until an ACK comes to the port that was asked from, and return it; raises `Failed`."""
        with self.client.hearing(self.mailbox):
            return await self.client.ask(self.message(more, kind), MessageType.ACK, to=to or self.server)

    async def answer(
        self, more: dict[int, bytes] | None = None, *, kind: MessageType = MessageType.REQUEST
    ) -> Reply[DhcpMessage]:
        """Ask, and return the ACK; without one the case is inconclusive."""
        with given("answer"):
            return await self.ask(more, kind=kind)

    async def silence(self, seconds: float, why: str, more: dict[int, bytes]) -> None:
        """Ask, and fail when an answer comes within ``seconds``."""
        with self.client.hearing(self.mailbox):
            self.client.send(self.message(more), self.server)
            await self.client.silence(seconds, why)

    async def hear(
        self, message: DhcpMessage | bytes, seconds: float, to: Endpoint | None = None
    ) -> Reply[DhcpMessage] | None:
        """Send ``message`` to port 4011, or to ``to``, and return what comes back within ``seconds``."""
        with self.client.hearing(self.mailbox):
            self.client.send(message, to or self.server)
            return await self.client.hear(seconds)

    def close(self) -> None:
        """Close the port."""
        self.mailbox.close()


@asynccontextmanager
async def pxe_question(lab: Lab, rom: Rom = BIOS) -> AsyncIterator[PxeQuestion]:
    """Yield a client that asks on port 4011, with a lease where the target gives addresses."""
    async with lab.dhcp(rom) as client:
        if Feature.LEASES in lab.found.features:
            await client.lease()
        question = PxeQuestion(lab, client)
        try:
            yield question
        finally:
            question.close()
