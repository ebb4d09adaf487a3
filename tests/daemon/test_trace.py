from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.effects import Drop, DropReason, Report, ReportKind, Sender
from mtftpd.core.nodes.records import NodeStatistics, Transition
from mtftpd.core.nodes.states import NodeState
from mtftpd.daemon import trace as module
from mtftpd.daemon.performer import Tap
from mtftpd.daemon.trace import KEEP_SECONDS, MAX_TRACED, MERGE_SECONDS, RING, Trace, Traces
from mtftpd.wire import bootp, tftp
from mtftpd.wire.datagram import Endpoint, HardwareAddress
from mtftpd.wire.options import Options

MAC = HardwareAddress(1, bytes.fromhex("5254000a0b0c"))
NODE, SERVER = Endpoint("10.0.0.9", 2070), Endpoint("10.0.0.1", 69)
ANYBODY, NOBODY = Endpoint("255.255.255.255", 67), Endpoint("0.0.0.0", 68)
GROUP = Endpoint("239.1.1.1", 1799)
RRQ = tftp.build(tftp.Request(1, b"nbp"))


def data(number: int) -> bytes:
    return tftp.data_header(number) + bytes(512)


def discover(mac: bytes = MAC.octets) -> bytes:
    message = bootp.DhcpMessage(1, 7, mac.ljust(16, b"\0"), options=Options({53: b"\1"}))
    return bootp.build(message)


def record(address: str = NODE.address, group: str = "") -> NodeStatistics:
    steps = (Transition(time.monotonic() - 5, NodeState.ACKED, "ACK for it", "DHCP from 0.0.0.0:68", False),)
    return NodeStatistics(MAC, address, NodeState.ACKED, 0.0, "", False, 1, 1, "rom", "", "", group, "", "", (), steps)


class Bench:
    """Traces without a server; ``taps`` is what the pump was told to use."""

    def __init__(self, known: NodeStatistics | None = None) -> None:
        self.known = known
        self.taps: list[Tap | None] = []
        self.traces = Traces(None, self.find)
        self.traces.use_tap = self.taps.append

    def find(self, who: HardwareAddress | str) -> NodeStatistics | None:
        known = self.known
        return known if known is not None and who in (known.hardware, known.address) else None

    def texts(self, who: HardwareAddress | str = MAC, after: int = 0, later: float = 2 * MERGE_SECONDS) -> list[str]:
        return [entry["text"] for entry in self.traces.ask(who, after, time.monotonic() + later)]


def test_nothing_is_tapped_until_somebody_asks_and_after_the_last_one_has_gone() -> None:
    bench = Bench(record())
    assert bench.texts() == ["acked: ACK for it [DHCP from 0.0.0.0:68]"]
    assert bench.taps == [bench.traces]
    assert bench.traces.stop(NODE.address)
    assert bench.taps[-1] is None
    assert not bench.traces.stop(MAC)
    bench.texts()
    bench.traces.expire(time.monotonic() + KEEP_SECONDS + 60)
    assert bench.taps[-1] is None


def test_a_node_that_was_never_seen_is_known_by_its_chaddr() -> None:
    bench = Bench()
    assert bench.texts() == []
    bench.traces.datagram(NOBODY, ANYBODY, discover())
    bench.traces.datagram(NOBODY, ANYBODY, discover(b"other!"))
    bench.traces.datagram(NODE, SERVER, RRQ)
    (text,) = bench.texts()
    assert text.startswith("0.0.0.0:68 > 255.255.255.255:67 ")
    assert "DISCOVER" in text
    bench.known = record()
    detail: tuple[tuple[str, str | int], ...] = (
        ("state", "lost-offer"), ("reason", "why"), ("packet", ""), ("inferred", 1),
    )  # fmt: skip
    bench.traces.report(Report(ReportKind.NODE_STATE, NODE.address, MAC, detail))
    bench.traces.datagram(NODE, SERVER, RRQ)
    bench.traces.report(Report(ReportKind.TFTP_REFUSED, NODE.address, detail=(("file", "nbp"),)))
    bench.traces.report(Report(ReportKind.TFTP_REFUSED, "10.0.0.77"))
    sender = Sender(MAC, 1, 7, "pxe", False, b"", "", "")
    bench.traces.drop(Drop(DropReason.NO_ADDRESS, NOBODY, "all taken", sender), time.monotonic())
    bench.traces.drop(Drop(DropReason.NO_ADDRESS, NOBODY), time.monotonic())
    assert bench.texts(after=1)[0] == "lost-offer (inferred): why"
    assert bench.texts(after=1)[2:] == ["tftp-refused file=nbp", "no answer: no-free-address all taken"]
    assert "nbp" in bench.texts(after=1)[1]


def test_the_other_interfaces_of_its_machine_are_named() -> None:
    bench = Bench(record())
    bench.texts()
    wrong = HardwareAddress(1, bytes((2, 0, 0, 0, 0, 9)))
    for boots in (MAC, wrong):
        detail: tuple[tuple[str, str | int], ...] = (("boots", str(boots)), ("known", "learnt"), ("answer", "hold"))
        bench.traces.report(Report(ReportKind.WRONG_NIC, "10.0.0.50", wrong, detail))
    assert bench.texts(after=1) == [f"wrong-nic {wrong} boots={MAC} known=learnt answer=hold"]


def test_blocks_in_a_row_are_one_entry() -> None:
    bench = Bench(record(group=str(GROUP)))
    bench.texts()
    for number in range(1, 101):
        bench.traces.datagram(SERVER, NODE, data(number))
        bench.traces.datagram(NODE, SERVER, tftp.build(tftp.Ack(number)))
    bench.traces.datagram(SERVER, GROUP, data(7))
    assert bench.texts(after=1, later=0) == []
    assert bench.texts(after=1) == [
        "10.0.0.1:69 > 10.0.0.9:2070 DATA 1 to 100, 100 packets",
        "10.0.0.9:2070 > 10.0.0.1:69 ACK 1 to 100, 100 packets",
        "10.0.0.1:69 > 239.1.1.1:1799 DATA 7",
    ]


def test_the_ring_and_the_number_of_traces_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = Trace(MAC, "")
    for number in range(RING + 10):
        trace.decision(str(number), 0.0)
    assert len(trace.entries) == RING
    assert len(trace.page(0, 10.0)) == module.PAGE
    bench = Bench()
    for number in range(MAX_TRACED):
        bench.texts(f"10.0.0.{number}")
    with pytest.raises(ValueError, match="8 nodes are traced already"):
        bench.texts("10.0.0.99")


def test_the_capture_goes_on_getting_everything() -> None:
    seen: list[Any] = []

    class Recorder:
        def datagram(self, source: Endpoint, destination: Endpoint, data: bytes) -> None:
            seen.append(data)

        def flush(self) -> None:
            seen.append("flush")

    recorder = Recorder()
    traces = Traces(recorder, lambda _who: None)
    taps: list[Tap | None] = []
    traces.use_tap = taps.append
    traces.ask(MAC, 0, time.monotonic())
    traces.datagram(NODE, SERVER, RRQ)
    traces.flush()
    traces.stop(MAC)
    assert seen == [RRQ, "flush"]
    assert taps == [traces, recorder]


@given(st.lists(st.tuples(st.sampled_from([NODE, SERVER, NOBODY]), st.binary(max_size=300)), max_size=20))
def test_no_packet_upsets_a_trace(packets: list[tuple[Endpoint, bytes]]) -> None:
    bench = Bench(record())
    bench.texts()
    for source, octets in packets:
        bench.traces.datagram(source, SERVER, octets)
    assert len(bench.texts(after=1)) <= len(packets)
