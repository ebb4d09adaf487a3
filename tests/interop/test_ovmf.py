"""OVMF's own PXE client (EDK2), in dhcp mode and in proxy mode beside dnsmasq."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.patience import PATIENCE
from tools.lab import guests
from tools.lab.segment import Segment
from tools.lab.server import serving

EFI_FILE = Path("/usr/lib/ipxe/snponly.efi")
STARTED = rb"iPXE initialising"


def test_boots_in_dhcp_mode(root: Path, tmp_path: Path) -> None:
    shutil.copy(EFI_FILE, root / "boot.efi")
    with (
        Segment("ovd", taps=1) as segment,
        serving(segment, "--mode", "dhcp", "--range", "10.77.100.1-10.77.100.200", "--root", root,
                "--group", "239.1.1.1", "--image", "boot.efi=boot.efi") as server,
    ):  # fmt: skip
        guests.boot(segment, 1, tmp_path, firmware="uefi").wait_for(STARTED, PATIENCE)
        done = [event for event in server.events() if event.get("event") == "tftp-done"]
        assert any(event["size"] == EFI_FILE.stat().st_size for event in done)


def test_boots_in_proxy_mode_beside_dnsmasq(root: Path, tmp_path: Path) -> None:
    shutil.copy(EFI_FILE, root / "boot.efi")
    with Segment("ovp", taps=1, clients=1) as segment:
        segment.start(
            segment.client(1), "dnsmasq", "--no-daemon", "--port=0", "--bind-interfaces", "--interface=eth0",
            "--except-interface=lo", "--user=root", "--no-ping", "--dhcp-authoritative",
            "--dhcp-range=10.77.100.1,10.77.100.200,255.255.0.0,1h", f"--dhcp-leasefile={tmp_path / 'leases'}",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with serving(segment, "--mode", "proxy", "--root", root, "--image", "boot.efi=boot.efi") as server:
            guests.boot(segment, 1, tmp_path, firmware="uefi").wait_for(STARTED, PATIENCE)
            kinds = [event.get("event") for event in server.events()]
            assert "dhcp-offered" in kinds
            assert "dhcp-acked" not in kinds
            assert "tftp-done" in kinds
        assert "52:54:00:78:00:01" in (tmp_path / "leases").read_text()
