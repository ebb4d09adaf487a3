"""The commands that ask a running server, against a running server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from mtftpd.wire import tftp
from tests.cli.server_process import ServerProcess, environment, free_ports, run, serving
from tests.patience import PATIENCE


def ask(folder: Path, *arguments: str) -> str:
    done = run(*arguments, "--control", str(folder / "s"))
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(folder: Path, *arguments: str) -> str:
    done = run(*arguments, "--control", str(folder / "s"))
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def test_nodes_and_sessions_of_a_running_server(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert server.fetch("nbp") == b"network boot program"
        page = ask(tmp_path, "status")
        assert "1 nodes: 1 done" in page
        assert "239.1.1.1:1799" in page
        picture = json.loads(ask(tmp_path, "status", "--json"))
        assert [(host["address"], host["state"], host["inferred"]) for host in picture["hosts"]] == [
            ("127.0.0.1", "done", False)
        ]
        assert "acknowledged all 1 blocks of nbp" in ask(tmp_path, "host", "list")
        assert json.loads(ask(tmp_path, "host", "list", "--state", "stalled", "--json")) == []
        shown = json.loads(ask(tmp_path, "host", "show", "127.0.0.1", "--json"))
        assert [step["state"] for step in shown["history"]] == ["unicast", "done"]
        assert all(step["packet"] and step["reason"] for step in shown["history"])
        assert "RRQ from 127.0.0.1" in ask(tmp_path, "host", "show", "127.0.0.1")
        assert "no node 52:54:00:00:00:01" in refused(tmp_path, "host", "show", "52-54-00-00-00-01")
        assert "neither a hardware address" in refused(tmp_path, "host", "forget", "node17")
        ask(tmp_path, "host", "forget", "127.0.0.1")
        assert "no node 127.0.0.1" in refused(tmp_path, "host", "forget", "127.0.0.1")
        assert "nobody has a lease of 10.9.8.7" in refused(tmp_path, "lease", "release", "10.9.8.7")
        assert "give an IPv4 address" in refused(tmp_path, "lease", "release", "x")
        assert ask(tmp_path, "lease", "list").split() == ["ADDRESS", "CLIENT", "STATE", "LEFT"]
        assert json.loads(ask(tmp_path, "lease", "list", "--json")) == []
        assert server.stop() == 0
    done = run("status", "--control", str(tmp_path / "s"))
    assert done.returncode == 69
    assert "is a server running" in done.stderr


def test_a_trace_shows_what_came_before_and_every_packet_after(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert "is not traced" in refused(tmp_path, "trace", "127.0.0.1", "--stop")
        assert server.fetch("nbp") is not None
        before = json.loads(ask(tmp_path, "trace", "127.0.0.1", "--json"))
        assert [(entry["kind"], entry["text"].split(":")[0]) for entry in before] == [
            ("before", "unicast"), ("before", "done"),
        ]  # fmt: skip
        server.fetch("missing")
        text = ask(tmp_path, "trace", "127.0.0.1")
        assert "RRQ" in text
        assert "tftp-refused file=missing code=1 end=file not found" in text
        follower = subprocess.Popen(
            [sys.executable, "-m", "mtftpd", "trace", "127.0.0.1", "--follow", "--json", "--control", f"{tmp_path}/s"],
            stdout=subprocess.PIPE, text=True, env=environment(PYTHONUNBUFFERED="1"),
        )  # fmt: skip
        assert follower.stdout is not None
        server.fetch("nbp")
        assert any("done: acknowledged" in line and '"decision"' in line for line in follower.stdout)
        follower.send_signal(signal.SIGINT)
        assert follower.wait(PATIENCE) == 0
        follower.stdout.close()
        ask(tmp_path, "trace", "127.0.0.1", "--stop")
        assert server.stop() == 0


def open_session(server: ServerProcess, client: socket.socket) -> None:
    client.bind(("127.0.0.1", 0))
    client.settimeout(PATIENCE)
    client.sendto(tftp.build(tftp.Request(1, b"nbp")), ("127.0.0.1", server.mtftp))
    assert client.recv(2048)[:4] == b"\0\3\0\1"


def test_a_pass_is_shown_while_it_runs_and_can_be_stopped(tmp_path: Path) -> None:
    # a master that never answers is waited for as long as this, and a dozen commands must start meanwhile
    patience = ("--timeout-seconds", "60")
    with serving(tmp_path, *patience) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        assert "no pass is running" in refused(tmp_path, "session", "stop", "239.1.1.1:1799")
        open_session(server, client)
        me = f"127.0.0.1:{client.getsockname()[1]}"
        (session, _) = json.loads(ask(tmp_path, "session", "list", "--json"))
        assert (session["state"], session["master"], session["block"]) == ("first", me, 1)
        assert me in ask(tmp_path, "session", "list")
        shown = json.loads(ask(tmp_path, "session", "show", "239.1.1.1:1799", "--json"))
        (node,) = shown["nodes"]
        assert (node["state"], node["block"], node["blocks"], node["kind"]) == ("mcast-master", 1, 1, "sent")
        assert "mcast-master" in ask(tmp_path, "session", "show", "239.1.1.1:1799")
        assert "no session x; there are: 239.1.1.1:1799" in refused(tmp_path, "session", "show", "x")
        assert json.loads(ask(tmp_path, "session", "stop", "239.1.1.1:1799", "--json")) == {"stopped": "239.1.1.1:1799"}
        (session, _) = json.loads(ask(tmp_path, "session", "list", "--json"))
        assert session["state"] == "quiet"
        ask(tmp_path, "session", "pause", "239.1.1.1:1799")
        assert "is paused already" in refused(tmp_path, "session", "pause", "239.1.1.1:1799")
        assert "paused" in ask(tmp_path, "session", "list")
        assert json.loads(ask(tmp_path, "session", "start", "239.1.1.1:1799", "--json")) == {
            "started": "239.1.1.1:1799"
        }
        assert "neither paused nor resting" in refused(tmp_path, "session", "start", "239.1.1.1:1799")
        assert "stopped by the operator" in ask(tmp_path, "host", "list")
        assert server.stop() == 0


def test_events_hooks_and_metrics_of_a_running_server(tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f'#!/bin/sh\necho "$1 $3 $MTFTPD_REASON" >> {tmp_path}/told\n')
    hook.chmod(0o755)
    (port,) = free_ports(1)
    arguments = ("--events", f"{tmp_path}/events", "--hook", str(hook), "--metrics", f"127.0.0.1:{port}")
    with serving(tmp_path, *arguments) as server:
        server.wait_for("WATCHDOG=1")
        assert server.fetch("nbp") is not None
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists(tmp_path / "told") or "done" not in (tmp_path / "told").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
            assert 'mtftpd_nodes{state="done"} 1' in answer.read().decode()
        assert server.stop() == 0
    assert (tmp_path / "told").read_text().splitlines() == [
        "unicast 127.0.0.1 asks port 69 for nbp", "done 127.0.0.1 acknowledged all 1 blocks of nbp",
    ]  # fmt: skip
    told = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [(each["event"], each.get("state")) for each in told] == [
        ("tftp-started", None), ("node-state", "unicast"), ("tftp-done", None), ("node-state", "done"),
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", [("status", "--watch", "--json"), ("session", "nothing"), ("host", "show")])
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).returncode == 2


@pytest.mark.parametrize("words", [
    ("session", "list"), ("session", "show"), ("session", "stop"), ("session", "pause"),
    ("session", "start"), ("lease", "list"), ("lease", "release"),
    ("host", "list"), ("host", "show"), ("host", "forget"), ("trace",),
])  # fmt: skip
def test_the_help_of_every_subcommand_has_two_examples(words: tuple[str, ...]) -> None:
    text = run(*words, "--help").stdout
    assert text.count(f"  mtftpd {' '.join(words)}") >= 2
    assert "--control" in text
    assert "--json" in text


def test_a_client_that_finds_the_link_full_waits_and_is_served_and_both_are_told(tmp_path: Path) -> None:
    greedy = tftp.build(tftp.Request(1, b"nbp", options=(("windowsize", "64"),)))
    with (
        serving(tmp_path, "--rate", "1M") as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
    ):
        second.bind(("127.0.0.2", 0))
        for client, request in ((first, greedy), (second, tftp.build(tftp.Request(1, b"nbp")))):
            client.settimeout(PATIENCE)
            client.sendto(request, ("127.0.0.1", server.tftp))
            client.recv(2048)
        (queued,) = (event for event in server.events() if event["event"] == "tftp-queued")
        assert (queued["address"], queued["file"], queued["position"]) == ("127.0.0.2", "nbp", 1)
        budget = json.loads(ask(tmp_path, "status", "--json"))["budget"]
        assert (budget["rate"], budget["held"], budget["overdue"], budget["queue"]) == (1e6, 1, 1, [])
        assert "of 1 Mbit/s" in ask(tmp_path, "status")
        history = json.loads(ask(tmp_path, "host", "show", "127.0.0.2", "--json"))["history"]
        assert [step["state"] for step in history] == ["queued", "unicast"]
        assert any(event["event"] == "ready" and event["rate"] == "1 Mbit/s" for event in server.events())
