"""Telling systemd how the server is doing (sd_notify(3)): one datagram to the socket that ``NOTIFY_SOCKET`` names."""

from __future__ import annotations

import math
import os
import socket

from mtftpd.daemon.journal import LOGGER


def notify(*assignments: str) -> None:
    """Send lines such as ``READY=1``; without ``NOTIFY_SOCKET`` nobody asked, and a failure stops nothing."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name:
        return
    address = f"\0{name[1:]}" if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(assignments).encode(), address)
    except OSError as error:
        LOGGER.warning("NOTIFY_SOCKET %s cannot be written to: %s", name, error)


def watchdog_seconds() -> float:
    """Return how often systemd wants to hear ``WATCHDOG=1`` (sd_watchdog_enabled(3)); infinity when it does not."""
    try:
        microseconds = int(os.environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return math.inf
    is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return microseconds / 1e6 if is_ours and microseconds > 0 else math.inf
