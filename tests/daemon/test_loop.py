"""The pump over real sockets on loopback, driven by small services and by the real TFTP service."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import trio

from mtftpd.core.effects import (
    FIRST_TRANSFER,
    CloseTransfer,
    Drop,
    DropReason,
    Effects,
    Lookup,
    OpenTransfer,
    Release,
    Report,
    ReportKind,
    Send,
    SendRun,
    Service,
)
from mtftpd.core.images import Image
from mtftpd.core.service import BootService
from mtftpd.core.settings import Catalogue, Mode, Settings
from mtftpd.daemon.loop import MAX_DRAIN
from mtftpd.net.capture import Capture
from mtftpd.wire import tftp
from mtftpd.wire.captures import CaptureReader
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.pcapng import Captured
from tests.daemon.pump_harness import Bench, Script, client, name_of, until


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


async def test_a_datagram_is_answered_from_the_socket_asked(bench: Bench) -> None:
    script = Script(lambda asked: (Send(asked.socket, asked.source, asked.data[::-1]),))
    async with bench.running(script) as pump, client() as asking:
        for number in (Service.DHCP, Service.PXE, Service.TFTP, Service.MTFTP, Service.MTFTP_IPXE):
            await asking.sendto(b"abc", bench.port(number))
            assert await asking.recvfrom(100) == (b"cba", bench.port(number))
        counters = pump.counters()
    assert (counters.received, counters.received_octets) == (5, 15)
    assert (counters.sent, counters.sent_octets, counters.lost) == (5, 15, 0)


async def test_a_turn_ends_for_those_who_collect_what_came_in_it(bench: Bench) -> None:
    told = Report(ReportKind.DHCP_OFFERED)
    async with bench.running(Script(lambda _asked: (told,))) as pump, client() as asking:
        await asking.sendto(b"abc", bench.port(Service.DHCP))
        await until(lambda: bench.records.flushed == 1)
        pump.perform((told,))
        assert bench.records.flushed == 2


async def test_a_lookup_is_answered_before_the_next_datagram(bench: Bench, root: Path) -> None:
    (root / "boot").write_bytes(b"image")

    def answer(asked: Datagram) -> Effects:
        return (Lookup(len(script.log), asked.data.decode()), Send(asked.socket, asked.source, b"after"))

    def opened(request: int, image: Image | None) -> Effects:
        return () if image is None else (Send(Service.TFTP, name_of(asking), b"opened"), Release(image))

    script = Script(answer, opened)
    async with client() as asking:
        await asking.sendto(b"boot", bench.port(Service.TFTP))
        await asking.sendto(b"none", bench.port(Service.TFTP))
        async with bench.running(script):
            texts = [await asking.recv(100) for _ in range(3)]
    assert texts == [b"opened", b"after", b"after"]
    assert [entry if isinstance(entry, bytes) else entry[:2] for entry in script.log] == [  # type: ignore[index]
        b"boot",
        ("opened", 1),
        b"none",
        ("opened", 3),
    ]
    assert len(bench.store) == 0


async def test_reports_and_drops_reach_the_sink_and_are_counted(bench: Bench) -> None:
    report = Report(ReportKind.TFTP_STARTED, "127.0.0.1")
    script = Script(lambda asked: (report, Drop(DropReason.MALFORMED, asked.source, "short")))
    async with bench.running(script) as pump, client() as asking:
        await asking.sendto(b"?", bench.port(Service.TFTP))
        await until(lambda: bench.records.drops)
        assert pump.counters().drops == {"malformed": 1}
    assert bench.records.reports == [report]
    assert bench.records.drops[0].source.address == "127.0.0.1"


async def test_ticks_come_when_due_and_never_without_a_deadline(bench: Bench) -> None:
    now = time.monotonic()
    script = Script(deadlines=[now + 0.03, now + 0.05])
    async with bench.running(script):
        await until(lambda: not script.deadlines)
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert script.log == ["tick", "tick"]


async def test_a_deadline_that_comes_nearer_from_outside_is_kept(bench: Bench) -> None:
    """A reload, or a command of the control socket, while the pump sleeps for a day."""
    script = Script(deadlines=[time.monotonic() + 86_400])
    async with bench.running(script) as pump:
        await trio.testing.wait_all_tasks_blocked(0.01)
        script.deadlines.insert(0, time.monotonic())
        pump.perform(())
        await until(lambda: script.log)
    assert script.log == ["tick"]


async def test_who_sends_without_a_pause_still_hears(bench: Bench) -> None:
    class Busy(Script):
        """Due again as soon as it was called, as a pass without a limit is."""

        def tick(self, now: float) -> Effects:
            return ()

        def next_deadline(self) -> float | None:
            return 0.0

    script = Busy(lambda asked: (Send(asked.socket, asked.source, asked.data[::-1]),))
    async with bench.running(script), client() as asking:
        for number in (Service.DHCP, Service.TFTP, Service.MTFTP) * 5:
            await asking.sendto(b"abc", bench.port(number))
            assert await asking.recvfrom(100) == (b"cba", bench.port(number))


async def test_what_has_arrived_is_read_before_anything_is_repeated(bench: Bench) -> None:
    script = Script(deadlines=[0.0])
    async with client() as asking:
        for number in (FIRST_TRANSFER, FIRST_TRANSFER + 1):
            bench.channels.open_transfer(number, Endpoint(*asking.getsockname()))
        for number in (FIRST_TRANSFER, FIRST_TRANSFER + 1, Service.TFTP):
            for text in (b"one", b"two", b"three"):
                await asking.sendto(text, bench.port(number))
        async with bench.running(script):
            await until(lambda: len(script.log) == 10)
    assert script.log.index("tick") == 9


async def test_dhcp_is_served_first(bench: Bench) -> None:
    script = Script()
    async with client() as asking:
        for text, number in ((b"mtftp", Service.MTFTP), (b"tftp", Service.TFTP), (b"dhcp", Service.DHCP)):
            await asking.sendto(text, bench.port(number))
        async with bench.running(script):
            await until(lambda: len(script.log) == 3)
    assert script.log[0] == b"dhcp"


async def test_a_flood_on_one_socket_does_not_hold_up_the_others(bench: Bench) -> None:
    script = Script()
    async with client() as asking:
        for number in range(20 * MAX_DRAIN):
            await asking.sendto(call(number), bench.port(Service.DHCP))
        await asking.sendto(b"ack", bench.port(Service.MTFTP))
        async with bench.running(script):
            await until(lambda: len(script.log) == 20 * MAX_DRAIN + 1)
    assert script.log.index(b"ack") <= MAX_DRAIN


def call(node: int, time: int = 0) -> bytes:
    """Return what a DHCP message of ``node`` looks like from far away."""
    return time.to_bytes(24, "big") + node.to_bytes(20, "big")


async def test_of_a_storm_of_dhcp_each_node_is_answered_once_and_its_newest_message(bench: Bench) -> None:
    nodes = 3 * MAX_DRAIN
    script = Script()
    async with client() as asking:
        for time in range(3):
            for node in range(nodes):
                await asking.sendto(call(node, time), bench.port(Service.DHCP))
        async with bench.running(script) as pump:
            await until(lambda: len(script.log) == nodes)
            counters = pump.counters()
    assert script.log == [call(node, 2) for node in range(nodes)]
    assert counters.received == 3 * nodes
    assert counters.drops == {DropReason.SUPERSEDED.value: 2 * nodes}


async def test_trio_keeps_running_under_endless_traffic(bench: Bench) -> None:
    """Two datagrams that the server sends to itself for ever keep the pump hot."""
    script = Script(lambda asked: (Send(asked.socket, asked.destination, asked.data),))
    async with bench.running(script) as pump, client() as asking:
        for number in (Service.TFTP, Service.MTFTP):
            await asking.sendto(b"again", bench.port(number))
        await until(lambda: pump.counters().received > 100)
        before = pump.counters().received
        for _ in range(20):
            await trio.sleep(0.001)
        assert pump.counters().received > before


async def test_a_run_is_sent_block_by_block_and_in_bursts(bench: Bench, root: Path) -> None:
    content = os.urandom(100_000)
    (root / "boot").write_bytes(content)
    image = bench.store.lookup("boot")
    assert image is not None

    def answer(asked: Datagram) -> Effects:
        first, count = map(int, asked.data.split())
        return (
            OpenTransfer(FIRST_TRANSFER, asked.source),
            SendRun(FIRST_TRANSFER, asked.source, image, first, count, 512),
            CloseTransfer(FIRST_TRANSFER),
        )

    async with bench.running(Script(answer)), client() as asking:
        for first, count in ((1, 1), (2, 190), (192, 5)):
            await asking.sendto(f"{first} {count}".encode(), bench.port(Service.TFTP))
            for block in range(first, min(first + count, 197)):
                expected = tftp.Data(block, content[(block - 1) * 512 : block * 512])
                assert await asking.recv(1000) == tftp.build(expected)


async def test_nothing_is_sent_of_a_file_that_was_overwritten(bench: Bench, root: Path) -> None:
    (root / "boot").write_bytes(b"old" * 1000)
    image = bench.store.lookup("boot")
    assert image is not None
    (root / "boot").write_bytes(b"new" * 1000)
    script = Script(
        lambda asked: (SendRun(Service.TFTP, asked.source, image, 1, 1, 512), Send(asked.socket, asked.source, b"end"))
    )
    async with bench.running(script), client() as asking:
        await asking.sendto(b"go", bench.port(Service.TFTP))
        assert await asking.recv(1000) == b"end"
    assert ("changed", image) in script.log


async def test_runs_for_a_socket_that_is_not_open_are_counted(bench: Bench) -> None:
    nothing = Image(1, "nothing", 0)
    script = Script(
        lambda asked: (
            SendRun(FIRST_TRANSFER, asked.source, nothing, 1, 1, 512),
            Send(FIRST_TRANSFER, asked.source, b""),
            Send(Service.DHCP, Endpoint("127.0.0.1", 0), b"port 0 cannot be sent to"),
        )
    )
    async with bench.running(script) as pump, client() as asking:
        await asking.sendto(b"go", bench.port(Service.TFTP))
        await until(lambda: pump.counters().lost)
        assert (pump.counters().no_socket, pump.counters().lost, pump.counters().sent) == (2, 1, 0)


async def test_a_capture_holds_both_directions(bench: Bench, root: Path, tmp_path: Path) -> None:
    (root / "boot").write_bytes(b"x" * 1000)
    image = bench.store.lookup("boot")
    assert image is not None
    bench.capture = Capture(tmp_path / "all.pcapng", bench.link)
    script = Script(
        lambda asked: (SendRun(asked.socket, asked.source, image, 1, 2, 512), Send(asked.socket, asked.source, b"end"))
    )
    async with bench.running(script), client() as asking:
        await asking.sendto(b"go", bench.port(Service.TFTP))
        received = [await asking.recv(1000) for _ in range(3)]
    bench.capture.close()
    packets = [packet.data[28:] for packet in captures_of(tmp_path / "all.pcapng")]
    assert packets == [b"go", *received]


def captures_of(path: Path) -> list[Captured]:
    reader = CaptureReader()
    records = list(reader.feed(path.read_bytes()))
    reader.finish()
    return [record for record in records if isinstance(record, Captured)]


async def fetch(server: Endpoint, name: bytes, window: int, block_size: int) -> bytes:
    """A plain TFTP client: every block once and in order, which loopback gives."""
    options = (("blksize", str(block_size)), ("windowsize", str(window)))
    got, expected = bytearray(), 1
    async with client() as asking:
        await asking.sendto(tftp.build(tftp.Request(tftp.Opcode.RRQ, name, "octet", options)), server)
        while True:
            data, peer = await asking.recvfrom(70_000)
            packet = tftp.parse_untrusted(data)
            if isinstance(packet, tftp.OptionAck):
                await asking.sendto(tftp.build(tftp.Ack(0)), peer)
                continue
            assert isinstance(packet, tftp.Data), packet
            if packet.number != expected & 0xFFFF:
                continue
            got += packet.payload
            last = len(packet.payload) < block_size
            if last or expected % window == 0:
                await asking.sendto(tftp.build(tftp.Ack(packet.number)), peer)
            if last:
                return bytes(got)
            expected += 1


@pytest.mark.parametrize(
    ("block_size", "window", "size"), [(512, 1, 512 * 100), (1428, 16, 1_000_001), (8, 64, 600_000)]
)
async def test_the_real_tftp_service_serves_many_clients(
    bench: Bench, root: Path, block_size: int, window: int, size: int
) -> None:
    content = os.urandom(size)
    (root / "boot").write_bytes(content)
    service = BootService(Settings(bench.link, Mode.TFTP, bench.channels.ports), Catalogue())
    seen: list[bytes] = []

    async def boot() -> None:
        seen.append(await fetch(bench.port(Service.TFTP), b"boot", window, block_size))

    async with bench.running(service), trio.open_nursery() as clients:
        for _ in range(3):
            clients.start_soon(boot)
    assert [got == content for got in seen] == [True] * 3
