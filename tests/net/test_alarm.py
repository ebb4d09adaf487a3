from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from mtftpd.net.alarm import Alarm
from tests.patience import PATIENCE


@pytest.fixture
def epoll() -> Iterator[select.epoll]:
    opened = select.epoll()
    yield opened
    opened.close()


def test_it_goes_off_at_its_time_and_not_before(epoll: select.epoll) -> None:
    with closing(Alarm()) as alarm:
        epoll.register(alarm.descriptor, select.EPOLLIN)
        assert epoll.poll(0) == []
        when = time.monotonic() + 0.0005
        alarm.set(when)
        assert epoll.poll(PATIENCE) == [(alarm.descriptor, select.EPOLLIN)]
        # The clock is read in whole nanoseconds and set in them, each rounded down.
        assert time.monotonic() >= when - 2e-9


def test_what_has_passed_is_due_at_once_and_another_time_or_none_silences_it(epoll: select.epoll) -> None:
    with closing(Alarm()) as alarm:
        epoll.register(alarm.descriptor, select.EPOLLIN)
        alarm.set(-1.0)
        assert epoll.poll(PATIENCE) == [(alarm.descriptor, select.EPOLLIN)]
        alarm.set(time.monotonic() + 1000)
        assert epoll.poll(0) == []
        alarm.set(0.0)
        assert epoll.poll(PATIENCE)
        alarm.stop()
        assert epoll.poll(0) == []
