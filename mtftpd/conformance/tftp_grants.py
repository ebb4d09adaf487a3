"""Options of TFTP: what a target grants, and that a case which needs a grant does not apply where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mtftpd.conformance.packets import Packet
from mtftpd.conformance.tftp_client import BLOCK_SIZE, TftpClient
from mtftpd.conformance.verdicts import Inconclusive, NotApplicable
from mtftpd.wire import tftp

DATA = b"\0\3"
ERROR = b"\0\5"
OACK = b"\0\6"


@dataclass(frozen=True, slots=True)
class Grant:
    """The first answer to a request with options, and the options in it; there are none in DATA or ERROR."""

    packet: Packet
    options: Mapping[str, str]

    @property
    def is_error(self) -> bool:
        """Whether the request was refused."""
        return self.packet.data[:2] == ERROR

    def number(self, name: str) -> int | None:
        """Return an option as a number, None when it is not granted or no number."""
        value = self.options.get(name, "")
        return int(value) if value.isascii() and value.isdecimal() else None


async def ask(client: TftpClient, options: tftp.Pairs) -> Grant:
    """Ask for the image with ``options`` and return the first answer; the client takes over its block size.

    Raises `Inconclusive` when none comes, or one that is neither DATA nor OACK nor ERROR.
    """
    client.request(options=options)
    packet = await client.mailbox.next(client.patience)
    if packet is None or packet.problem or packet.data[:2] not in (DATA, ERROR, OACK):
        raise Inconclusive("no answer to a request with options" if packet is None else packet.summary)
    if packet.data[:2] != ERROR:
        client.peer = packet.source
    if packet.data[:2] != OACK:
        return Grant(packet, {})
    strings = packet.data[2:].decode("latin-1").split("\0")[:-1]
    granted = {name.lower(): value for name, value in zip(strings[::2], strings[1::2], strict=False)}
    grant = Grant(packet, granted)
    client.block_size = grant.number("blksize") or BLOCK_SIZE
    return grant


async def granted(client: TftpClient, options: tftp.Pairs) -> Grant:
    """Return the OACK to ``options``; where one of them is not granted the case does not apply."""
    grant = await ask(client, options)
    for name, _ in options:
        if name not in grant.options:
            raise NotApplicable(f"the target does not grant {name}")
    return grant
