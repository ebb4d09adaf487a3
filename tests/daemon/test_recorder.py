"""What a run finds out is written down as it happens, and no more of it than is remembered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mtftpd.core.effects import Report
from mtftpd.core.learning.experience import NO_EXPERIENCE
from mtftpd.core.learning.fallback import NodeStage, Trigger
from mtftpd.core.learning.lessons import Firmware, Sign
from mtftpd.core.nodes import records as nodes
from mtftpd.core.nodes.attempts import PAST_ATTEMPTS
from mtftpd.core.nodes.nics import Answer, KnownMachine
from mtftpd.core.nodes.states import NodeState
from mtftpd.daemon import recorder as module
from mtftpd.daemon.recorder import Recorder, revive
from mtftpd.daemon.store import Former, RunningPass
from mtftpd.daemon.store.sqlite import SqliteStore
from mtftpd.quirks.evidence import Fingerprint
from mtftpd.wire import tftp
from mtftpd.wire.bootp import MessageType
from tests.core.dhcp.dhcp_lab import BIOS_ROM, TWO_IMAGES
from tests.core.nodes.node_lab import BLOCKS, GROUP, HARDWARE, Lab

FIRMWARE = Fingerprint(b"PXEClient", b"", b"", b"", b"", b"", 0, 6)


class Run(Lab):
    """A server with a store, which hears of everything that the lab does."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.store = SqliteStore(folder)
        self.recorder = Recorder(self.service, self.store)

    def hear(self) -> None:
        for effect in self.effects:
            if isinstance(effect, Report):
                self.recorder.report(effect)
        self.recorder.flush()
        self.effects = ()

    def restart(self) -> Former:
        """End it and begin another run; return what that finds."""
        self.store.close()
        self.store = SqliteStore(self.folder)
        self.service = revive(self.settings, TWO_IMAGES, self.store, self.now)
        self.recorder = Recorder(self.service, self.store)
        return self.store.former()

    def put_on(self, times: int) -> None:
        """Let the node begin again and again."""
        for _ in range(times):
            self.dhcp(MessageType.DISCOVER)
            self.hear()
            self.sleep(100)
            self.hear()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path)
    yield run
    run.store.close()


def test_who_is_forgotten_in_the_turn_in_which_it_moved_leaves_nothing(run: Run) -> None:
    run.boot()
    run.service.forget(HARDWARE)
    run.hear()
    assert run.restart().attempts == ()


def test_a_boot_is_written_down_step_by_step(run: Run) -> None:
    run.boot()
    run.hear()
    before = run.node()
    (attempt,) = run.restart().attempts
    assert (attempt.node, attempt.number, attempt.state) == (HARDWARE, 1, NodeState.LISTEN)
    after = run.node()
    assert (after.state, after.reason, after.group) == (before.state, before.reason, GROUP)
    assert after.since == pytest.approx(before.since, abs=0.01)


def test_the_last_attempts_are_kept_over_many_restarts(run: Run) -> None:
    for _ in range(3):
        run.put_on(2)
        former = run.restart()
    assert sorted(each.number for each in former.attempts) == [3, 4, 5, 6]
    assert PAST_ATTEMPTS == 3
    assert [each.number for each in run.node().past] == [3, 4, 5]
    assert {each.state for each in former.attempts} == {NodeState.LOST_OFFER}


def test_only_so_many_nodes_are_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NODES", 2)
    for number in (1, 2, 3, 1, 4):
        run.boot(mac=bytes((2, 0, 0, 0, 0, number)), xid=number)
        run.hear()
        run.sleep(5)
    kept = {each.node.octets[-1] for each in run.restart().attempts if not isinstance(each.node, str)}
    assert kept == {1, 4}
    assert nodes.MAX_NODES > 2


def test_what_is_forgotten_is_forgotten_for_good(run: Run) -> None:
    run.boot()
    run.hear()
    run.service.fallback.memory.failed(NodeStage(HARDWARE, "intel-bios"), FIRMWARE, Trigger.F5, run.now)
    run.open()
    run.hear()
    run.service.learning.showed(Firmware(HARDWARE, FIRMWARE), Sign.NO_OACK, run.now)
    run.boot(xid=10)
    run.hear()
    known = run.restart().experience
    assert [mark.trigger for mark in known.marks] == [Trigger.F5]
    assert [each.signs for each in known.learnt] == [{Sign.NO_OACK}]
    run.effects = run.service.forget(HARDWARE)
    run.hear()
    former = run.restart()
    assert (former.experience, former.attempts) == (NO_EXPERIENCE, ())


def test_a_stranger_whom_dhcp_names_is_one_node(run: Run) -> None:
    run.ask("nbp")
    run.hear()
    run.boot()
    run.hear()
    assert [each.node for each in run.restart().attempts] == [HARDWARE]


def test_a_pass_is_known_until_it_ends(run: Run) -> None:
    run.boot()
    run.open()
    run.hear()
    assert run.restart().passes == (RunningPass(GROUP),)
    run.sleep(5)
    run.hear()
    run.boot(xid=9)
    run.open()
    run.hear()
    run.service.rates.answered("intel-bios", 0.001, 1000, 3)
    for number in range(1, BLOCKS + 1):
        run.packet(4, tftp.build(tftp.Ack(number)), port=1799)
        run.hear()
    former = run.restart()
    assert former.passes == ()
    (rate,) = former.rates
    assert (rate.profile, former.rates) == ("intel-bios", run.service.rates.snapshot())


def test_a_machine_is_known_by_the_interface_that_boots(run: Run) -> None:
    uuid = {**BIOS_ROM, 97: b"\0" + bytes(range(1, 17))}
    first, second = (HARDWARE._replace(octets=bytes((2, 0, 0, 0, 0, number))) for number in (1, 2))
    for number, nic in enumerate((first, second), 1):
        run.boot(uuid, mac=nic.octets, xid=number)
        run.hear()
    (address,) = {lease.address for lease in run.service.leases() if lease.key and lease.key.octets == second.octets}
    run.ask("nbp", address=str(address))
    run.hear()
    assert run.restart().machines == (KnownMachine((first, second), second),)
    assert run.service.nics.answer(first) is Answer.HOLD
    run.effects = run.service.forget(second)
    run.hear()
    assert run.restart().machines == ()
    assert run.service.nics.answer(first) is Answer.FULL
