"""When passes are in vain for too many: the group is closed until all have turned to port 69."""

from __future__ import annotations

import pytest

from mtftpd.core.effects import Drop, DropReason
from mtftpd.core.mtftp.audience import SHARE_IN_VAIN, VAIN_PASSES, Audience
from mtftpd.core.mtftp.gears import SLOW_ROM, Gears
from mtftpd.core.mtftp.session import Session
from mtftpd.sim.chance import Quality
from mtftpd.sim.simulation import Simulation
from tests.core.mtftp.mtftp_lab import SETTINGS, A, B, Lab, T, image
from tests.sim.scenes import scene

SILENCE = 4 * T + SLOW_ROM


def audience(passes: int, members: int, asking: int) -> Audience:
    found = Audience()
    for number in range(members):
        found.opened(str(number), 0.0)
    for _ in range(passes):
        found.pass_began()
        found.pass_ended(1.0)
    for number in range(asking):
        found.opened(str(number), 2.0)
    return found


@pytest.mark.parametrize(
    ("passes", "members", "asking", "seconds", "expected"),
    [
        (VAIN_PASSES, 10, 3, 10.0, True),
        (VAIN_PASSES - 1, 10, 3, 10.0, False),
        (VAIN_PASSES, 10, 2, 10.0, False),
        (VAIN_PASSES, 10, 3, 6.0, False),
        (VAIN_PASSES, int(3 / SHARE_IN_VAIN) + 1, 3, 10.0, False),
    ],
)
def test_when_it_is_quicker_to_leave_them_to_port_69(
    passes: int, members: int, asking: int, seconds: float, expected: bool
) -> None:
    assert audience(passes, members, asking).is_hopeless(seconds, SILENCE) is expected


def test_a_closed_group_forgets_who_was_there_and_opens_again() -> None:
    gears = Gears(None)
    gears.audience = audience(VAIN_PASSES, 3, 3)
    gears.pass_ended(0.0, 20.0, paced=False)
    assert not gears.is_closed(100.0)
    assert gears.closes(T, 100.0)
    assert len(gears.audience) == 0
    assert gears.is_closed(100.0 + SILENCE - 0.1)
    assert not gears.is_closed(100.0 + SILENCE)


@pytest.mark.parametrize(("pause", "closes"), [(2.0, True), (SLOW_ROM, False)])
def test_the_pause_before_a_pass_is_part_of_what_serving_takes(pause: float, closes: bool) -> None:
    """Six passes of 2 s are quicker than 13 s of silence, but not when each comes 2 s after the one before it."""
    gears = Gears(None)
    gears.audience = audience(VAIN_PASSES, 7, 7)
    gears.pass_ended(0.0, 2.0, paced=False)
    gears.pass_ended(2.0 + pause, 4.0 + pause, paced=False)
    assert gears.closes(T, 100.0) is closes


def test_every_open_of_a_closed_group_is_met_with_silence() -> None:
    lab = Lab(image(3), settings=SETTINGS)
    session = next(iter(lab.service._sessions.values()))
    assert isinstance(session, Session)
    session._ended_at = 99.9
    session._gears.audience = audience(VAIN_PASSES, 3, 3)
    session._gears.pass_ended(0.0, 20.0, paced=False)
    for source in (A, B, A):
        (drop,) = session.open(source, 100.0)
        assert isinstance(drop, Drop)
        assert drop.reason is DropReason.IN_VAIN
    assert session.is_idle
    assert not any(isinstance(effect, Drop) for effect in session.open(A, 100.0 + SILENCE))


def test_clients_without_a_map_are_not_served_one_by_one() -> None:
    """40 of Intel's EFI clients, 2,049 blocks and 1 % of loss: one pass for each would take three minutes."""
    result = Simulation(scene(40, 1 << 20, roms="edk1=100%", quality=Quality(loss=0.01))).run()
    assert result.lost == result.wrong == 0
    assert (result.boot_seconds() or (0.0,))[-1] < 60.0
    assert result.traffic.passes < 12
