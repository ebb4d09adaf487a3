"""Machines that exist only on the wire: each has a hardware address, perhaps an IPv4 address, and UDP ports.

For clients that have no address yet, and for many clients on one machine.  A packet socket in promiscuous mode hears
for all of them; they answer ARP for the address that they have taken, and resolve those that they send to.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address
from typing import Final

import trio

from mtftpd.errors import Malformed, MissingCapability, Unavailable
from mtftpd.net.outside import MAX_DATAGRAM, RECEIVE_BUFFER, SO_TIMESTAMPNS, Heard, stamp_of
from mtftpd.wire import arp, ethernet, ipv4, udp
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.ethernet import EtherType
from mtftpd.wire.frames import udp_frame

ETH_P_ALL: Final = 3
PACKET_OUTGOING: Final = 4
SOL_PACKET: Final = 263
PACKET_ADD_MEMBERSHIP: Final = 1
_PROMISCUOUS: Final = struct.pack("@iHH8s", 0, 1, 0, bytes(8))[4:]
"""The end of struct packet_mreq: PACKET_MR_PROMISC, no address; the interface index goes in front."""

QUEUE: Final = 4_096
"""Datagrams that wait in one port: 4,096 blocks of 512 octets are 2 MB."""
MAX_WAITING: Final = 64
"""Datagrams of a station that wait for one ARP answer."""

NOWHERE: Final = "0.0.0.0"
EVERYBODY: Final = "255.255.255.255"
_UNREACHABLE: Final = 3
_SPACE: Final = 256
_AT_ONCE: Final = 64
"""Frames read before the clients have a turn."""


class StationPort:
    """One UDP port of a station."""

    def __init__(self, station: Station, number: int, group: str | None) -> None:
        self._station = station
        self._number = number
        self.group = group
        self._into, self._out = trio.open_memory_channel[Heard](QUEUE)

    @property
    def local(self) -> Endpoint:
        """The address that the station has now, and the port."""
        return Endpoint(self._station.address, self._number)

    def send(self, data: bytes, destination: Endpoint) -> None:
        """Send one datagram as soon as the hardware address of its destination is known."""
        self._station.transmit(self.local, destination, data)

    async def receive(self) -> Heard:
        """Return the next datagram or ICMP error."""
        return await self._out.receive()

    def deliver(self, heard: Heard) -> None:
        """Queue what arrived; when the queue is full it is lost."""
        try:
            self._into.send_nowait(heard)
        except trio.WouldBlock:
            return

    def close(self) -> None:
        """Close the port."""
        self._station.forget(self)


class Station:
    """A machine with the hardware address ``hardware``; ``address`` is 0.0.0.0 until it has taken one."""

    def __init__(self, wire: Wire, hardware: bytes) -> None:
        self._wire = wire
        self.hardware = hardware
        self.address = NOWHERE
        self._ports: list[StationPort] = []
        self._neighbours: dict[str, bytes] = {}
        self._waiting: dict[str, list[tuple[Endpoint, Endpoint, bytes]]] = {}
        self._next = 49_152

    def open(self, number: int = 0, group: str | None = None) -> StationPort:
        """Open a UDP port, 0 for any; with ``group`` it hears that group and nothing else."""
        if not number:
            number, self._next = self._next, self._next + 1
        port = StationPort(self, number, group)
        self._ports.append(port)
        return port

    def forget(self, port: StationPort) -> None:
        """Close a port of this station."""
        if port in self._ports:
            self._ports.remove(port)

    def close(self) -> None:
        """Leave the wire."""
        self._ports.clear()
        self._wire.remove(self)

    def transmit(self, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        """Send one datagram; it waits for ARP where that is needed."""
        hardware = self._hardware_of(destination.address)
        if hardware is not None:
            self._wire.put(udp_frame(self.hardware, hardware, source, destination, data))
            return
        waiting = self._waiting.setdefault(destination.address, [])
        if len(waiting) < MAX_WAITING:
            waiting.append((source, destination, data))
        self._ask(destination.address)

    def hear(self, frame: ethernet.Frame, stamp: float) -> None:
        """Take a frame of which the station may be a receiver."""
        if frame.type == EtherType.ARP:
            self._hear_arp(frame)
        elif frame.type == EtherType.IPV4:
            try:
                self._hear_ip(frame, ipv4.parse_untrusted(frame.payload), stamp)
            except Malformed:
                return

    def _hardware_of(self, address: str) -> bytes | None:
        if address == EVERYBODY:
            return ethernet.BROADCAST
        if IPv4Address(address).is_multicast:
            return ethernet.group_address(IPv4Address(address))
        return self._neighbours.get(address)

    def _ask(self, address: str) -> None:
        self._wire.put_arp(
            self.hardware,
            ethernet.BROADCAST,
            arp.Packet(arp.Operation.REQUEST, self.hardware, IPv4Address(self.address), bytes(6), IPv4Address(address)),
        )

    def _hear_arp(self, frame: ethernet.Frame) -> None:
        try:
            packet = arp.parse_untrusted(frame.payload)
        except Malformed:
            return
        sender = str(packet.sender_address)
        if frame.destination == self.hardware or sender in self._waiting:
            self._learn(sender, packet.sender_hardware)
        is_question = packet.operation == arp.Operation.REQUEST and self.address != NOWHERE
        if is_question and str(packet.target_address) == self.address:
            answer = arp.Packet(
                arp.Operation.REPLY, self.hardware, packet.target_address, packet.sender_hardware, packet.sender_address
            )
            self._wire.put_arp(self.hardware, packet.sender_hardware, answer)

    def _learn(self, address: str, hardware: bytes) -> None:
        self._neighbours[address] = hardware
        for source, destination, data in self._waiting.pop(address, ()):
            self._wire.put(udp_frame(self.hardware, hardware, source, destination, data))

    def _hear_ip(self, frame: ethernet.Frame, packet: ipv4.Packet, stamp: float) -> None:
        # What is sent in the last moment, such as a RELEASE, cannot wait for ARP: its station is about to leave.
        self._neighbours.setdefault(str(packet.source), frame.source)
        if packet.is_fragment:
            return
        if packet.protocol == ipv4.Protocol.ICMP and frame.destination == self.hardware:
            self._hear_icmp(frame, packet, stamp)
        if packet.protocol != ipv4.Protocol.UDP:
            return
        segment = udp.parse_untrusted(packet.payload, packet.source, packet.destination, verify=False)
        destination = Endpoint(str(packet.destination), segment.destination_port)
        source = Endpoint(str(packet.source), segment.source_port)
        heard = Heard(stamp, source, destination, segment.payload, (frame.source, frame.destination))
        for port in list(self._ports):
            if port.local.port == destination.port and port.group == _group_of(destination.address):
                port.deliver(heard)

    def _hear_icmp(self, frame: ethernet.Frame, packet: ipv4.Packet, stamp: float) -> None:
        if len(packet.payload) < 8 + ipv4.HEADER_SIZE or packet.payload[0] != _UNREACHABLE:
            return
        quoted = packet.payload[8:]  # The header that could not be delivered, and at least 8 octets behind it.
        ports = quoted[4 * (quoted[0] & 0x0F) :]
        if len(ports) < 4:
            return
        number = int.from_bytes(ports[:2], "big")
        asked = Endpoint(str(IPv4Address(quoted[16:20])), int.from_bytes(ports[2:4], "big"))
        text = f"ICMP type {packet.payload[0]} code {packet.payload[1]} for what was sent to {asked}"
        for port in list(self._ports):
            if port.group is None and port.local.port == number:
                hardware = (frame.source, frame.destination)
                port.deliver(Heard(stamp, asked, port.local, b"", hardware, text))


def _group_of(address: str) -> str | None:
    return address if IPv4Address(address).is_multicast else None


class Wire:
    """The packet socket of all stations on one interface; `run` must be running while they are used.

    Raises `MissingCapability` without CAP_NET_RAW, `Unavailable` where there is no such interface.
    """

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self._stations: list[Station] = []
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        try:
            self._socket = socket.socket(socket.AF_PACKET, kind, socket.htons(ETH_P_ALL))
        except PermissionError as error:
            raise MissingCapability(
                "a client without an address needs a packet socket: run as root or give CAP_NET_RAW"
            ) from error
        try:
            self._socket.bind((interface, ETH_P_ALL))
            index = socket.if_nametoindex(interface)
            membership = struct.pack("@i", index) + _PROMISCUOUS
            self._socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        except OSError as error:
            self._socket.close()
            raise Unavailable(f"interface {interface}: {error.strerror}") from error

    def station(self, hardware: bytes) -> Station:
        """Put a station on the wire; ``hardware`` are six octets that no other machine has."""
        station = Station(self, hardware)
        self._stations.append(station)
        return station

    def remove(self, station: Station) -> None:
        """Take a station off the wire."""
        if station in self._stations:
            self._stations.remove(station)

    def put(self, frame: bytes) -> None:
        """Send a whole frame; one that the kernel has no room for is lost."""
        try:
            self._socket.send(frame.ljust(60, b"\0"))
        except BlockingIOError:
            return
        except OSError as error:
            raise Unavailable(f"interface {self.interface}: {error.strerror}") from error

    def put_arp(self, source: bytes, destination: bytes, packet: arp.Packet) -> None:
        """Send an ARP packet."""
        self.put(ethernet.build(ethernet.Frame(destination, source, EtherType.ARP, arp.build(packet))))

    async def run(self) -> None:
        """Hand every frame to the stations that may have to hear it, until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            for _ in range(_AT_ONCE):
                try:
                    data, ancillary, _, sender = self._socket.recvmsg(MAX_DATAGRAM, _SPACE)
                except BlockingIOError:
                    break
                if sender[2] != PACKET_OUTGOING:
                    self._dispatch(data, stamp_of(ancillary))

    def _dispatch(self, data: bytes, stamp: float) -> None:
        try:
            frame = ethernet.parse_untrusted(data)
        except Malformed:
            return
        for station in list(self._stations):
            if frame.destination == station.hardware or frame.destination[0] & 1:
                station.hear(frame, stamp)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
