"""Thousands of boot clients on a real wire from one process: ``python -m tools.bench.crowd SIZE [options]``.

Every node is a ROM of `mtftpd.rom` with a hardware address of its own: real DHCP, real ARP, real opens, through one
packet socket; what is sent to a group comes in by one UDP socket and is shared out by the machinery of the simulator
(`mtftpd.sim.rides`), with losses drawn for each node and direction.  Every octet is compared with the image.

Run it in a network namespace of its own, whose interface has an address outside of the server's range.
Prints JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import re
import select
import socket
import statistics
import struct
import time
from collections import Counter
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from math import inf
from random import Random
from typing import Any

from mtftpd.net import sockets
from mtftpd.rom.actions import BROADCAST, Enter, Phase
from mtftpd.rom.node import Node
from mtftpd.rom.profiles import NO_FAULTS, Identity, RomProfile
from mtftpd.sim import topology
from mtftpd.sim.chance import Quality, Wire
from mtftpd.sim.clock import Clock
from mtftpd.sim.fleet import hardware_of
from mtftpd.sim.memory import Content, MarkedMemory
from mtftpd.sim.ports import Port, Ring
from mtftpd.sim.roms import rom
from mtftpd.sim.segments import Segment
from mtftpd.sim.station import Station
from mtftpd.wire import arp, ethernet
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.frames import udp_frame

ETH_P_ALL, SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_IGNORE_OUTGOING = 3, 263, 1, 23
SO_ATTACH_FILTER, UDP_GRO = 26, 104
PROMISCUOUS = 1
IMAGE_SEED = 0
POLL_MILLISECONDS = 1
CHADDR = slice(70, 76)
"""Where a frame with a DHCP message has the hardware address of its client."""
BUFFER = 64 << 20
AT_ONCE = 256
"""Datagrams read from one socket before the timers and the other sockets have a turn."""
NOT_MULTICAST = ((0x30, 0, 0, 0), (0x15, 1, 0, 0x01), (0x06, 0, 0, 0x40000), (0x06, 0, 0, 0))
"""Classic BPF: load octet 0; if it is that of an IPv4 group, take nothing, else the whole frame."""
NEVER_FULL = topology.Segment("wire", rate=1e12, queue=inf, latency=0.0, snooping=topology.Snooping.OFF, speed=1e9,
                              ring=1 << 40)  # fmt: skip
"""The wire is real: what it queues and drops is not modelled a second time."""
TICK = 1e-8
"""Seconds between blocks that are read at once: two at the same instant would be a crowd to the simulator."""
_DHCP = frozenset({Phase.OFF, Phase.DISCOVER, Phase.REQUEST, Phase.PROXY})


@dataclass(slots=True)
class Member:
    """One node: when it knew its boot file, when it ended (0 for not yet), and what it said then."""

    station: Station
    spoilt: Wire
    planned: float = 0.0
    ended: float = 0.0
    detail: str = ""


class Crowd:
    """The nodes on ``interface``; it is what their stations are plugged into."""

    def __init__(self, content: Content, profile: RomProfile, interface: str, quality: Quality, seed: int) -> None:
        self.clock = Clock()
        self.members: dict[Station, Member] = {}
        self.over = 0
        self.wrong_blocks = 0
        self._content = content
        self._profile = profile
        self._interface = interface
        self._quality = quality
        self._seed = seed
        self._segment = Segment(self.clock, NEVER_FULL, content)
        self._by_hardware: dict[bytes, Station] = {}
        self._by_address: dict[bytes, Station] = {}
        self._server = ethernet.BROADCAST
        self._groups: dict[int, tuple[socket.socket, Endpoint]] = {}
        self._latest = 0.0
        self._poll = select.poll()
        self._wire = self._open_wire()

    def add(self, number: int) -> None:
        """Add node ``number``, to be switched on at once."""
        chance = Random(f"{self._seed}/{number}")
        hardware = hardware_of(number, self._profile.oui)
        identity = Identity(hardware, chance.randbytes(16), number << 12 | chance.randrange(1 << 12),
                            2070 + chance.randrange(1000), chance.uniform(-1.0, 1.0))  # fmt: skip
        memory = MarkedMemory(self._content)
        down = Wire(self._quality, Random(f"{self._seed}/{number}/down"))
        station = Station(self.clock, Node(identity, self._profile, memory), memory,
                          (Port(0.0, inf), down, Ring(1e-9, 1 << 40)))  # fmt: skip
        station.hardware = hardware
        station.uplink = self
        self._by_hardware[hardware.octets] = station
        self.members[station] = Member(station, Wire(self._quality, Random(f"{self._seed}/{number}/up")))
        self._segment.stations.append(station)
        self.clock.at(0.0, station.power_on)

    def run(self, limit: float) -> None:
        """Let real time pass until every node has ended, or ``limit`` seconds are over."""
        began = time.monotonic()
        clock = self.clock
        while self.over < len(self.members) and clock.now < limit:
            # What has arrived is read before timers are looked at, so that none of them overtakes its packet.
            for descriptor, _ in self._poll.poll(POLL_MILLISECONDS):
                clock.now = max(clock.now, time.monotonic() - began)
                self._read(descriptor)
            now = time.monotonic() - began
            for _ in range(AT_ONCE):
                if not clock.step(now):
                    clock.now = max(clock.now, now)
                    break

    # -- what stations do -----------------------------------------------------------------------------------------

    def transmit(self, station: Station, datagram: Datagram) -> None:
        """Send a datagram of a node, unless it gets lost."""
        if not self.members[station].spoilt.arrivals(self.clock.now):
            return
        is_broadcast = datagram.destination.address == BROADCAST
        frame = udp_frame(station.hardware.octets, ethernet.BROADCAST if is_broadcast else self._server,
                          datagram.source, datagram.destination, datagram.data)  # fmt: skip
        with contextlib.suppress(BlockingIOError, InterruptedError):
            self._wire.send(frame)

    def join(self, station: Station, group: Endpoint, *, reported: bool) -> None:
        """Hear ``group`` from now on."""
        if group not in [known for _, known in self._groups.values()]:
            opened = self._open_group(group)
            self._groups[opened.fileno()] = (opened, group)
            self._poll.register(opened, select.POLLIN)
        self._segment.join(station, group, reported=reported)

    def leave(self, station: Station, group: Endpoint) -> None:
        """Hear it no longer."""
        self._segment.leave(station, group)

    def took_address(self, station: Station) -> None:
        """Answer for an address."""
        self._by_address[IPv4Address(station.address).packed] = station

    def entered(self, station: Station, entered: Enter) -> None:
        """Take note of times."""
        member = self.members[station]
        if not member.planned and entered.phase not in _DHCP:
            member.planned = self.clock.now
        if entered.phase in (Phase.DONE, Phase.FAILED):
            member.ended, member.detail = self.clock.now, entered.detail
            self.over += 1

    # -- what the wire brings -------------------------------------------------------------------------------------

    def _open_wire(self) -> socket.socket:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        code = ctypes.create_string_buffer(b"".join(struct.pack("@HBBI", *line) for line in NOT_MULTICAST))
        program = struct.pack("@HP", len(NOT_MULTICAST), ctypes.addressof(code))
        opened.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        opened.setsockopt(socket.SOL_SOCKET, sockets.SO_RCVBUFFORCE, BUFFER)
        opened.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        index = socket.if_nametoindex(self._interface)
        opened.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, struct.pack("@iHH8s", index, PROMISCUOUS, 0, bytes(8)))
        opened.bind((self._interface, ETH_P_ALL))
        self._poll.register(opened, select.POLLIN)
        return opened

    def _open_group(self, group: Endpoint) -> socket.socket:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        opened.setsockopt(socket.SOL_SOCKET, sockets.SO_RCVBUFFORCE, BUFFER)
        opened.setsockopt(socket.IPPROTO_IP, sockets.IP_MULTICAST_ALL, 0)
        opened.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        opened.bind(group)
        member = socket.inet_aton(group.address) + bytes(4) + struct.pack("@i", socket.if_nametoindex(self._interface))
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        return opened

    def _read(self, descriptor: int) -> None:
        group = self._groups.get(descriptor)
        with contextlib.suppress(BlockingIOError):
            for _ in range(AT_ONCE):
                if group is None:
                    self._take_frame(self._wire.recv(2048))
                else:
                    self._take_burst(*group)

    def _take_frame(self, frame: bytes) -> None:
        kind = frame[12:14]
        if kind == b"\x08\x06":
            self._answer_arp(frame)
            return
        # Only what the server's own kernel made comes here: IPv4 without options, whole, in order and with right sums.
        if kind != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
            return
        to_everybody = frame[:6] == ethernet.BROADCAST
        station = self._by_hardware.get(frame[CHADDR] if to_everybody else frame[:6])
        if station is None:
            return
        self._server = frame[6:12]
        source_port, port, length = struct.unpack_from("!HHH", frame, 34)
        source = Endpoint(socket.inet_ntoa(frame[26:30]), source_port)
        data = frame[42 : 34 + length]
        station.offer(Datagram(port, source, Endpoint(socket.inet_ntoa(frame[30:34]), port), data), len(data),
                      self.clock.now, 0.0)  # fmt: skip

    def _answer_arp(self, frame: bytes) -> None:
        asked = arp.parse_untrusted(frame[14:])
        station = self._by_address.get(asked.target_address.packed)
        if asked.operation != arp.Operation.REQUEST or station is None:
            return
        reply = arp.Packet(arp.Operation.REPLY, station.hardware.octets, asked.target_address, asked.sender_hardware,
                           asked.sender_address)  # fmt: skip
        answer = ethernet.Frame(asked.sender_hardware, station.hardware.octets, ethernet.EtherType.ARP,
                                arp.build(reply))  # fmt: skip
        self._wire.send(ethernet.build(answer))

    def _take_burst(self, opened: socket.socket, group: Endpoint) -> None:
        """Take one datagram, or several of equal size that the kernel has put together again."""
        data, ancillary, _, source = opened.recvmsg(65_535, socket.CMSG_SPACE(4))
        size = struct.unpack("@i", ancillary[0][2])[0] if ancillary else len(data)
        sender, expected, now = Endpoint(*source), self._content.octets, self.clock.now
        for at in range(0, len(data), size):
            block = data[at + 2] << 8 | data[at + 3]
            start = (block - 1) * 512
            if data[at + 4 : at + size] != expected[start : start + 512]:
                self.wrong_blocks += 1
                continue
            self._latest = max(now, self._latest + TICK)
            self._segment.to_group(sender, group, block, self._latest)

    # -- the end --------------------------------------------------------------------------------------------------

    def result(self) -> dict[str, Any]:
        """Return what came of it; times are in seconds from power-on."""
        self._segment.settle()
        everybody = self.members.values()
        booted = [member for member in everybody if member.station.node.phase is Phase.DONE]
        wrong = sum(not member.station.memory.holds_everything() for member in booted)
        ends = sorted(member.ended for member in booted)
        planned = sorted(member.planned for member in everybody if member.planned)
        return {
            "nodes": len(self.members), "booted": len(booted), "lost": len(self.members) - len(booted),
            "wrong": wrong + self.wrong_blocks,
            "ways": dict(Counter(member.detail for member in booted)),
            "failures": dict(Counter(_reason(member) for member in everybody
                                     if member.station.node.phase is not Phase.DONE)),
            "fallbacks": dict(Counter(member.station.node.fallback for member in everybody
                                      if member.station.node.fallback)),
            "dhcp_seconds": planned[-1] if planned else None,
            "dhcp_requests": sum(member.station.dhcp_requests for member in everybody),
            "seconds": ends[-1] if ends else None, "median_seconds": statistics.median(ends) if ends else None,
            "overflowed": sockets.overflowed(self._wire) + sum(sockets.overflowed(each)
                                                               for each, _ in self._groups.values()),
        }  # fmt: skip


def _reason(member: Member) -> str:
    """Return why a node did not boot, without the block at which it happened."""
    reason = member.detail or f"not done in time, in phase {member.station.node.phase.value}"
    return re.sub(r" \d+$", "", reason)


def without_faults(profile: RomProfile) -> RomProfile:
    """Return ``profile`` with its timers and without what it gets wrong: no other server knows how to help it."""
    return replace(
        profile, faults=NO_FAULTS, dhcp=replace(profile.dhcp, faults=NO_FAULTS),
        mtftp=replace(profile.mtftp, faults=NO_FAULTS) if profile.mtftp else None,
        tftp=replace(profile.tftp, faults=NO_FAULTS),
    )  # fmt: skip


def main() -> None:
    """Boot the crowd and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", type=int, help="octets of the image, which is Content(size, IMAGE_SEED)")
    parser.add_argument("--nodes", type=int, default=2_000)
    parser.add_argument("--rom", default="spec")
    parser.add_argument("--no-faults", action="store_true", help="the timers of the ROM without its faults")
    parser.add_argument("--one-request", type=float, metavar="SECONDS", help="RRQ of unicast once, and wait so long")
    parser.add_argument("--loss", type=float, default=0.0, help="fraction, for each node and direction")
    parser.add_argument("--burst", type=float, default=1.0, help="mean packets lost in a row")
    parser.add_argument("--interface", default="eth0")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=240.0, metavar="SECONDS")
    chosen = parser.parse_args()
    profile = rom(chosen.rom)
    if chosen.no_faults:
        profile = without_faults(profile)
    if chosen.one_request is not None:
        profile = replace(profile, tftp=replace(profile.tftp, request_waits=(chosen.one_request,)))
    content = Content(chosen.size, IMAGE_SEED)
    crowd = Crowd(content, profile, chosen.interface, Quality(chosen.loss, chosen.burst), chosen.seed)
    for number in range(1, chosen.nodes + 1):
        crowd.add(number)
    gc.freeze()
    crowd.run(chosen.limit)
    print(json.dumps(crowd.result()))


if __name__ == "__main__":
    main()
