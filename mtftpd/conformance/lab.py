"""What a case works with: clients of every kind, the image, the clock, and what is known of the target."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from random import Random

import trio

from mtftpd.conformance.dhcp_client import BIOS, CLIENT_PORT, DhcpClient, Rom, Way
from mtftpd.conformance.findings import Feature, Findings, Image, Session
from mtftpd.conformance.mailbox import Mailbox
from mtftpd.conformance.mtftp_client import MtftpClient
from mtftpd.conformance.network import Host, Network
from mtftpd.conformance.packets import Trace
from mtftpd.conformance.tftp_client import TftpClient
from mtftpd.conformance.verdicts import NotApplicable
from mtftpd.wire.datagram import Endpoint


@dataclass(frozen=True, slots=True)
class Target:
    """The server under test.

    ``patience`` is how many seconds an answer is waited for, ``quiet`` for how many silence is listened to: the first
    costs time only where something is missing, the second always.
    """

    address: IPv4Address
    patience: float = 5.0
    quiet: float = 1.0
    dhcp_port: int = 67
    pxe_port: int = 4011
    tftp_port: int = 69

    def __str__(self) -> str:
        return str(self.address)


class Lab:
    """The surroundings of one case; every case has its own, with its own ``trace`` of packets."""

    def __init__(self, target: Target, network: Network, found: Findings, random: Random) -> None:
        self.target = target
        self.found = found
        self.random = random
        self._network = network
        self.trace = Trace(trio.current_time())

    @property
    def host(self) -> Host:
        """The first host that has an address."""
        return self._network.hosts[0]

    @property
    def has_other_host(self) -> bool:
        """Whether a second address is ours from the beginning."""
        return len(self._network.hosts) > 1

    @asynccontextmanager
    async def other_host(self) -> AsyncIterator[Host]:
        """Another host than `host`: a further address of ours, or a machine with a lease of the target."""
        if self.has_other_host:
            yield self._network.hosts[1]
            return
        self.needs(Feature.TWO_HOSTS)
        async with self.dhcp() as client:
            await client.lease()
            yield client.machine

    def needs(self, *features: Feature) -> None:
        """Say that the case does not apply unless the target has all ``features``."""
        for feature in features:
            if feature not in self.found.features:
                raise NotApplicable(feature.value)

    @property
    def image(self) -> Image:
        """The first image."""
        self.needs(Feature.TFTP)
        return self.found.images[0]

    def image_of(self, *, least: int = 0, most: int = 1 << 32, multiple_of: int = 1) -> Image:
        """Return an image of ``least`` to ``most`` octets, a multiple of ``multiple_of``.

        Where the target has none, the case does not apply, and says what to name with ``--image``.
        """
        for image in self.found.images:
            if least <= image.size <= most and image.size % multiple_of == 0:
                return image
        exactly = f" and a multiple of {multiple_of}" if multiple_of > 1 else ""
        raise NotApplicable(f"no image has {least} to {most} octets{exactly}; name one more with --image")

    @property
    def session(self) -> Session:
        """The first multicast session."""
        self.needs(Feature.MTFTP)
        return self.found.sessions[0]

    def mailbox(self, host: Host, number: int = 0, group: str | None = None) -> Mailbox:
        """Open a port of ``host``, 0 for any; with ``group`` it hears that group and nothing else."""
        return Mailbox(host.open(number, group), self.trace)

    def dhcp(self, rom: Rom = BIOS, hardware: bytes | None = None) -> DhcpClient:
        """Return a DHCP client that plays ``rom``, with a hardware address that was never used before."""
        # 02 in the first octet: locally administered, so no manufacturer has it (IEEE 802 section 8.2.2).
        machine = self._network.machine(hardware or b"\x02" + self.random.randbytes(5))
        way = Way(str(self.target), self.target.dhcp_port, self.target.patience)
        return DhcpClient(machine, self.mailbox(machine, CLIENT_PORT), way, rom, self.random)

    def tftp(self, host: Host | None = None, name: str | None = None) -> TftpClient:
        """Return a TFTP client on ``host`` for ``name``, or for the first image."""
        mailbox = self.mailbox(host or self.host)
        server = Endpoint(str(self.target), self.target.tftp_port)
        return TftpClient(mailbox, server, self.image.name if name is None else name, self.target.patience)

    def mtftp(self, host: Host | None = None, port: int = 0, session: Session | None = None) -> MtftpClient:
        """Return a client of ``session``, or of the first one, that opens from ``port`` of ``host``, 0 for any."""
        chosen, where = session or self.session, host or self.host
        group = self.mailbox(where, chosen.client_port, chosen.group)
        return MtftpClient(self.mailbox(where, port), group, chosen, str(self.target), self.target.patience)
