"""Transfers whose DATA leaves from port 69, for clients behind which nothing else is heard (quirk Q69).

It stands in front of the TFTP service, which knows nothing of it: for such a client no socket is opened, what the
service sends from it leaves from `Service.TFTP`, and what the client sends to port 69 belongs to its transfer, unless
it is another request.
"""

from __future__ import annotations

from collections.abc import Callable

from mtftpd.core.effects import CloseTransfer, Effect, Effects, OpenTransfer, Send, SendRun, Service
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.tftp import Opcode

_REQUESTS = (Opcode.RRQ, Opcode.WRQ)


class SinglePort:
    """Translates between port 69 and transfers; ``stays(address, now)`` says for whom."""

    def __init__(self, stays: Callable[[str, float], bool]) -> None:
        self._stays = stays
        self._by_peer: dict[Endpoint, int] = {}
        self.peers: dict[int, Endpoint] = {}
        """The transfers that stay on port 69 now; while there are none, no block need be shown to `outward`."""

    def inward(self, datagram: Datagram) -> Datagram:
        """Return ``datagram`` as if it had come in at the socket of its transfer."""
        if datagram.socket != Service.TFTP or int.from_bytes(datagram.data[:2], "big") in _REQUESTS:
            return datagram
        socket = self._by_peer.get(datagram.source)
        return datagram if socket is None else datagram._replace(socket=socket)

    def outward(self, effects: Effects, now: float) -> Effects:
        """Return ``effects`` with what leaves from port 69 instead."""
        opens = any(type(effect) is OpenTransfer for effect in effects)
        if not opens and not self.peers:
            return effects
        return tuple(each for effect in effects if (each := self._translated(effect, now)) is not None)

    def _translated(self, effect: Effect, now: float) -> Effect | None:
        if isinstance(effect, OpenTransfer) and self._stays(effect.peer.address, now):
            self._by_peer[effect.peer] = effect.socket
            self.peers[effect.socket] = effect.peer
            return None
        if isinstance(effect, CloseTransfer) and effect.socket in self.peers:
            peer = self.peers.pop(effect.socket)
            if self._by_peer.get(peer) == effect.socket:
                del self._by_peer[peer]
            return None
        if isinstance(effect, Send | SendRun) and effect.socket in self.peers:
            return effect._replace(socket=Service.TFTP)
        return effect
