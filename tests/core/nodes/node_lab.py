"""A whole server for the records of nodes, and the packets that a test writes by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address

from mtftpd.core.effects import Effects, OpenTransfer, Report, ReportKind, Service
from mtftpd.core.nodes.alarms import AlarmKind
from mtftpd.core.nodes.records import NodeStatistics
from mtftpd.core.service import BootService
from mtftpd.core.settings import Settings
from mtftpd.wire import bootp, tftp
from mtftpd.wire.bootp import BOOTREQUEST, DhcpMessage, MessageType
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress
from mtftpd.wire.options import Options
from tests.core.dhcp.dhcp_lab import ANYBODY, BIOS_ROM, DHCP, MAC, NBP, NOBODY, SERVER, TWO_IMAGES

HARDWARE = HardwareAddress(1, MAC)
GROUP = "239.1.1.1:1799"


BLOCKS = NBP.blocks(512)


class Lab:
    """One server, and the packets that a test writes by hand."""

    def __init__(self, settings: Settings = DHCP) -> None:
        self.settings = replace(settings, boot=replace(settings.boot, default="nbp"))
        self.service = BootService(self.settings, TWO_IMAGES)
        self.now = 1000.0
        self.effects: Effects = ()

    def dhcp(
        self,
        kind: int | None,
        options: Mapping[int, bytes] = BIOS_ROM,
        *,
        xid: int = 7,
        mac: bytes = MAC,
        socket: int = Service.DHCP,
        **fields: object,
    ) -> None:
        values = {} if kind is None else {53: bytes((kind,))}
        message = DhcpMessage(BOOTREQUEST, xid, mac.ljust(16, b"\0"), options=Options({**values, **options}))
        message = replace(message, **fields)  # type: ignore[arg-type]
        source = Endpoint(str(message.ciaddr), 68) if int(message.ciaddr) else NOBODY
        self.effects = self.service.receive(Datagram(socket, source, ANYBODY, bootp.build(message)), self.now)

    def boot(self, options: Mapping[int, bytes] = BIOS_ROM, *, xid: int = 7, mac: bytes = MAC) -> None:
        self.dhcp(MessageType.DISCOVER, options, xid=xid, mac=mac)
        (address,) = {report.address for report in self.reports() if report.kind is ReportKind.DHCP_OFFERED}
        chosen = {50: IPv4Address(address).packed, 54: SERVER.packed}
        self.dhcp(MessageType.REQUEST, {**options, **chosen}, xid=xid, mac=mac)

    def packet(self, socket: int, data: bytes, address: str = "10.0.0.100", port: int = 2070) -> None:
        datagram = Datagram(socket, Endpoint(address, port), Endpoint(str(SERVER), 69), data)
        self.effects = self.service.receive(datagram, self.now)

    def ask(self, name: str = "nbp", socket: int = Service.TFTP, **source: object) -> int:
        self.packet(socket, tftp.build(tftp.Request(1, name.encode())), **source)  # type: ignore[arg-type]
        return next((effect.socket for effect in self.effects if isinstance(effect, OpenTransfer)), 0)

    def open(self, address: str = "10.0.0.100", port: int = 1799) -> None:
        self.ask("nbp", Service.MTFTP, address=address, port=port)

    def acknowledge(self, socket: int, last: int, **source: object) -> None:
        for number in range(1, last + 1):
            self.packet(socket, tftp.build(tftp.Ack(number)), **source)  # type: ignore[arg-type]

    def sleep(self, seconds: float) -> None:
        """Let time pass, with every timer at its time."""
        until = self.now + seconds
        while (deadline := self.service.next_deadline()) is not None and deadline <= until:
            self.now = deadline
            self.effects = self.service.tick(self.now)
        self.now = until

    def reports(self) -> list[Report]:
        return [effect for effect in self.effects if isinstance(effect, Report)]

    def node(self, hardware: HardwareAddress | None = HARDWARE) -> NodeStatistics:
        (found,) = (node for node in self.service.nodes.nodes() if node.hardware == hardware)
        return found

    @property
    def state(self) -> str:
        return self.node().state.value

    @property
    def path(self) -> list[str]:
        return [step.state.value for step in self.node().history]

    def alarms(self) -> list[AlarmKind]:
        return [alarm.kind for alarm in self.service.nodes.statistics().alarms]
