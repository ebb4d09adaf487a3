"""A UDP port of which every packet is written down, and what can be expected of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import trio

from mtftpd.conformance.network import Port
from mtftpd.conformance.packets import Packet, Trace
from mtftpd.conformance.verdicts import Evidence, Failed
from mtftpd.net.outside import Heard
from mtftpd.wire.datagram import Endpoint

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """A packet of the target, and what is in it."""

    packet: Packet
    value: T


def _nothing(_heard: Heard) -> bool:
    return False


class Mailbox:
    """One port of a case."""

    def __init__(self, port: Port, trace: Trace) -> None:
        self._port = port
        self._trace = trace
        self.is_noise: Callable[[Heard], bool] = _nothing
        """Says of what is heard whether it is for somebody else, such as a broadcast to another client."""

    @property
    def local(self) -> Endpoint:
        """Address and number of the port."""
        return self._port.local

    def send(self, data: bytes, destination: Endpoint) -> Packet:
        """Send a datagram and return it as a packet of the case."""
        ends = (self._port.local, destination)
        packet = self._trace.add(trio.current_time(), ends, data, sent=True)
        self._port.send(data, destination)
        return packet

    async def next(self, seconds: float) -> Packet | None:
        """Return the next packet that comes within ``seconds``, or None."""
        with trio.move_on_after(seconds):
            heard = await self._port.receive()
            while self.is_noise(heard):
                heard = await self._port.receive()
            ends = (heard.source, heard.destination)
            return self._trace.add(
                heard.time, ends, heard.data, sent=False, hardware=heard.hardware, problem=heard.problem
            )
        return None

    async def until(self, wanted: Callable[[Packet], T | None], seconds: float) -> T | None:
        """Return the first thing that ``wanted`` finds in a packet within ``seconds``; others are passed over."""
        deadline = trio.current_time() + seconds
        while True:
            packet = await self.next(max(0.0, deadline - trio.current_time()))
            if packet is None:
                return None
            found = wanted(packet)
            if found is not None:
                return found

    async def silence(self, seconds: float, why: str, allowed: Callable[[Packet], bool] | None = None) -> None:
        """Fail with the first packet that comes within ``seconds``, unless it is ``allowed``.

        ``why`` says what the silence answers, such as "an RRQ while a pass runs".
        """

        def unwanted(packet: Packet) -> Packet | None:
            return None if allowed is not None and allowed(packet) else packet

        packet = await self.until(unwanted, seconds)
        if packet is not None:
            raise Failed(Evidence(f"answer to {why}", "silence", packet.summary, packet=packet))

    def close(self) -> None:
        """Close the port."""
        self._port.close()
