"""Thousands of boot clients on a real wire from one process: ``python -m tools.bench.crowd SIZE [options]``.

Every node is a ROM of `mtftpd.rom` with a hardware address of its own: real DHCP, real ARP, real opens and
acknowledgements, each of them a frame on the wire.  What is real, and what is not:

* A stream to a group crosses the wire once, as it does in a switch that copies it to all ports, and is read from one
  UDP socket.  Every octet of it is compared with the image; then each node that has joined has it, except for what it
  loses: that is drawn for each node, block and direction (`mtftpd.sim.rides`, which gives the outcome of one event per
  packet).  The losses of DHCP, ARP excepted, and of unicast are drawn in the same way.
* Two processors play 2,000 ROMs and the server.  Each packet counts at the time at which the kernel took it, not at
  that at which this process got round to it, and no timer of a ROM overtakes a packet.  What a ROM sends is late by as
  much as this process is behind, never early: ``behind`` is by how much at the worst.
* Power comes to all nodes at once.

Run it in a network namespace of its own, whose interface has an address outside of the server's range.
Prints JSON, and a line about how far it is to its error output every few seconds.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import socket
import statistics
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from math import inf
from random import Random
from typing import Any

from mtftpd.rom.actions import BROADCAST, Enter, Phase
from mtftpd.rom.node import Node
from mtftpd.rom.profiles import NO_FAULTS, Identity, RomProfile
from mtftpd.sim import topology
from mtftpd.sim.chance import Quality, Wire
from mtftpd.sim.clock import Clock
from mtftpd.sim.fleet import hardware_of
from mtftpd.sim.memory import Content, MarkedMemory
from mtftpd.sim.ports import BLOCK_SIZE, Port, Ring
from mtftpd.sim.roms import rom
from mtftpd.sim.segments import Segment
from mtftpd.sim.station import DHCP_SERVER, Station
from mtftpd.wire import arp, ethernet
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.frames import udp_frame
from tools.bench.crowd_wire import Arrival, CrowdWire

IMAGE_SEED = 0
POLL_MILLISECONDS = 1
PROGRESS_SECONDS = 5.0
CHADDR = slice(70, 76)
"""Where a frame with a DHCP message has the hardware address of its client."""
DATA = b"\0\3"
NEVER_FULL = topology.Segment("wire", rate=1e12, queue=inf, latency=0.0, snooping=topology.Snooping.OFF, speed=1e9,
                              ring=1 << 40)  # fmt: skip
"""The wire is real: what it queues and drops is not modelled a second time."""
TICK = 1e-8
"""Seconds between packets that came at once, in which a node has read one: two at one instant would be a crowd."""
_DHCP = frozenset({Phase.OFF, Phase.DISCOVER, Phase.REQUEST, Phase.PROXY})


@dataclass(slots=True)
class Member:
    """One node; times are 0 for not yet.

    A DHCP message of it was ``asked`` on the wire and ``answered`` there, lost or not; it knew its boot file when it
    had ``planned``, and ``ended`` with ``detail``.
    """

    station: Station
    spoilt: Wire
    asked: float = 0.0
    answered: float = 0.0
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
        self.behind = 0.0
        self.first_data = 0.0
        self._content = content
        self._profile = profile
        self._quality = quality
        self._seed = seed
        self._segment = Segment(self.clock, NEVER_FULL, content)
        self._by_hardware: dict[bytes, Station] = {}
        self._by_address: dict[bytes, Station] = {}
        self._server = ethernet.BROADCAST
        self._latest = 0.0
        self._wire = CrowdWire(interface)

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
        clock, wire = self.clock, self._wire
        said = 0.0
        wire.begin()
        while self.over < len(self.members) and clock.now < limit:
            # The time is taken before the sockets are read, so that no timer overtakes a packet that has come.
            now = wire.now()
            arrivals = wire.receive(POLL_MILLISECONDS)
            for arrival in arrivals:
                self._let_pass(arrival.when)
                self._take(arrival)
            if arrivals:
                self.behind = max(self.behind, wire.now() - arrivals[0].when)
            else:
                self._let_pass(now)
            if now - said >= PROGRESS_SECONDS:
                said = now
                self._say(now)

    def _let_pass(self, until: float) -> None:
        """Let everything happen that is due."""
        clock = self.clock
        while clock.step(until):
            pass
        clock.now = max(clock.now, until)

    def _say(self, now: float) -> None:
        """Say how far it is."""
        planned = sum(member.planned > 0 for member in self.members.values())
        print(f"{now:.0f} s: {planned} know their boot file, {self.over} of {len(self.members)} have ended, at most"
              f" {self.behind:.2f} s behind", file=sys.stderr, flush=True)  # fmt: skip

    # -- what stations do -----------------------------------------------------------------------------------------

    def transmit(self, station: Station, datagram: Datagram) -> None:
        """Send a datagram of a node, unless it gets lost."""
        member = self.members[station]
        if not member.spoilt.arrivals(self.clock.now):
            return
        is_broadcast = datagram.destination.address == BROADCAST
        if datagram.destination.port == DHCP_SERVER and not member.asked:
            member.asked = self._wire.now()
        self._wire.send(udp_frame(station.hardware.octets, ethernet.BROADCAST if is_broadcast else self._server,
                                  datagram.source, datagram.destination, datagram.data))  # fmt: skip

    def join(self, station: Station, group: Endpoint, *, reported: bool) -> None:
        """Hear ``group`` from now on."""
        self._wire.join(group)
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

    def _take(self, arrival: Arrival) -> None:
        """Take what has come in, and let the nodes do at once what they do about it."""
        self._latest = max(arrival.when, self._latest + TICK)
        if arrival.group is None:
            self._take_frame(arrival.data)
        else:
            self._take_block(arrival.data, arrival.source, arrival.group)
        self._let_pass(self._latest + TICK / 2)

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
        if source_port == DHCP_SERVER:
            member = self.members[station]
            member.answered = member.answered or self._latest
        elif data[:2] == DATA:
            self.first_data = self.first_data or self._latest
        datagram = Datagram(port, source, Endpoint(socket.inet_ntoa(frame[30:34]), port), data)
        self._segment.to_station(station, datagram, self._latest)

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

    def _take_block(self, data: bytes, source: Endpoint, group: Endpoint) -> None:
        block = data[2] << 8 | data[3]
        start = (block - 1) * BLOCK_SIZE
        if data[:2] != DATA or data[4:] != self._content.octets[start : start + BLOCK_SIZE]:
            self.wrong_blocks += 1
            return
        self.first_data = self.first_data or self._latest
        self._segment.to_group(source, group, block, self._latest)

    # -- the end --------------------------------------------------------------------------------------------------

    def result(self) -> dict[str, Any]:
        """Return what came of it; times are in seconds from power-on."""
        self._segment.settle()
        everybody = self.members.values()
        booted = [member for member in everybody if member.station.node.phase is Phase.DONE]
        wrong = sum(not member.station.memory.holds_everything() for member in booted)
        ends = sorted(member.ended for member in booted)
        planned = [member.planned for member in everybody if member.planned]
        answers = [member.answered - member.asked for member in everybody if member.answered]
        loads = [member.ended - member.planned for member in booted]
        return {
            "nodes": len(self.members), "booted": len(booted), "lost": len(self.members) - len(booted),
            "wrong": wrong + self.wrong_blocks,
            "ways": dict(Counter(member.detail for member in booted)),
            "failures": dict(Counter(_reason(member) for member in everybody
                                     if member.station.node.phase is not Phase.DONE)),
            "fallbacks": dict(Counter(member.station.node.fallback for member in everybody
                                      if member.station.node.fallback)),
            "answer_seconds": max(answers, default=None), "dhcp_seconds": max(planned, default=None),
            "dhcp_median_seconds": statistics.median(planned) if planned else None,
            "dhcp_requests": sum(member.station.dhcp_requests for member in everybody),
            "first_data_seconds": self.first_data or None,
            "seconds": ends[-1] if ends else None, "median_seconds": statistics.median(ends) if ends else None,
            "longest_load_seconds": max(loads, default=None),
            "behind": self.behind, "crowd_cpu_seconds": time.process_time(), "overflowed": self._wire.overflowed(),
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
    gc.disable()  # What is made for a packet is gone with it; a collection in between would look at 2,000 ROMs.
    crowd.run(chosen.limit)
    print(json.dumps(crowd.result()))


if __name__ == "__main__":
    main()
