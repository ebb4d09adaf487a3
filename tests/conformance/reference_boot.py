"""The reference server of DHCP with what not every server has: BOOTP, and a menu of boot servers."""

from __future__ import annotations

from dataclasses import replace

from mtftpd.wire import pxe
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.options import Options
from mtftpd.wire.pxe import BootItem, BootServers, MenuEntry, MenuPrompt, PxeOptions
from tests.conformance.reference_dhcp import ADDRESS, NOBODY, POOL, DhcpServer

FILES = {1: b"boot.img", 2: b"other.img"}
OF_DHCP = range(50, 62)


class BootpServer(DhcpServer):
    """Answers BOOTP clients too."""

    def other(self, message: DhcpMessage, kind: int | None) -> None:
        if kind is None:
            self.answer(message, MessageType.OFFER, NOBODY if message.ciaddr != NOBODY else POOL[-1])

    def edited(self, message: DhcpMessage, reply: DhcpMessage) -> DhcpMessage:
        return reply if message.message_type else replace(reply, options=self.of_bootp(reply.options))

    def of_bootp(self, options: Options) -> Options:
        return options.without(*OF_DHCP)


class MenuServer(DhcpServer):
    """Has a menu of two boot servers in place of one boot file."""

    def tags(self, message: DhcpMessage) -> PxeOptions:
        return PxeOptions(
            discovery_control=self.control(), boot_servers=self.servers(), menu=self.menu(), prompt=self.prompt()
        )

    def control(self) -> int:
        return 3

    def servers(self) -> tuple[BootServers, ...]:
        return tuple(BootServers(type_, (ADDRESS,)) for type_ in FILES)

    def menu(self) -> tuple[MenuEntry, ...]:
        return (*(MenuEntry(type_, f"Number {type_}") for type_ in FILES), MenuEntry(0, "Disk"))

    def prompt(self) -> MenuPrompt | None:
        return MenuPrompt(5, "Choose")

    def serves(self, item: BootItem) -> bool:
        return item.type in FILES and not item.layer & 0x8000

    def edited_ack(self, message: DhcpMessage, reply: DhcpMessage) -> DhcpMessage:
        item = self.item(message)
        if item is None:
            return reply
        file = self.file_of(item.type)
        options = reply.options.with_(67, file).with_(43, pxe.build(self.tags_of(item)))
        return replace(reply, file=file, options=options)

    def file_of(self, type_: int) -> bytes:
        return FILES[type_]

    def tags_of(self, item: BootItem) -> PxeOptions:
        return PxeOptions(discovery_control=8, boot_item=BootItem(item.type, 0))
