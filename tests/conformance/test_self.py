"""The suites for DHCP and PXE, and all others, over our own server: real processes, sockets and namespaces."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import write_image
from tools.lab.segment import SERVER_ADDRESS, Segment
from tools.lab.server import Server, serving

pytestmark = pytest.mark.system

PATIENCE = "30"
"""Seconds that a case waits for an answer: a loaded machine is not a broken server."""

DHCP = ("--mode", "dhcp", "--range", "10.77.100.1-10.77.100.60", "--boot-file", "node")
"""Far fewer addresses than a run has clients: each gives back what it gets."""
PROXY = ("--mode", "proxy", "--boot-file", "node")

MULTICAST_OPTION = {f"MUL-{number:02}" for number in (1, 2, 3, 4, 5, 6, 8, 9, 11)}

TWO_SESSIONS = {"RRQ-08", "GRP-01", "DAT-05"}
"""Need a second file that is multicast, of a multiple of 512 octets."""

SERVER_PORT = 1542

MENU = """
[menu]
prompt = "Choose"
timeout = 5
[[menu.item]]
type = 1
text = "Node"
boot-file = "node"
[[menu.item]]
type = 0
text = "Disk"
[[menu.item]]
type = 2
text = "Second"
boot-file = "second.img"
"""


def judge(folder: Path, options: Sequence[str | Path], *arguments: str) -> dict[str, Any]:
    """Run the suites against a server with ``options`` and return the report."""
    root = folder / "root"
    root.mkdir()
    write_image(root / "boot.img", 20_000)
    write_image(root / "second.img", 4 * 512)
    write_image(root / "plain.img", 2_049)  # Has no group, so option multicast is left out.
    images = ("--image", "node=boot.img", "--image", "even=second.img", "--group", "239.1.1.1")
    with (
        Segment("slf", clients=1) as segment,
        serving(segment, *options, "--root", root, *images) as server,
    ):
        done = subprocess.run(
            ["ip", "netns", "exec", segment.client(1), sys.executable, "-m", "mtftpd", "conformance", "server",
             "--target", SERVER_ADDRESS, "--json", "--patience", PATIENCE, "--html", folder / "page.html",
             *sessions(server), *arguments],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert not [event for event in server.events() if event.get("level") == "error"]
    assert done.returncode in (0, 1), done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    bad = [case for case in report["cases"] if case["verdict"] in ("fail", "inconclusive", "not-run")]
    assert not bad, "\n".join(f"{case['case']}: {case['verdict']}: {case['reason']}" for case in bad)
    assert (folder / "page.html").read_text().endswith("</html>")
    return report


def sessions(server: Server) -> list[str]:
    """Return the arguments that tell the suites of all groups of ``server``: DHCP tells a client of one."""
    groups = server.ask("status")["mtftp"]["groups"]
    return [word for each in groups for word in ("--mtftp", f"{each['image']}={each['group']}:{SERVER_PORT}")]


def test_a_server_that_gives_addresses(tmp_path: Path) -> None:
    report = judge(tmp_path, DHCP, "--image", "plain.img")
    assert {"leases", "pxe", "port-4011", "tftp", "mtftp", "two-hosts"} <= set(report["found"]["features"])
    assert report["counts"]["pass"] > report["counts"]["not-applicable"]
    of_rfc_2090 = [case for case in report["cases"] if set(case["requirements"]) & MULTICAST_OPTION]
    assert [case["verdict"] for case in of_rfc_2090] == ["pass"] * len(MULTICAST_OPTION)
    of_two_sessions = [case for case in report["cases"] if set(case["requirements"]) & TWO_SESSIONS]
    assert [case["verdict"] for case in of_two_sessions] == ["pass"] * 2


def test_a_proxy(tmp_path: Path) -> None:
    report = judge(tmp_path, PROXY, "--suite", "dhcp,pxe")
    assert {"proxy", "pxe", "port-4011"} <= set(report["found"]["features"])


def test_a_menu(tmp_path: Path) -> None:
    menu = tmp_path / "menu.toml"
    menu.write_text(MENU)
    report = judge(tmp_path, (*DHCP, "--config", menu), "--suite", "pxe")
    assert "menu" in report["found"]["features"]
