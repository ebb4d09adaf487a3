"""A multicast client that has opened or is the master, by the specification and as EDK I has it."""

from __future__ import annotations

import pytest

from mtftpd.rom.mtftp import Mtftp, State
from mtftpd.rom.profiles import EDK1, MtftpProfile
from mtftpd.wire.tftp import Opcode, Request
from tests.rom.wire_peer import SPORT, Recorder, T, data, listener, sent, spec, to_group, to_station

SPEC = spec()
assert EDK1.mtftp is not None
EDK = EDK1.mtftp
BOTH = pytest.mark.parametrize("profile", [SPEC, EDK], ids=["spec", "edk1"])

OPEN = (SPORT, Request(Opcode.RRQ, b"img"))


def opener(profile: MtftpProfile, memory: Recorder | None = None) -> tuple[Mtftp, float]:
    """Return a client that has just opened, and the time."""
    client = listener(profile, memory)
    now = T + profile.grace
    assert sent(client.tick(now)) == [OPEN]
    return client, now


def master(profile: MtftpProfile, memory: Recorder | None = None) -> tuple[Mtftp, float]:
    """Return a client that was chosen and acknowledged block 1, and the time."""
    client, now = opener(profile, memory)
    client.receive(to_station(data(1)), now)
    client.receive(to_group(data(1)), now)
    assert client.state is State.RECEIVE
    return client, now
