"""Open files that lie beneath a directory and nowhere else: openat2(2), which Python does not have.

The kernel resolves the whole path, symbolic links included, and refuses to leave the directory at any step, so there
is no moment between a check and its use.  A relative link that stays beneath the directory is followed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from typing import Final

SYS_OPENAT2: Final = 437
"""The same number on every architecture of Linux that Python runs on, except Alpha."""
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_BENEATH: Final = 0x08
ATTEMPTS: Final = 8
"""A rename anywhere on the system during the walk gives EAGAIN; eight in a row mean something else."""

# Non-blocking: opening a FIFO for reading would otherwise wait for its writer, for ever.
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_HOW = _How(_FLAGS, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


def _openat2(directory: int, path: bytes) -> int:
    descriptor: int = _syscall(
        ctypes.c_long(SYS_OPENAT2),
        ctypes.c_int(directory),
        ctypes.c_char_p(path),
        ctypes.byref(_HOW),
        ctypes.c_size_t(ctypes.sizeof(_HOW)),
    )
    return descriptor


def open_regular(directory: int, path: str) -> int:
    """Open the regular file ``path`` beneath the open ``directory`` for reading and return its descriptor.

    Raises OSError: EXDEV when the path leads out of the directory, EINVAL when it is not a regular file, and
    whatever else open(2) has to say.
    """
    octets = os.fsencode(path)
    if b"\0" in octets:
        raise OSError(errno.EINVAL, "a path cannot hold NUL", path)
    for _ in range(ATTEMPTS):
        descriptor = _openat2(directory, octets)
        if descriptor >= 0 or ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor
