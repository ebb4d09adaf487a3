"""A TFTP server with option multicast as small as it can be: RFC 2090 as the cases read it, beside `TftpServer`.

Every decision is an attribute or a method of a line or a few, so that a mutant of the server is one of them changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from mtftpd.net.outside import Heard
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.tftp import Ack, Data, Error, OptionAck, Request
from tests.conformance.memory_network import MemoryNetwork
from tests.conformance.reference_tftp import TftpServer

GROUP = Endpoint("239.1.1.9", 1758)
BLOCK = 512


class GroupTransfer:
    """One file on its way to ``members``, the first of which is master, from one port; it ends when none is left."""

    waits: tuple[float, ...] = (1.0, 2.0, 4.0)

    def __init__(self, server: MulticastServer, content: bytes) -> None:
        self.server = server
        self.content = content
        self.local = Endpoint(server.address, server.new_port())
        self.members: list[Endpoint] = []
        self.block = 0
        self.into, self.out = trio.open_memory_channel[None](1 << 16)

    async def run(self) -> None:
        while self.members:
            master = self.members[0]
            for wait in self.waits:
                with trio.move_on_after(wait):
                    await self.out.receive()
                    break
                self.say_again()
            else:
                self.leave(master)

    def joined(self, client: Endpoint) -> None:
        if client not in self.members:
            self.members.append(client)
        self.tell(client)

    def tell(self, client: Endpoint) -> None:
        """Say which group it is, and who is master."""
        self.send(client, OptionAck((("multicast", self.answer(client)),)))

    def answer(self, client: Endpoint) -> str:
        return f"{GROUP.address},{GROUP.port},{int(client == self.members[0])}"

    def heard(self, source: Endpoint, packet: tftp.Packet) -> None:
        if isinstance(packet, Error):
            self.leave(source)
        elif isinstance(packet, Ack) and source == self.members[0]:
            self.into.send_nowait(None)
            self.acknowledged(packet.number)
        elif isinstance(packet, Ack):
            self.acknowledged_by_another(source, packet.number)

    def acknowledged(self, number: int) -> None:
        if number >= self.last():
            self.leave(self.members[0])
        else:
            self.block = number + 1
            self.send(GROUP, self.data(self.block))

    def acknowledged_by_another(self, source: Endpoint, number: int) -> None:
        if number == self.last():
            self.leave(source)

    def leave(self, client: Endpoint) -> None:
        was_master = self.members[:1] == [client]
        if client in self.members:
            self.members.remove(client)
        if was_master:
            self.into.send_nowait(None)
            self.block = 0
            self.next_master()

    def next_master(self) -> None:
        if self.members:
            self.tell(self.members[0])

    def say_again(self) -> None:
        if self.block:
            self.send(GROUP, self.data(self.block))
        else:
            self.tell(self.members[0])

    def data(self, number: int) -> Data:
        return Data(number, self.content[(number - 1) * BLOCK : number * BLOCK])

    def last(self) -> int:
        return len(self.content) // BLOCK + 1

    def send(self, destination: Endpoint, packet: tftp.Packet) -> None:
        self.server.send(self.local, destination, packet)


class MulticastServer(TftpServer):
    """Serves ``files`` on port 69, to a group those who ask for that."""

    group_class = GroupTransfer

    def __init__(self, network: MemoryNetwork, nursery: trio.Nursery, files: Mapping[str, bytes]) -> None:
        super().__init__(network, nursery, files)
        self.groups: dict[bytes, GroupTransfer] = {}

    def receive(self, heard: Heard) -> None:
        for group in self.groups.values():
            if group.local.port == heard.destination.port and heard.source in group.members:
                group.heard(heard.source, tftp.parse_untrusted(heard.data))
                return
        super().receive(heard)

    def requested(self, heard: Heard, request: Request) -> None:
        content = self.file(request.filename)
        if content is None or not self.joins(dict(request.options)):
            super().requested(heard, request)
            return
        group = self.groups.get(request.filename)
        if group is None or not group.members:
            group = self.groups[request.filename] = self.group_class(self, content)
            group.joined(heard.source)
            self.nursery.start_soon(group.run)
        else:
            group.joined(heard.source)

    def joins(self, options: Mapping[str, Any]) -> bool:
        return set(options) == {"multicast"}
