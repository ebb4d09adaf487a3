"""A stock iPXE ROM under SeaBIOS: its boot file sums itself, which shows what was executed and not only sent."""

from __future__ import annotations

import time
from pathlib import Path

from tests.patience import PATIENCE
from tools.lab import boot_file, guests
from tools.lab.segment import SERVER_ADDRESS, Segment
from tools.lab.server import Server, serving

IPXE_GROUP = "239.255.1.1"
SIZE = 30_000
GUESTS = 8


def options(root: Path) -> list[str | Path]:
    return [
        "--mode", "dhcp", "--range", "10.77.100.1-10.77.100.200", "--root", root, "--image", "nbp.bin=nbp.bin",
        "--boot-file", f"mtftp://{SERVER_ADDRESS}:1759/nbp.bin",
    ]  # fmt: skip


def kinds(server: Server) -> list[str]:
    """Return the kinds of all events so far."""
    return [str(event.get("event")) for event in server.events()]


def test_boots_by_multicast(root: Path, tmp_path: Path) -> None:
    expected = boot_file.make(root / "nbp.bin", SIZE)
    with Segment("ipx", taps=1) as segment, serving(segment, *options(root)) as server:
        guests.boot(segment, 1, tmp_path, firmware="bios").wait_for(expected, PATIENCE)
        assert {"pass-started", "listener-done"} <= set(kinds(server))
        assert "tftp-started" not in kinds(server)
        (group,) = server.ask("status")["mtftp"]["groups"]
        assert group["sent"] >= SIZE // 512, "all but the last block, which it gets alone"


def test_eight_that_start_within_seconds_of_each_other_all_get_the_right_image(root: Path, tmp_path: Path) -> None:
    """Nothing is configured but the image; one packet of a hundred is lost on each link (atftpd: 1 to 3 of 8)."""
    expected = boot_file.make(root / "nbp.bin", 100_000)
    with (
        Segment("ip8", taps=GUESTS) as segment,
        serving(segment, "--mode", "dhcp", "--range", "10.77.100.1-10.77.100.200", "--root", root,
                "--image", "nbp.bin=nbp.bin") as server,
    ):  # fmt: skip
        segment.lose(10)
        booting = []
        for number in range(1, GUESTS + 1):
            booting.append(guests.boot(segment, number, tmp_path, firmware="bios"))
            time.sleep(3 / GUESTS)  # the pattern of power-on, nothing is waited for
        for guest in booting:
            guest.wait_for(expected, PATIENCE)
        assert "listener-done" in kinds(server)


def test_falls_back_to_port_69_when_the_group_is_blocked(root: Path, tmp_path: Path) -> None:
    expected = boot_file.make(root / "nbp.bin", SIZE)
    with Segment("ipb", taps=1) as segment, serving(segment, *options(root)) as server:
        segment.block("tap1", IPXE_GROUP)
        guests.boot(segment, 1, tmp_path, firmware="bios").wait_for(expected, PATIENCE)
        assert "pass-started" in kinds(server)
        assert "tftp-done" in kinds(server)


def test_boots_by_tftp_without_a_uri(root: Path, tmp_path: Path) -> None:
    expected = boot_file.make(root / "nbp.bin", SIZE)
    with (
        Segment("ipt", taps=1) as segment,
        serving(segment, "--mode", "dhcp", "--range", "10.77.100.1-10.77.100.200", "--root", root,
                "--group", "239.1.1.1", "--image", "nbp.bin=nbp.bin", "--faithful") as server,
    ):  # fmt: skip
        guests.boot(segment, 1, tmp_path, firmware="bios").wait_for(expected, PATIENCE)
        assert "tftp-done" in kinds(server)
