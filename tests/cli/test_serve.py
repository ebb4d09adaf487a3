"""The server as a process: what operators do to it, and the exit status that they see."""

from __future__ import annotations

import os
import signal
import socket
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mtftpd import __version__
from mtftpd.daemon.store.sqlite import remembered_groups
from tests.cli.server_process import run, serving, write_config
from tests.patience import PATIENCE


def test_serves_reloads_tells_and_stops(tmp_path: Path) -> None:
    with serving(tmp_path, "--state", str(tmp_path / "state"), "--capture", str(tmp_path / "c.pcapng")) as server:
        assert server.fetch("nbp") == b"network boot program"
        assert server.ask(command="version") == {"ok": True, "version": __version__}
        assert server.ask(command="status")["tftp"]["requests"] == 1
        (tmp_path / "root" / "late").write_bytes(b"late")
        config = tmp_path / "m.toml"
        config.write_text(config.read_text().replace('nbp = "nbp"', 'nbp = "nbp"\nsecond = "late"'))
        server.reload()
        assert server.fetch("second") == b"late"
        server.process.send_signal(signal.SIGUSR1)
        assert server.stop() == 0
        server.wait_for("STOPPING=1")
    kinds = [event["event"] for event in server.events()]
    assert kinds[0] == "starting"
    assert [kind for kind in kinds if kind in ("ready", "reloaded", "stopping", "stopped")] == [
        "ready", "reloaded", "stopping", "stopped",
    ]  # fmt: skip
    assert {event["part"] for event in server.events() if event["event"] == "state"} >= {"dhcp", "mtftp", "tftp"}
    assert not (tmp_path / "s").exists()
    assert IPv4Address("239.1.1.2") in remembered_groups(tmp_path / "state").values()
    assert (tmp_path / "c.pcapng").read_bytes().startswith(b"\x0a\x0d\x0d\x0a")


def test_a_reload_with_an_error_keeps_the_old_configuration(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        with (tmp_path / "m.toml").open("a") as config:
            config.write("foo = 1\n")
        server.reload()
        assert server.fetch("nbp") == b"network boot program"
        (failure,) = [event for event in server.events() if event["event"] == "reload-failed"]
        assert "unknown field `foo`" in failure["text"]
        assert "the old configuration stays in force" in failure["text"]
        assert server.stop() == 0


def test_a_stop_lets_running_transfers_finish_and_begins_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        (tmp_path / "root" / "two").write_bytes(bytes(513))
        client.settimeout(PATIENCE)
        client.sendto(b"\0\1two\0octet\0", ("127.0.0.1", server.tftp))
        _, transfer = client.recvfrom(2048)
        client.sendto(b"\0\4\0\1", transfer)
        assert client.recvfrom(2048)[0][:4] == b"\0\3\0\2"
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("STOPPING=1")
        assert server.fetch("nbp", patience=1.0) is None
        assert server.process.poll() is None
        client.sendto(b"\0\4\0\2", transfer)
        assert server.process.wait(PATIENCE) == 0
    kinds = [event["event"] for event in server.events()]
    assert "tftp-done" in kinds
    assert "server-is-stopping" in kinds
    assert "transfers-cut" not in kinds


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_at_once(tmp_path: Path, second: signal.Signals) -> None:
    with serving(tmp_path) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        (tmp_path / "root" / "two").write_bytes(bytes(5130))
        client.settimeout(PATIENCE)
        client.sendto(b"\0\1two\0octet\0", ("127.0.0.1", server.tftp))
        _, transfer = client.recvfrom(2048)
        client.sendto(b"\0\4\0\1", transfer)
        client.recvfrom(2048)
        server.process.send_signal(signal.SIGINT)
        server.wait_for("STOPPING=1")
        server.process.send_signal(second)
        assert server.process.wait(PATIENCE) == 0
    assert "transfers-cut" in [event["event"] for event in server.events()]


def test_a_new_file_under_an_old_name_gets_a_new_group(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        (group,) = {entry["group"] for entry in server.ask(command="status")["mtftp"]["groups"]} - {"239.255.1.1:3001"}
        fresh = tmp_path / "root" / "fresh"
        fresh.write_bytes(b"another network boot program")
        fresh.replace(tmp_path / "root" / "nbp")
        while server.fetch("nbp") != b"another network boot program":
            pass
        groups = {entry["group"] for entry in server.ask(command="status")["mtftp"]["groups"]}
        assert groups - {"239.255.1.1:3001", group}
        assert server.stop() == 0


def test_a_killed_server_leaves_nothing_that_its_successor_trips_over(tmp_path: Path) -> None:
    with serving(tmp_path, "--state", str(tmp_path / "state")) as server:
        groups = server.ask(command="status")["mtftp"]["groups"]
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(PATIENCE)
    assert (tmp_path / "s").exists()
    (tmp_path / "notify").unlink()
    with serving(tmp_path, "--state", str(tmp_path / "state")) as server:
        assert [entry["group"] for entry in server.ask(command="status")["mtftp"]["groups"]] == [
            entry["group"] for entry in groups
        ]
        assert server.stop() == 0


def test_a_full_disk_ends_the_capture_and_nothing_else(tmp_path: Path) -> None:
    with serving(tmp_path, "--capture", "/dev/full") as server:
        while "capture-ended" not in [event["event"] for event in server.events()]:
            assert server.fetch("nbp") == b"network boot program"
        assert server.stop() == 0


def test_exits_69_when_a_port_is_taken(tmp_path: Path) -> None:
    tftp = write_config(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", tftp))
        result = run("serve", "--config", str(tmp_path / "m.toml"))
    assert result.returncode == 69
    assert f"UDP port {tftp} (TFTP)" in result.stderr
    assert "already in use" in result.stderr
    assert result.stdout == ""


def test_exits_69_when_the_control_socket_is_taken(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        result = run("serve", "--config", str(tmp_path / "m.toml"), "--control", str(tmp_path / "s"))
        assert result.returncode == 69
        assert server.stop() == 0


def test_exits_78_when_the_configuration_is_wrong(tmp_path: Path) -> None:
    write_config(tmp_path, more="gruop = 1\nttl = 0")
    result = run("serve", "--config", str(tmp_path / "m.toml"), "--client-port", "x")
    assert result.returncode == 78
    assert result.stderr.splitlines() == [
        f"mtftpd: {tmp_path}/m.toml:7: unknown key gruop; did you mean group?",
        "mtftpd: --client-port x: is not a UDP port; give a number from 1 to 65535",
        f"mtftpd: --ttl 0 (from {tmp_path}/m.toml:8): is not a time to live; give a number from 1 to 255",
    ]
