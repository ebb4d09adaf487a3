"""Whole boots in virtual time: clients from the documents, losses from a seed, masters that die at every block."""

from __future__ import annotations

import pytest

from mtftpd.core.effects import Report, ReportKind
from tests.core.mtftp.mtftp_lab import GROUP, Lab, image
from tests.core.mtftp.mtftp_rom import Rom, World


def world(blocks: int, loss: float = 0.0, seed: int = 0) -> World:
    return World(Lab(image(blocks)).service, GROUP, blocks, loss, seed)


def passes(some: World) -> int:
    return some.service.statistics().groups[0].passes


def ends(some: World) -> list[str]:
    reports = [each for _, effects in some.effects for each in effects if isinstance(each, Report)]
    return [str(dict(report.detail)["outcome"]) for report in reports if report.kind is ReportKind.PASS_ENDED]


def assert_all_done(roms: list[Rom]) -> None:
    assert [rom.state for rom in roms] == ["done"] * len(roms)
    assert not any(rom.protocol_error for rom in roms)


def test_clients_that_start_together_need_one_pass_and_one_packet_per_block() -> None:
    boot = world(200)
    for number in range(8):
        boot.add(start=0.01 * number)
    boot.run(until=60)
    assert_all_done(boot.roms)
    group = boot.service.statistics().groups[0]
    assert (group.passes, group.sent, group.repeats) == (1, 200, 0)
    assert sum(rom.opens for rom in boot.roms) == 1
    assert [rom.acks > 0 for rom in boot.roms].count(True) == 1


def test_a_late_joiner_gets_the_beginning_from_a_second_pass() -> None:
    boot = world(400)
    boot.add(start=0.0)
    late = boot.add(start=2.03)
    boot.run(until=60)
    assert_all_done(boot.roms)
    assert passes(boot) == 2
    assert late.opens == 1


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.15])
@pytest.mark.parametrize("seed", range(6))
def test_on_a_bad_wire_all_complete_by_multicast(loss: float, seed: int) -> None:
    boot = world(60, loss, seed)
    for number in range(6):
        boot.add(start=0.4 * number)
    boot.run(until=600)
    assert_all_done(boot.roms)
    assert all(end in {"acknowledged", "unacknowledged", "deserted", "unanswered"} for end in ends(boot))


BLOCKS = 12


@pytest.mark.parametrize("block", range(2, BLOCKS + 1))
@pytest.mark.parametrize("loss", [0.0, 0.02])
def test_ack_10_the_master_dies_at_any_block_and_the_others_complete(block: int, loss: float) -> None:
    boot = world(BLOCKS, loss, seed=block)
    master = boot.add(start=0.0)
    for _ in range(3):
        boot.add(start=0.001)
    boot.on_block = lambda newest: master.power_off() if newest == block else None
    boot.run(until=120)
    assert master.state == "dead"
    assert_all_done(boot.roms[1:])
    if not loss:
        assert passes(boot) == 1
        assert ends(boot)[:1] in ([], ["unacknowledged"])


def test_the_master_dies_before_its_first_ack_and_the_others_complete() -> None:
    """Q108 forbids block 2 here; the others open for themselves when the group has been silent."""
    boot = world(BLOCKS)
    master = boot.add(start=0.0)
    for number in range(3):
        boot.add(start=0.001 + 0.1 * number)
    boot.on_block = lambda _newest: master.power_off()
    boot.run(until=2.1)
    boot.on_block = lambda _newest: None
    boot.run(until=120)
    assert_all_done(boot.roms[1:])


def test_ten_masters_die_in_a_row() -> None:
    boot = world(100)
    for number in range(14):
        boot.add(start=0.001 * number)
    killed: list[Rom] = []

    def kill(newest: int) -> None:
        masters = [rom for rom in boot.roms if rom.state == "receive"]
        if newest == 20 and masters and len(killed) < 10:
            killed.append(masters[0])
            masters[0].power_off()
            boot.add(start=boot.now + 0.5)

    boot.on_block = kill
    boot.run(until=300)
    assert len(killed) == 10
    assert_all_done([rom for rom in boot.roms if rom not in killed])
