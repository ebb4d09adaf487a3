"""``mtftpd conformance server`` as a process: its options, its exit status and the reports that it leaves."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli.server_process import environment, run, serving
from tests.patience import PATIENCE

SERVER = ("conformance", "server")


def test_the_list_has_every_case_with_its_requirements() -> None:
    result = run(*SERVER, "--list", "--suite", "tftp")
    assert result.returncode == 0
    assert all(line.startswith("tftp ") for line in result.stdout.splitlines())
    assert "an_rrq_is_answered_with_block_1" in result.stdout
    assert "TFTP-01" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "--target ADDRESS"),
        (("--target", "server"), 78, "not an IPv4 address"),
        (("--target", "127.0.0.1", "--select", "NO-99"), 78, "--select NO-99"),
        (("--target", "127.0.0.1", "--mtftp", "a=239.1.1.1"), 78, "NAME=GROUP:CPORT:SPORT"),
        (("--target", "127.0.0.1", "--mtftp", "a=10.1.1.1:1:2"), 78, "no multicast group"),
        (("--target", "127.0.0.1", "--html", "missing/page.html"), 69, "there is no folder missing"),
        (("--target", "198.51.100.7", "--interface", "nic-77"), 78, "no such interface"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str, ...], status: int, said: str) -> None:
    result = run(*SERVER, *arguments)
    assert result.returncode == status, result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_server_on_loopback(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        root = tmp_path / "root"
        (root / "nbp").write_bytes(bytes(3_000))
        server.reload()
        result = run(
            *SERVER, "--target", "127.0.0.1", "--suite", "tftp", "--image", "nbp", "--tftp-port", str(server.tftp),
            "--patience", "30", "--json", "--junit", str(tmp_path / "junit.xml"), "--pcap", str(tmp_path / "packets"),
        )  # fmt: skip
    report = json.loads(result.stdout)
    bad = [case for case in report["cases"] if case["verdict"] == "fail"]
    assert not bad
    assert result.returncode == 0
    assert report["counts"]["pass"]
    assert len(list((tmp_path / "packets").iterdir())) >= report["counts"]["pass"]
    assert ET.parse(tmp_path / "junit.xml").getroot().get("name", "").endswith("127.0.0.1")


def test_a_target_that_answers_nothing_is_not_available() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        result = run(
            *SERVER, "--target", "127.0.0.1", "--suite", "tftp", "--image", "x", "--patience", "0.1",
            "--tftp-port", str(silent.getsockname()[1]),
        )  # fmt: skip
    assert result.returncode == 69
    assert "answers nothing" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_valid_reports(tmp_path: Path, number: signal.Signals) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(PATIENCE)
        command = [
            sys.executable, "-m", "mtftpd", *SERVER, "--target", "127.0.0.1", "--suite", "tftp", "--image", "x",
            "--tftp-port", str(silent.getsockname()[1]), "--patience", "600",
            "--junit", str(tmp_path / "j.xml"), "--html", str(tmp_path / "h.html"),
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )
        silent.recv(2048)  # The first request: signals are taken from before it on.
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, stderr
    assert f"interrupted by {number.name}" in stdout
    (suite,) = ET.parse(tmp_path / "j.xml").getroot()
    assert suite.get("skipped") == suite.get("tests")
    assert f"interrupted: {number.name}" in (tmp_path / "h.html").read_text()
