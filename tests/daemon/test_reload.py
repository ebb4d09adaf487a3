"""A reload is taken whole or not at all; files that change get a group of their own."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from dataclasses import replace as with_fields
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
import trio

from mtftpd.core.effects import Effects, SendRun, Service
from mtftpd.core.service import BootService
from mtftpd.core.settings import Link
from mtftpd.daemon import reload
from mtftpd.daemon.assembly import assemble
from mtftpd.daemon.config import Config, Sources, load
from mtftpd.daemon.reload import Parts, Reloader
from mtftpd.daemon.store.sqlite import SqliteStore, remembered_groups
from mtftpd.net.candidates import Candidate, Progress
from mtftpd.net.images import ImageChanged, ImageStore
from mtftpd.net.namespaces import private_network
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress
from tests.patience import PATIENCE

LINK = Link("eth9", 9, IPv4Address("10.0.0.1"), IPv4Network("10.0.0.0/24"))


@dataclass
class Running:
    """A real service behind a reloader, without sockets: ``performed`` is what would have been sent."""

    file: Path
    store: ImageStore
    service: BootService
    reloader: Reloader
    state: SqliteStore
    performed: list[Effects] = field(default_factory=list)

    def write(self, text: str) -> None:
        self.file.write_text(f'root = "{self.store.root}"\ngroup = "239.1.1.1"\n{text}')

    def group_of(self, name: str) -> str | None:
        binding = self.service.groups.for_image(self.service.catalogue.paths[name])
        return str(binding.group) if binding else None


@pytest.fixture
def running(tmp_path: Path, root: Path) -> Iterator[Running]:
    file = tmp_path / "m.toml"
    store = ImageStore(root)
    file.write_text(f'root = "{root}"\ngroup = "239.1.1.1"\n[image]\nnbp = "nbp"\n')
    sources = Sources(config=file)
    assembly = assemble(load(sources), LINK, store)
    service = BootService(assembly.settings, assembly.catalogue)
    state = SqliteStore(tmp_path / "state")
    performed: list[Effects] = []
    reloader = Reloader(sources, assembly, Parts(service, store, state, performed.append))
    yield Running(file, store, service, reloader, state, performed)
    state.close()
    store.close()


async def test_takes_a_new_image_and_keeps_the_group_of_the_old_one(running: Running) -> None:
    before = running.group_of("nbp")
    running.write('ttl = 1\n[image]\nother = "other"\nnbp = "nbp"\n')
    assert await running.reloader.reload()
    assert running.group_of("nbp") == before == "239.1.1.1:1799"
    assert running.group_of("other") == "239.1.1.2:1799"
    running.state.wait()
    assert set(remembered_groups(running.file.parent / "state").values()) == {
        IPv4Address("239.1.1.1"),
        IPv4Address("239.1.1.2"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gruop = 1\n", "m.toml:3: unknown key gruop; did you mean group?"),
        ("ttl = 0\n", "--ttl 0 (from"),
        ("[image]\nnbp = 'missing'\n", "--image nbp=missing (from"),
        ("server-port = 1600\n", "--server-port 1600 (from"),
        ("mode = 'tftp'\n", "--mode tftp (from"),
        ("[ports]\ntftp = 6969\n", "ports: cannot change while the server runs; restart it"),
        ("mode = 'dhcp'\nrange = '192.168.0.1-192.168.0.9'\n", "192.168.0.1 is not in 10.0.0.0/24"),
        ("[", "is not valid TOML"),
        ("[[node]]\nhardware = 'x'\n", "m.toml:4: node 1: hardware: x is not a hardware address"),
        (
            "[[node]]\nhardware = '52:54:00:00:00:01'\naddress = '10.9.0.1'\n",
            "10.9.0.1 is in no network",
        ),
        ("[[subnet]]\nnetwork = '10.0.0.0/25'\n", "overlaps 10.0.0.0/24, the network of eth9"),
    ],
)
async def test_an_error_keeps_everything_as_it_was(
    running: Running, text: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = (running.service.settings, running.service.catalogue, running.reloader.assembly)
    running.write(text)
    assert not await running.reloader.reload()
    assert (running.service.settings, running.service.catalogue, running.reloader.assembly) == before
    assert running.performed == []
    assert message in caplog.text
    assert "(the old configuration stays in force)" in caplog.text
    running.write('[image]\nnbp = "nbp"\n')
    assert await running.reloader.reload()


async def test_a_base_that_cannot_carry_groups_leaves_the_images_open(running: Running) -> None:
    image = running.service.catalogue.paths["nbp"]
    running.file.write_text(f'root = "{running.store.root}"\ngroup = "239.0.0.1"\n[image]\nnbp = "other"\n')
    assert not await running.reloader.reload()
    assert running.service.catalogue.paths["nbp"] is image
    content = bytearray(image.size)
    running.store.read(image, [memoryview(content)], 0)
    assert content == b"n" * 1000


def replace(running: Running, name: str, content: bytes) -> None:
    fresh = Path(running.store.root, "fresh")
    fresh.write_bytes(content)
    fresh.replace(Path(running.store.root, name))


def grow(running: Running, name: str, size: int) -> None:
    path = Path(running.store.root, name)
    path.write_bytes(b"x" * size)
    os.utime(path, ns=(size, size))


async def test_a_replaced_file_gets_a_group_once_it_has_settled(running: Running) -> None:
    old = running.service.catalogue.paths["nbp"]
    await running.reloader.watch()
    replace(running, "nbp", b"new")
    await running.reloader.watch()
    assert running.service.catalogue.paths["nbp"] is old
    await running.reloader.watch()
    new = running.service.catalogue.paths["nbp"]
    assert (new.size, old.size) == (3, 1000)
    assert running.group_of("nbp") == "239.1.1.2:1799"
    assert len(running.performed) == 1
    await running.reloader.watch()
    assert len(running.performed) == 1


async def test_a_file_that_is_being_copied_is_not_taken_before_it_is_complete(running: Running) -> None:
    for size in range(1, 5):
        grow(running, "nbp", size)
        await running.reloader.watch()
    assert running.performed == []
    await running.reloader.watch()
    assert running.service.catalogue.paths["nbp"].size == 4


async def test_a_file_that_went_away_is_told_once(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    old = running.service.catalogue.paths["nbp"]
    os.unlink(os.path.join(running.store.root, "nbp"))
    for _ in range(5):
        await running.reloader.watch()
    assert caplog.text.count("the images that were open stay in force") == 1
    assert running.service.catalogue.paths["nbp"] is old
    replace(running, "nbp", b"back again")
    for _ in range(3):
        await running.reloader.watch()
    assert running.service.catalogue.paths["nbp"].size == 10


async def test_a_running_transfer_is_untouched_by_a_reload(running: Running) -> None:
    client, server = Endpoint("10.0.0.9", 2070), Endpoint("10.0.0.1", 69)
    effects = running.service.receive(Datagram(Service.TFTP, client, server, b"\0\1nbp\0octet\0"), 1.0)
    (first,) = [effect for effect in effects if isinstance(effect, SendRun)]
    running.write('[image]\nother = "other"\n')
    assert await running.reloader.reload()
    assert not [effect for effects in running.performed for effect in effects if isinstance(effect, SendRun)]
    effects = running.service.receive(Datagram(first.socket, client, server, b"\0\4\0\1"), 1.1)
    (second,) = [effect for effect in effects if isinstance(effect, SendRun)]
    assert second == first._replace(first_block=2)
    for text in ("", '[image]\nother = "other"\n', ""):
        running.write(text)
        assert await running.reloader.reload()
        await running.reloader.watch()
    content = bytearray(488)
    running.store.read(second.image, [memoryview(content)], 512)
    assert content == b"n" * 488
    assert running.service.receive(Datagram(first.socket, client, server, b"\0\4\0\2"), 1.2)
    await running.reloader.watch()
    assert len(running.store) == 0


async def test_nodes_are_swapped_as_a_whole_and_running_transfers_go_on(running: Running) -> None:
    node = HardwareAddress(1, bytes.fromhex("525400000001"))
    client, server = Endpoint("10.0.0.9", 2070), Endpoint("10.0.0.1", 69)
    effects = running.service.receive(Datagram(Service.TFTP, client, server, b"\0\1nbp\0octet\0"), 1.0)
    (first,) = [effect for effect in effects if isinstance(effect, SendRun)]
    section = "[[node]]\nhardware = '52:54:00:00:00:01'\nboot-file = 'other'\nwithout = ['retransmit']\n"
    running.write(section)
    assert await running.reloader.reload()
    assert running.service.settings.node(node).boot.default == "other"
    (second,) = [
        effect
        for effect in running.service.receive(Datagram(first.socket, client, server, b"\0\4\0\1"), 1.1)
        if isinstance(effect, SendRun)
    ]
    assert second == first._replace(first_block=2)
    before = running.service.settings
    running.write(section + section)
    assert not await running.reloader.reload()
    assert running.service.settings is before
    running.write("")
    assert await running.reloader.reload()
    assert running.service.settings.node(node).boot.default == ""


async def test_the_file_is_read_while_everything_else_goes_on(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that reads waits for this one: were it the same, neither would ever go on."""
    reached, go_on = trio.Event(), threading.Event()

    def load_when_told(sources: Sources) -> Config:
        trio.from_thread.run_sync(reached.set)
        assert go_on.wait(20)
        return load(sources)

    monkeypatch.setattr(reload, "load", load_when_told)
    running.write("ttl = 1\n[[node]]\nhardware = '52:54:00:00:00:01'\n")
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.reloader.reload)
            await reached.wait()
            assert not running.service.settings.inventory.entries
            go_on.set()
    assert len(running.service.settings.inventory.entries) == 1


async def test_a_running_pass_keeps_its_image_through_any_number_of_reloads(running: Running) -> None:
    listener, server = Endpoint("10.0.0.9", 1799), Endpoint("10.0.0.1", 1542)
    effects = running.service.receive(Datagram(Service.MTFTP, listener, server, b"\0\1nbp\0octet\0"), 1.0)
    (_, to_group) = [effect for effect in effects if isinstance(effect, SendRun)]
    for text in ('[image]\nother = "other"\n', "", '[image]\nother = "other"\n'):
        running.write(text)
        assert await running.reloader.reload()
    (second,) = running.service.receive(Datagram(Service.MTFTP, listener, server, b"\0\4\0\1"), 1.1)
    assert second == to_group._replace(first_block=2)
    running.store.read(to_group.image, [memoryview(bytearray(488))], 512)
    running.service.receive(Datagram(Service.MTFTP, listener, server, b"\0\4\0\2"), 1.2)
    running.service.tick(5.0)
    await running.reloader.watch()
    with pytest.raises(ImageChanged):
        running.store.read(to_group.image, [memoryview(bytearray(488))], 512)


async def test_images_are_hashed_while_everything_else_goes_on(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that hashes waits for this one: were it the same, neither would ever go on."""
    reached, go_on = trio.Event(), threading.Event()
    hash_file = Candidate.hash

    def hash_when_told(candidate: Candidate, progress: Progress) -> None:
        trio.from_thread.run_sync(reached.set)
        assert go_on.wait(20)
        hash_file(candidate, progress)

    monkeypatch.setattr(Candidate, "hash", hash_when_told)
    running.write('[image]\nother = "other"\n')
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.reloader.reload)
            await reached.wait()
            assert "other" not in running.service.catalogue.paths
            go_on.set()
    assert running.service.catalogue.paths["other"].size == 2000


async def test_a_reload_that_is_cancelled_stops_hashing(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    before = running.service.catalogue
    reached = trio.Event()

    def read_for_ever(_candidate: Candidate, offset: int) -> bytes:
        if not offset:
            trio.from_thread.run_sync(reached.set)
        return b"x"

    monkeypatch.setattr(Candidate, "_read", read_for_ever)
    running.write('[image]\nother = "other"\n')
    async with trio.open_nursery() as nursery:
        nursery.start_soon(running.reloader.reload)
        await reached.wait()
        nursery.cancel_scope.cancel()
    assert running.service.catalogue is before
    assert len(running.store) == 1


def link(*words: str) -> None:
    subprocess.run(("ip", "link", *words), check=True)


@pytest.mark.system
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
async def test_a_link_that_says_its_speed_later_has_a_limit_from_then_on(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "mtftpd")
    settings = with_fields(running.service.settings, link=with_fields(LINK, name="one"))
    running.reloader.assembly = with_fields(running.reloader.assembly, settings=settings)
    with private_network():
        await running.reloader.watch()
        assert running.service.settings.bandwidth.rate == 0, "nobody knows how fast it is"
        link("add", "one", "type", "veth", "peer", "name", "other")
        for name in ("one", "other"):
            link("set", name, "up")
        await running.reloader.watch()
        assert running.service.settings.bandwidth.rate == 8e9
        link("delete", "one")
        await running.reloader.watch()
        assert running.service.settings.bandwidth.rate == 8e9, "what it said last holds"
    (record,) = caplog.records
    assert (record.event, dict(record.pairs)["rate"]) == (  # type: ignore[attr-defined]
        "link-speed",
        "8000 Mbit/s, 80% of full-duplex 10000 Mbit/s",
    )
