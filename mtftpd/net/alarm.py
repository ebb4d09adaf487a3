"""A timer as a descriptor (timerfd_create(2)): an epoll that it wakes is late by microseconds, not by up to 1 ms."""

from __future__ import annotations

import ctypes
import os
import time
from typing import Final

TFD_NONBLOCK: Final = os.O_NONBLOCK
TFD_CLOEXEC: Final = os.O_CLOEXEC
TFD_TIMER_ABSTIME: Final = 1
SOONEST: Final = 1
"""Nanoseconds on the clock: what has passed is due at once, while 0 would disarm the timer."""

_C = ctypes.CDLL(None, use_errno=True)


class _Moment(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Moment), ("value", _Moment))


class Alarm:
    """One alarm on the monotonic clock; ``descriptor`` is readable from the time that was set until another one is."""

    def __init__(self) -> None:
        self.descriptor: int = _C.timerfd_create(time.CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._setting = _Setting()
        self._address = ctypes.byref(self._setting)

    def set(self, when: float) -> None:
        """Go off at ``when`` (seconds of `time.monotonic`), and at no other time."""
        nanoseconds = max(int(when * 1e9), SOONEST)
        value = self._setting.value
        value.seconds, value.nanoseconds = divmod(nanoseconds, 1_000_000_000)
        _C.timerfd_settime(self.descriptor, TFD_TIMER_ABSTIME, self._address, None)

    def stop(self) -> None:
        """Go off no more, and be readable no longer."""
        value = self._setting.value
        value.seconds = value.nanoseconds = 0
        _C.timerfd_settime(self.descriptor, 0, self._address, None)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.descriptor)
