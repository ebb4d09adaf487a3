"""What was found out about nodes comes back as it was put, on the clock of the next run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtftpd.core.learning.experience import Experience
from mtftpd.core.learning.fallback import Mark, NodeStage, Trigger
from mtftpd.core.learning.lessons import Firmware, Learnt, Sign
from mtftpd.core.mtftp.pass_rates import PassRate
from mtftpd.core.nodes.attempts import Attempt
from mtftpd.core.nodes.nics import KnownMachine
from mtftpd.core.nodes.states import NodeState
from mtftpd.daemon.store import Former, Memory, RunningPass
from mtftpd.daemon.store.memories import key_of
from mtftpd.daemon.store.sqlite import NAME, SqliteStore
from mtftpd.quirks.evidence import Fingerprint
from mtftpd.wire.datagram import HardwareAddress

HARDWARE = HardwareAddress(1, bytes.fromhex("020000000001"))
FIRMWARE = Fingerprint(b"PXEClient", b"\1\3", b"", b"", b"\0\0", b"\1\2\1", 17, 6)
MARK = Mark(NodeStage(HARDWARE, "intel-bios"), FIRMWARE, Trigger.F5, 100.0)
LEARNT = Learnt(Firmware(HARDWARE, FIRMWARE), frozenset((Sign.NO_OACK,)), 100.0)
MACHINE = KnownMachine((HARDWARE, HARDWARE._replace(htype=6)), HARDWARE)
RATE = PassRate("intel-bios", 0.001)
ATTEMPT = Attempt(
    HARDWARE, 3, 90.0, 100.0, NodeState.DONE, "why", "ACK", False, 1, "10.0.0.9", "rom", "intel-bios", "nbp",
    "239.1.1.1:1799",
)  # fmt: skip

hardware = st.builds(HardwareAddress, st.integers(0, 255), st.binary(min_size=1, max_size=16))
octets = st.binary(max_size=20)
fingerprints = st.builds(
    Fingerprint, octets, octets, octets, octets, octets, octets, st.integers(0, 255), st.integers(0, 255)
)
times = st.integers(0, 10**6).map(float)
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
stages = st.sampled_from(("rom", "ipxe", "intel-bios"))
marks = st.builds(
    Mark, st.builds(NodeStage, hardware, stages), fingerprints, st.sampled_from(Trigger), times, st.integers(1, 9),
    st.integers(0, 1),
)  # fmt: skip
learnt = st.builds(
    Learnt, st.builds(Firmware, hardware, fingerprints), st.frozensets(st.sampled_from(Sign)), times
)  # fmt: skip
attempts = st.builds(
    Attempt, hardware | st.just("10.0.0.77"), st.integers(1, 5), times, times, st.sampled_from(NodeState), words, words,
    st.booleans(), st.integers(1, 9), st.just("10.0.0.9"), stages, stages, words, words,
)  # fmt: skip
machines = st.lists(hardware, min_size=2, max_size=4).map(lambda nics: KnownMachine(tuple(nics), nics[-1]))
numbers = st.floats(0.001, 100.0)
rates = st.builds(PassRate, stages, numbers, numbers, st.integers(1, 64), numbers)
passes = st.builds(RunningPass, st.sampled_from(("239.1.1.1:1799", "239.1.1.2:1799")))


def rounded(former: Former) -> list[str]:
    """Return everything with times in whole seconds, which is more than a clock loses on the way."""
    return sorted(
        [str(Mark(each.node, each.fingerprint, each.trigger, round(each.at), each.failures, each.successes))
         for each in former.experience.marks]
        + [f"{each.firmware} {sorted(sign.name for sign in each.signs)} {round(each.at)}"
           for each in former.experience.learnt]
        + [str(each._replace(began=round(each.began), since=round(each.since))) for each in former.attempts]
        + [str(each) for each in (*former.machines, *former.rates, *former.passes)]
    )  # fmt: skip


def former_of(memories: Iterable[Memory]) -> Former:
    kept = {key_of(each): each for each in memories}.values()
    return Former(
        Experience(
            tuple(each for each in kept if isinstance(each, Mark)),
            tuple(each for each in kept if isinstance(each, Learnt)),
        ),
        tuple(each for each in kept if isinstance(each, KnownMachine)),
        tuple(each for each in kept if isinstance(each, PassRate)),
        tuple(each for each in kept if isinstance(each, Attempt)),
        tuple(each for each in kept if isinstance(each, RunningPass)),
    )


def found(folder: Path) -> Former:
    with closing(SqliteStore(folder)) as store:
        return store.former()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=10)
@given(kept=st.lists(marks | learnt | machines | rates | attempts | passes, max_size=12), data=st.data())
def test_what_is_kept_comes_back_and_what_is_forgotten_does_not(
    tmp_path: Path, kept: list[Memory], data: st.DataObject
) -> None:
    (tmp_path / NAME).unlink(missing_ok=True)
    gone = data.draw(st.lists(st.sampled_from(kept), max_size=3)) if kept else []
    with closing(SqliteStore(tmp_path)) as store:
        for each in kept:
            store.keep(each)
        for each in gone:
            store.forget(each)
    missing = {key_of(each) for each in gone}
    assert rounded(found(tmp_path)) == rounded(former_of(each for each in kept if key_of(each) not in missing))


def test_times_follow_the_wall_clock_when_it_is_set(tmp_path: Path) -> None:
    """The machine has booted again in between, an hour later by the wall clock."""
    with closing(SqliteStore(tmp_path)) as store:
        for each in (MARK, LEARNT, MACHINE, RATE, ATTEMPT):
            store.keep(each)
    with closing(sqlite3.connect(tmp_path / NAME)) as connection, connection:
        connection.execute("UPDATE clock SET boot = 'another', offset = offset - 3600, seen = seen - 3600")
        connection.execute("UPDATE marks SET at = at - 3600")
        connection.execute("UPDATE learnt SET at = at - 3600")
        connection.execute("UPDATE attempts SET began = began - 3600, since = since - 3600")
    former = found(tmp_path)
    assert former.experience.marks[0].at == pytest.approx(MARK.at - 3600, abs=5)
    assert former.experience.learnt[0].at == pytest.approx(LEARNT.at - 3600, abs=5)
    assert former.attempts[0].since - former.attempts[0].began == pytest.approx(10.0, abs=0.01)
    assert former.attempts[0].since == pytest.approx(ATTEMPT.since - 3600, abs=5)


def test_a_name_that_no_text_can_hold_is_kept_without_what_it_cannot(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path)) as store:
        store.keep(ATTEMPT._replace(file="b\udcffd", reason="caf\u00e9 \udcff"))
    (attempt,) = found(tmp_path).attempts
    assert (attempt.file, attempt.reason) == ("b?d", "caf\u00e9 ?")


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE marks SET node = '1/02'", "not enough values to unpack"),
        ("UPDATE marks SET node = '1/xx rom'", "non-hexadecimal"),
        ("UPDATE marks SET fingerprint = '7'", "7 is no fingerprint"),
        ("UPDATE marks SET fingerprint = '[1]'", "not enough values to unpack"),
        ("UPDATE marks SET fingerprint = '{'", "Expecting property name"),
        ("UPDATE marks SET reason = 'F99'", "'F99' is no reason to fall back"),
        ("UPDATE marks SET at = 9e999", "has no proper time"),
        ("UPDATE learnt SET signs = 'NO_OACK BRILLIANT'", "are no signs of a ROM"),
        ("UPDATE learnt SET node = '1'", "'1' is no hardware address"),
        ("UPDATE machines SET bootable = '1/02'", "1/02 is none of 1/020000000001 6/020000000001"),
        ("UPDATE rates SET burst = 0", "no rate of intel-bios"),
        ("UPDATE rates SET answer = 9e999", "no rate of intel-bios"),
        ("UPDATE attempts SET state = 'happy'", "'happy' is not a valid NodeState"),
        ("UPDATE attempts SET began = -9e999", "has no proper time"),
        ("UPDATE attempts SET node = '1/02 x'", "invalid literal for int()"),
    ],
)
def test_what_was_never_written_sets_the_file_aside(
    tmp_path: Path, statement: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(SqliteStore(tmp_path)) as store:
        for each in (MARK, LEARNT, MACHINE, RATE, ATTEMPT):
            store.keep(each)
    with closing(sqlite3.connect(tmp_path / NAME)) as connection, connection:
        connection.execute(statement)
    assert found(tmp_path) == Former()
    assert reason in caplog.text or reason in str([record.__dict__.get("pairs") for record in caplog.records])
    assert (tmp_path / f"{NAME}.corrupt-1").exists()
