"""A network namespace of one's own, without any tool: unshare(2), setns(2) and prctl(2) through the C library.

A namespace that nobody gave a name ends with its last process, and everything that was made in it ends with it.
Only the calling thread changes its namespace, so this belongs before the first other thread and before trio.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mtftpd.errors import MissingCapability, Unavailable

CLONE_NEWNET: Final = 0x40000000
PR_SET_PDEATHSIG: Final = 1

_OWN_NETWORK: Final = "/proc/self/ns/net"
_FILTERS: Final = tuple(Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter") for name in ("all", "default"))

_libc = ctypes.CDLL(None, use_errno=True)


def enter_new_network() -> None:
    """Move this thread into a new, empty network namespace.

    Raises `MissingCapability` without CAP_SYS_ADMIN and `Unavailable` where the kernel has no room for another one.
    """
    _check(_libc.unshare(CLONE_NEWNET))
    for path in _FILTERS:
        # A ROM without an address has no route back to the server that answers it; where /proc/sys is read-only, the
        # kernel's default of 0 holds.
        with contextlib.suppress(OSError):
            path.write_text("0\n")


@contextlib.contextmanager
def private_network() -> Iterator[None]:
    """Run the body in a new network namespace and return to the present one."""
    present = os.open(_OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter_new_network()
        try:
            yield
        finally:
            _check(_libc.setns(present, CLONE_NEWNET))
    finally:
        os.close(present)


def end_with_parent(number: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send this process ``number`` when the thread that forked it ends, however it ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0))


def _check(result: int) -> None:
    if result == 0:
        return
    number = ctypes.get_errno()
    if number == errno.EPERM:
        raise MissingCapability("a network namespace needs CAP_SYS_ADMIN, which this process does not have")
    raise Unavailable(f"network namespace: {os.strerror(number)}")
