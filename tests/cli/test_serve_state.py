"""``serve --state`` as a process: leases outlive it, ACKs wait for the disk and nothing else does."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import select
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mtftpd.wire import bootp, tftp
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.options import Options
from tests.cli.server_process import ServerProcess, run, serving
from tests.patience import PATIENCE

SERVER = IPv4Address("127.0.0.1")


@dataclass
class Client:
    """A PXE ROM on loopback: asks for broadcasts, because it has no address that could be answered."""

    socket: socket.socket
    port: int

    def ask(self, number: int, kind: int, options: dict[int, bytes] | None = None) -> None:
        identity = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 94: b"\1\2\1"}
        request = DhcpMessage(
            op=bootp.BOOTREQUEST,
            xid=number,
            flags=bootp.BROADCAST_FLAG,
            chaddr=b"\2\0" + number.to_bytes(4, "big") + bytes(10),
            options=Options({53: bytes((kind,)), **(options or {}), **identity}),
        )
        self.socket.sendto(bootp.build(request), (str(SERVER), self.port))

    def hear(self) -> tuple[int, int | None, IPv4Address]:
        """Return client, type and address of the next answer."""
        answer = bootp.parse_untrusted(self.socket.recv(2048))
        return answer.xid, answer.message_type, answer.yiaddr

    def discover(self, number: int) -> IPv4Address:
        self.ask(number, MessageType.DISCOVER)
        *heard, address = self.hear()
        assert heard == [number, MessageType.OFFER]
        return address

    def request(self, number: int, address: IPv4Address) -> None:
        self.ask(number, MessageType.REQUEST, {50: address.packed, 54: SERVER.packed})

    def boot(self, number: int) -> IPv4Address:
        address = self.discover(number)
        self.request(number, address)
        assert self.hear() == (number, MessageType.ACK, address)
        return address


@contextmanager
def client_of(server: ServerProcess) -> Iterator[Client]:
    text = (server.folder / "m.toml").read_text()
    ports = dict(re.findall(r"^(dhcp-server|dhcp-client) = (\d+)$", text, re.MULTILINE))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("", int(ports["dhcp-client"])))
        opened.settimeout(PATIENCE)
        yield Client(opened, int(ports["dhcp-server"]))


def dhcp(folder: Path) -> tuple[str, ...]:
    return ("--mode", "dhcp", "--range", "127.1.0.1-127.1.0.9", "--state", str(folder / "state"))


def test_leases_outlive_the_server(tmp_path: Path) -> None:
    with serving(tmp_path, *dhcp(tmp_path)) as server, client_of(server) as client:
        addresses = [client.boot(number) for number in (1, 2, 3)]
        client.ask(3, MessageType.DECLINE, {50: addresses[2].packed, 54: SERVER.packed})
        client.boot(4)  # Nobody waits for what is declined, but what comes later is not written earlier.
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(PATIENCE)
    (tmp_path / "notify").unlink()
    with serving(tmp_path, *dhcp(tmp_path)) as server, client_of(server) as client:
        client.ask(2, MessageType.REQUEST, {50: addresses[1].packed})  # INIT-REBOOT: answered by who knows it only.
        assert client.hear() == (2, MessageType.ACK, addresses[1])
        given = [client.boot(number) for number in (5, 6, 1)]
        assert given[2] == addresses[0]
        assert not {*given[:2]} & {*addresses}
        status = server.ask(command="status")
        assert status["dhcp"]["leases"]["bound"] == 5
        assert (status["state"]["degraded"], status["state"]["waiting"]) == ("", 0)
        assert server.stop() == 0
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["mtftpd.db", "mtftpd.lock"]


def rom_at(address: IPv4Address) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((str(address), 0))
    opened.settimeout(PATIENCE)
    return opened


def test_what_is_known_of_nodes_outlives_a_kill(tmp_path: Path) -> None:
    """One has got its file, from port 69 although it was told of a group; another one is master of a pass."""
    options = (*dhcp(tmp_path), "--timeout-seconds", "60")
    with serving(tmp_path, *options) as server, client_of(server) as client:
        done, master = client.boot(1), client.boot(2)
        with rom_at(done) as rom:
            rom.sendto(tftp.build(tftp.Request(1, b"nbp")), (str(SERVER), server.tftp))
            rom.sendto(tftp.build(tftp.Ack(1)), rom.recvfrom(2048)[1])
        with rom_at(master) as rom:
            rom.sendto(tftp.build(tftp.Request(1, b"nbp")), (str(SERVER), server.mtftp))
            assert rom.recv(2048)[:4] == b"\0\3\0\1"
        client.boot(3)  # What came before is on the disk before the ACK leaves.
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(PATIENCE)
    (tmp_path / "notify").unlink()
    with serving(tmp_path, *options) as server, client_of(server) as client:
        listed = json.loads(run("host", "list", "--json", "--control", str(tmp_path / "s")).stdout)
        states = {each["address"]: (each["state"], each["reason"]) for each in listed}
        assert states[str(done)] == ("done", "acknowledged all 1 blocks of nbp")
        assert states[str(master)] == ("mcast-master", "DATA 1 of 1 sent to it, master of 239.1.1.1:1799")
        assert [each["state"] for each in server.ask(command="sessions")["sessions"]][:1] == ["quiet"]
        assert client.boot(1) == done
        assert client.boot(2) == master
        once, again = (server.ask(command="node", node=f"02000000000{number}") for number in (1, 2))
        assert (once["node"]["attempt"], once["node"]["group"]) == (2, ""), "it would not use the group"
        assert (again["node"]["attempt"], again["node"]["group"]) == (2, "239.1.1.1:1799")
        assert [(each["attempt"], each["state"]) for each in once["past"]] == [(1, "done")]
        shown = run("host", "show", "02:00:00:00:00:01", "--control", str(tmp_path / "s")).stdout
        assert "acknowledged all 1 blocks of nbp" in shown.partition("ATTEMPT")[2]
        assert server.stop() == 0


def test_while_the_disk_is_slow_only_acks_wait(tmp_path: Path) -> None:
    """Another program holds the file locked, which is what a slow disk looks like from here."""
    with serving(tmp_path, *dhcp(tmp_path)) as server, client_of(server) as client:
        first, second = client.discover(1), client.discover(2)
        with closing(sqlite3.connect(tmp_path / "state" / "mtftpd.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            client.request(1, first)
            # Then the REQUEST has left the queue, where a newer message of its node would take its place.
            assert client.discover(3) != first
            client.ask(1, MessageType.DISCOVER)
            assert server.fetch("nbp") == b"network boot program"
            assert server.ask(command="status")["state"]["waiting"] == 2
            assert not select.select([client.socket], [], [], 0)[0]
            other.execute("ROLLBACK")
            assert client.hear() == (1, MessageType.ACK, first)
            assert client.hear() == (1, MessageType.OFFER, first), "in the order in which they were asked for"
            # Now it stays locked, and a node has to boot.
            other.execute("BEGIN IMMEDIATE")
            client.request(2, second)
            assert client.hear() == (2, MessageType.ACK, second)
            assert "state-slow" in [event["event"] for event in server.events()]
            assert server.ask(command="status")["state"]["degraded"]
        assert server.stop() == 0
    with closing(sqlite3.connect(tmp_path / "state" / "mtftpd.db")) as found:
        assert found.execute("SELECT count(*) FROM leases WHERE state = 'bound'").fetchone() == (2,)


def test_on_a_full_disk_nodes_boot_and_the_status_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, *dhcp(tmp_path)) as server, client_of(server) as client:
        client.boot(1)
        log = tmp_path / "state" / "mtftpd.db-wal"
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (log.stat().st_size, limits[1]))
        client.boot(2)
        state = server.ask(command="status")["state"]
        assert state["degraded"]
        assert state["unwritten"] >= 1
        client.boot(3)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)
        assert server.stop() == 0
    (degraded,) = [event for event in server.events() if event["event"] == "state-degraded"]
    assert degraded["level"] == "error"
    with closing(sqlite3.connect(tmp_path / "state" / "mtftpd.db")) as found:
        assert found.execute("SELECT count(*) FROM leases").fetchone() == (3,), "written when the disk had space again"


def test_a_reload_remembers_new_groups(tmp_path: Path) -> None:
    with serving(tmp_path, *dhcp(tmp_path)) as server:
        (tmp_path / "root" / "late").write_bytes(b"late")
        config = tmp_path / "m.toml"
        config.write_text(config.read_text().replace('nbp = "nbp"', 'nbp = "nbp"\nsecond = "late"'))
        server.reload()
        assert server.stop() == 0
    with closing(sqlite3.connect(tmp_path / "state" / "mtftpd.db")) as found:
        groups = found.execute("SELECT address FROM image_groups ORDER BY address").fetchall()
    assert groups == [("239.1.1.1",), ("239.1.1.2",)]


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    """The second start believes the digest that it finds, whatever it is."""
    root = Path(os.__file__).parent
    options = (*dhcp(tmp_path), "--root", str(root), "--image", "nbp=os.py")
    database = tmp_path / "state" / "mtftpd.db"
    with serving(tmp_path, *options) as server:
        assert server.stop() == 0
    with closing(sqlite3.connect(database)) as found, found:
        digest = hashlib.sha256((root / "os.py").read_bytes()).hexdigest()
        assert found.execute("SELECT digest FROM digests").fetchall() == [(digest,)]
        found.execute("UPDATE digests SET digest = ?", ("ab" * 32,))
    (tmp_path / "notify").unlink()
    with serving(tmp_path, *options) as server:
        assert server.stop() == 0
    with closing(sqlite3.connect(database)) as found:
        assert ("ab" * 32,) in found.execute("SELECT digest FROM image_groups").fetchall()


def test_two_servers_do_not_share_a_folder(tmp_path: Path) -> None:
    with serving(tmp_path, *dhcp(tmp_path)):
        second = run("serve", "--config", str(tmp_path / "m.toml"), *dhcp(tmp_path))
    assert second.returncode == 69
    assert "another server uses this folder" in second.stderr


@pytest.mark.parametrize("content", [b"", bytes(4096), b"garbage" * 1000])
def test_a_corrupt_file_is_told_and_no_obstacle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "mtftpd.db").write_bytes(content)
    with serving(tmp_path, *dhcp(tmp_path)) as server, client_of(server) as client:
        client.boot(1)
        assert server.stop() == 0
    (told,) = [event for event in server.events() if event["event"] == "state-set-aside"]
    assert told["level"] == "error"
    assert Path(told["kept_as"]).read_bytes() == content
