"""A stock iPXE ROM under SeaBIOS: its boot file sums itself, which shows what was executed and not only sent."""

from __future__ import annotations

from pathlib import Path

from tools.lab import boot_file, guests
from tools.lab.segment import SERVER_ADDRESS, Segment
from tools.lab.server import Server, serving

IPXE_GROUP = "239.255.1.1"
SIZE = 30_000
SECONDS = 90


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
        guests.boot(segment, 1, tmp_path, firmware="bios").wait_for(expected, SECONDS)
        assert "pass-started" in kinds(server)
        assert "tftp-started" not in kinds(server)
        (group,) = server.ask("status")["mtftp"]["groups"]
        assert group["sent"] >= SIZE // 512 + 1
        assert group["masters_lost"] == 0


def test_falls_back_to_port_69_when_the_group_is_blocked(root: Path, tmp_path: Path) -> None:
    expected = boot_file.make(root / "nbp.bin", SIZE)
    with Segment("ipb", taps=1) as segment, serving(segment, *options(root)) as server:
        segment.block("tap1", IPXE_GROUP)
        guests.boot(segment, 1, tmp_path, firmware="bios").wait_for(expected, SECONDS)
        assert "pass-started" in kinds(server)
        assert "tftp-done" in kinds(server)


def test_boots_by_tftp_without_a_uri(root: Path, tmp_path: Path) -> None:
    expected = boot_file.make(root / "nbp.bin", SIZE)
    with (
        Segment("ipt", taps=1) as segment,
        serving(segment, "--mode", "dhcp", "--range", "10.77.100.1-10.77.100.200", "--root", root,
                "--group", "239.1.1.1", "--image", "nbp.bin=nbp.bin") as server,
    ):  # fmt: skip
        guests.boot(segment, 1, tmp_path, firmware="bios").wait_for(expected, SECONDS)
        assert "tftp-done" in kinds(server)
