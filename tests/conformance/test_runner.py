"""How cases end, side by side or in turns, whatever the target does: over a network in memory, in no time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address
from random import Random

import pytest
import trio
from trio.testing import MockClock

from mtftpd.conformance.findings import Feature, Findings, Image
from mtftpd.conformance.lab import Lab, Target
from mtftpd.conformance.registry import EVERYTHING, Case
from mtftpd.conformance.results import Report, Result
from mtftpd.conformance.runner import CASE_SECONDS, run_case, run_cases
from mtftpd.conformance.verdicts import (
    Inconclusive,
    NotApplicable,
    Verdict,
    at_least,
    at_most,
    between,
    check,
    given,
    one_of,
    other_than,
)
from mtftpd.net.outside import Heard
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Endpoint
from tests.conformance.memory_network import MemoryNetwork

SERVER = "10.0.0.1"
FOUND = Findings(frozenset({Feature.TFTP}), images=(Image("boot.img", b"a" * 600),))

Function = Callable[[Lab], Awaitable[None]]


def make_lab(network: MemoryNetwork, found: Findings = FOUND) -> Lab:
    return Lab(Target(IPv4Address(SERVER)), network, found, Random(1))


def case(function: Function, *ids: str, needs: tuple[Feature, ...] = (), alone: str = "") -> Case:
    name = getattr(function, "__name__", "")
    return Case(name, "tftp", ids or ("TFTP-01",), "What passes.", frozenset(needs), alone, function)


class SmallServer:
    """Serves one file of two blocks to whoever asks, from one port, and answers nothing else."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        network.server = self.receive

    def receive(self, heard: Heard) -> None:
        blocks = {1: b"a" * 512, 2: b"a" * 88}
        packet = tftp.parse_untrusted(heard.data)
        match packet:
            case tftp.Request():
                self._send(heard.source, tftp.Data(1, blocks[1]))
            case tftp.Ack(1):
                self._send(heard.source, tftp.Data(2, blocks[2]))

    def _send(self, to: Endpoint, packet: tftp.Packet) -> None:
        self._network.put(Endpoint(SERVER, 5000), to, tftp.build(packet))


async def passes(lab: Lab) -> None:
    async with lab.tftp() as client:
        client.request()
        assert await client.rest() == b"a" * 600


async def fails(lab: Lab) -> None:
    async with lab.tftp() as client:
        client.request()
        await client.expect(tftp.OptionAck)


async def hears_nothing(lab: Lab) -> None:
    async with lab.tftp() as client:
        client.send(tftp.Ack(9), client.server)
        await client.expect(tftp.Data, 9)


async def cannot_begin(lab: Lab) -> None:
    async with lab.tftp() as client:
        with given("transfer"):
            client.send(tftp.Ack(9), client.server)
            await client.expect(tftp.Data, 9)


async def has_no_image(lab: Lab) -> None:
    lab.image_of(least=10_000)


async def is_wrong_itself(lab: Lab) -> None:
    raise KeyError(lab.target)


async def never_ends(lab: Lab) -> None:
    await trio.sleep_forever()


class TestOneCase:
    async def test_that_passes(self, autojump_clock: MockClock) -> None:
        network = MemoryNetwork()
        SmallServer(network)
        result = await run_case(case(passes), make_lab(network))
        assert (result.verdict, result.reason, result.evidence) == (Verdict.PASS, "", None)
        assert [packet.summary for packet in result.packets] == [
            'TFTP RRQ "boot.img" octet', "TFTP DATA 1, 512 octets", "TFTP ACK 1", "TFTP DATA 2, 88 octets",
            "TFTP ACK 2",
        ]  # fmt: skip
        assert [packet.sent for packet in result.packets] == [True, False, True, False, True]

    async def test_that_fails_has_the_packet_as_evidence(self, autojump_clock: MockClock) -> None:
        network = MemoryNetwork()
        SmallServer(network)
        result = await run_case(case(fails), make_lab(network))
        assert result.verdict is Verdict.FAIL
        assert result.breaks_a_must
        assert result.evidence is not None
        assert result.evidence.packet is result.packets[1]
        assert result.reason == "packet 2: answer: expected OACK, got TFTP DATA 1, 512 octets"
        assert "ERROR 0" in result.packets[-1].summary, "the transfer was not ended"

    async def test_that_hears_nothing_says_how_long(self, autojump_clock: MockClock) -> None:
        result = await run_case(case(hears_nothing), make_lab(MemoryNetwork()))
        assert (result.verdict, result.reason) == (Verdict.FAIL, "answer: expected DATA 9, got nothing within 5 s")
        assert result.seconds == pytest.approx(5)

    async def test_whose_preparation_fails_is_inconclusive(self, autojump_clock: MockClock) -> None:
        result = await run_case(case(cannot_begin), make_lab(MemoryNetwork()))
        assert result.verdict is Verdict.INCONCLUSIVE
        assert result.reason.startswith("no transfer: answer: expected DATA 9")

    async def test_that_lacks_an_image_says_what_to_name(self) -> None:
        result = await run_case(case(has_no_image), make_lab(MemoryNetwork()))
        assert result.verdict is Verdict.NOT_APPLICABLE
        assert "--image" in result.reason

    async def test_that_is_wrong_itself_does_not_blame_the_target(self) -> None:
        result = await run_case(case(is_wrong_itself), make_lab(MemoryNetwork()))
        assert result.verdict is Verdict.INCONCLUSIVE
        assert "KeyError" in result.trouble

    async def test_that_never_ends_is_given_up(self, autojump_clock: MockClock) -> None:
        result = await run_case(case(never_ends), make_lab(MemoryNetwork()))
        assert result.verdict is Verdict.INCONCLUSIVE
        assert result.seconds == pytest.approx(CASE_SECONDS)

    async def test_that_judges_a_should_breaks_no_must(self, autojump_clock: MockClock) -> None:
        result = await run_case(case(hears_nothing, "TFTP-02"), make_lab(MemoryNetwork()))
        assert result.verdict is Verdict.FAIL
        assert not result.breaks_a_must


def report_of(*cases: Case) -> Report:
    return Report(SERVER, cases, 0.0, FOUND)


async def run_all(report: Report, at_once: int = 8) -> list[Result]:
    ended: list[Result] = []
    await run_cases(report, lambda found: make_lab(MemoryNetwork(), found), ended.append, at_once)
    return ended


def waits(name: str, seconds: float) -> Function:
    async def function(lab: Lab) -> None:
        await trio.sleep(seconds)

    function.__name__ = name
    return function


class TestManyCases:
    async def test_wait_side_by_side(self, autojump_clock: MockClock) -> None:
        report = report_of(*(case(waits(f"case_{number}", 3.0)) for number in range(8)))
        began = trio.current_time()
        assert len(await run_all(report)) == 8
        assert trio.current_time() - began == pytest.approx(3)

    async def test_take_turns_where_they_share_something(self, autojump_clock: MockClock) -> None:
        report = report_of(*(case(waits(f"case_{number}", 3.0), alone="group") for number in range(4)))
        began = trio.current_time()
        await run_all(report)
        assert trio.current_time() - began == pytest.approx(12)

    async def test_that_need_everything_come_last_and_one_by_one(self, autojump_clock: MockClock) -> None:
        cases = [case(waits(f"last_{number}", 1.0), alone=EVERYTHING) for number in range(2)]
        report = report_of(*cases, case(waits("slow", 3.0)))
        began = trio.current_time()
        ended = await run_all(report)
        assert trio.current_time() - began == pytest.approx(5)
        assert [result.case.name for result in ended] == ["slow", "last_0", "last_1"]

    async def test_that_need_what_the_target_lacks_are_not_run(self) -> None:
        report = report_of(case(is_wrong_itself, needs=(Feature.MTFTP,)))
        (result,) = await run_all(report)
        assert (result.verdict, result.reason) == (Verdict.NOT_APPLICABLE, Feature.MTFTP.value)

    async def test_of_an_interrupted_run_are_told_from_those_that_ended(self, autojump_clock: MockClock) -> None:
        report = report_of(case(waits("quick", 1.0)), case(waits("slow", 9.0)))
        with trio.move_on_after(5):
            await run_all(report)
        assert [result.verdict for result in report.results] == [Verdict.PASS, Verdict.NOT_RUN]

    async def test_together_give_a_requirement_the_worst_verdict(self, autojump_clock: MockClock) -> None:
        report = report_of(case(waits("quick", 1.0)), case(hears_nothing), case(has_no_image, "TFTP-02"))
        await run_all(report)
        verdicts = {requirement.id: verdict for requirement, verdict, _ in report.by_requirement()}
        assert verdicts == {"TFTP-01": Verdict.FAIL, "TFTP-02": Verdict.NOT_APPLICABLE}
        assert not report.conforms


class TestTheWords:
    @pytest.mark.parametrize(
        ("expected", "good", "bad"),
        [
            (7, 7, 8),
            (at_least(300), 300, 299),
            (at_most(548), 548, 549),
            (between(1, 255), 255, 0),
            (one_of(("a", "b")), "b", "c"),
            (other_than(69), 70, 69),
        ],
    )
    async def test_of_check(self, expected: object, good: object, bad: object, autojump_clock: MockClock) -> None:
        async def function(lab: Lab) -> None:
            mailbox = lab.mailbox(lab.host)
            packet = mailbox.send(b"x", Endpoint(SERVER, 69))
            check(packet, "field", good, expected, "RFC 0")
            check(packet, "field", bad, expected, "RFC 0")

        result = await run_case(case(function), make_lab(MemoryNetwork()))
        assert result.evidence is not None
        assert (result.evidence.field, result.evidence.got, result.evidence.source) == ("field", str(bad), "RFC 0")

    async def test_given_lets_other_ends_through(self) -> None:
        with pytest.raises(NotApplicable), given("x"):
            raise NotApplicable("y")
        with pytest.raises(Inconclusive, match="y"), given("x"):
            raise Inconclusive("y")
