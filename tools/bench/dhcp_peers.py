"""The DHCP servers that are compared, each with one range, its own way to keep leases, and no ping before an offer.

Every server answers everybody, knows 10.77.0.0/16 as its own network, and writes its leases below one folder: ours in
SQLite, which is synced before an ACK leaves, ISC dhcpd in a file that is synced too, Kea and dnsmasq in files that are
not.  Kea and dhcpd run as Debian builds them, with one thread.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from tools.lab.segment import PREFIX_LENGTH, SERVER_ADDRESS

FIRST, LAST = "10.77.64.1", "10.77.127.254"
NETWORK, NETMASK = "10.77.0.0", "255.255.0.0"
LEASE_SECONDS = 43_200
PACKAGES = {
    "perfdhcp": "kea-admin", "kea-dhcp4": "kea-dhcp4-server", "dhcpd": "isc-dhcp-server", "dnsmasq": "dnsmasq-base",
}  # fmt: skip
PEERS = ("mtftpd", "kea", "isc-dhcpd", "dnsmasq")


def missing() -> list[str]:
    """Return the Debian packages that are not installed."""
    return [package for program, package in PACKAGES.items() if shutil.which(program) is None]


def prepared(peer: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Write what ``peer`` reads into the empty ``folder``; return its command line and its environment."""
    environment = {**os.environ, "KEA_PIDFILE_DIR": str(folder), "KEA_LOCKFILE_DIR": str(folder)}
    return {"mtftpd": _mtftpd, "kea": _kea, "isc-dhcpd": _isc, "dnsmasq": _dnsmasq}[peer](folder), environment


def _mtftpd(folder: Path) -> list[str]:
    (folder / "nbp").write_bytes(bytes(30_000))
    return [sys.executable, "-m", "mtftpd", "serve", "--interface", "eth0", "--mode", "dhcp", "--serve-all",
            "--range", f"{FIRST}-{LAST}", "--root", str(folder), "--image", "nbp=nbp", "--group", "239.1.1.1",
            "--state", str(folder / "state")]  # fmt: skip


def _kea(folder: Path) -> list[str]:
    subnet = {"subnet": f"{NETWORK}/{PREFIX_LENGTH}", "pools": [{"pool": f"{FIRST} - {LAST}"}], "id": 1}
    config = {
        "interfaces-config": {"interfaces": ["eth0"], "dhcp-socket-type": "udp"},
        "lease-database": {"type": "memfile", "persist": True, "name": str(folder / "leases"), "lfc-interval": 0},
        "valid-lifetime": LEASE_SECONDS,
        "subnet4": [subnet],
        "loggers": [{"name": "kea-dhcp4", "severity": "ERROR", "output_options": [{"output": "stderr"}]}],
    }
    (folder / "kea.json").write_text(json.dumps({"Dhcp4": config}))
    return ["kea-dhcp4", "-c", str(folder / "kea.json")]


def _isc(folder: Path) -> list[str]:
    (folder / "leases").touch()
    (folder / "dhcpd.conf").write_text(
        f"authoritative; ping-check false; default-lease-time {LEASE_SECONDS}; max-lease-time {LEASE_SECONDS};\n"
        f"subnet {NETWORK} netmask {NETMASK} {{ range {FIRST} {LAST}; }}\n"
    )
    return ["dhcpd", "-4", "-f", "-q", "-cf", str(folder / "dhcpd.conf"), "-lf", str(folder / "leases"),
            "-pf", str(folder / "pid"), "eth0"]  # fmt: skip


def _dnsmasq(folder: Path) -> list[str]:
    return ["dnsmasq", "--no-daemon", "--port=0", "--interface=eth0", "--user=root", "--conf-file=/dev/null",
            f"--dhcp-range={FIRST},{LAST},{LEASE_SECONDS}", "--dhcp-lease-max=70000", "--no-ping", "--quiet-dhcp",
            "--dhcp-authoritative", f"--dhcp-leasefile={folder / 'leases'}", "--log-facility=/dev/null",
            f"--listen-address={SERVER_ADDRESS}"]  # fmt: skip
