"""Options: RFC 2347 (subset, order), 2348, 2349, 7440 and the habits of clients (quirks Q67, Q83, Q101)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.tftp.negotiation import (
    MAX_BLOCK_SIZE,
    MAX_WINDOW,
    MAX_WINDOW_OCTETS,
    Granted,
    Limits,
    largest_block,
    negotiate,
)
from mtftpd.wire.tftp import OptionAck, build, parse_untrusted

SIZE = 100_000
ETHERNET = Limits(largest_block(1500))
NAMES = ("blksize", "tsize", "timeout", "windowsize", "rollover", "multicast", "utimeout")


@pytest.mark.parametrize(
    ("mtu", "largest"),
    [(1500, 1468), (9000, 8968), (576, 544), (68, 512), (65_536, MAX_BLOCK_SIZE)],
)
def test_largest_block_is_not_fragmented(mtu: int, largest: int) -> None:
    assert largest_block(mtu) == largest


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        # RFC 2348: 8 to 65,464; the server may answer less
        ("512", "512"),
        ("8", "8"),
        ("1468", "1468"),
        ("1469", "1468"),
        ("8192", "1468"),
        ("65464", "1468"),
        ("30408704", "1468"),  # Q67: EFI 1.x asks for the size of the file
        (" 1024 ", "1024"),  # Q101
        ("7", None),
        ("0", None),
        ("-512", None),
        ("+512", None),
        ("1024k", None),
        ("5_12", None),
        ("", None),
        ("\xb2", None),
        ("9" * 400, None),
    ],
)
def test_block_size(asked: str, answer: str | None) -> None:
    granted = negotiate((("blksize", asked),), SIZE, ETHERNET)
    assert granted.options == ((("blksize", answer),) if answer else ())
    assert granted.block_size == int(answer or 512)


@pytest.mark.parametrize(
    ("asked", "answer"), [("1", 1), ("255", 255), ("0", None), ("256", None), ("1.5", None), ("x", None)]
)
def test_timeout_is_identical_or_absent(asked: str, answer: int | None) -> None:
    """RFC 2349: 1 to 255 seconds, echoed."""
    granted = negotiate((("timeout", asked),), SIZE, ETHERNET)
    assert granted.timeout == answer
    assert granted.options == ((("timeout", asked),) if answer else ())


def test_size_of_the_file() -> None:
    """RFC 2349: asked as 0, answered with the size in octets."""
    granted = negotiate((("tsize", "0"),), SIZE, ETHERNET)
    assert granted.options == (("tsize", "100000"),)
    assert negotiate((("tsize", "0"),), 0, ETHERNET).options == (("tsize", "0"),)


@pytest.mark.parametrize(
    ("asked", "answer"), [("1", 1), ("4", 4), ("64", 64), ("65", MAX_WINDOW), ("65535", MAX_WINDOW), ("0", None)]
)
def test_window(asked: str, answer: int | None) -> None:
    """RFC 7440: at most what was asked."""
    granted = negotiate((("windowsize", asked),), SIZE, ETHERNET)
    assert granted.window == (answer or 1)
    assert granted.options == ((("windowsize", str(answer)),) if answer else ())


def test_no_window_where_windows_are_refused() -> None:
    """Q96: not even a window of 1, which old clients need not know."""
    granted = negotiate((("windowsize", "4"), ("blksize", "1024")), SIZE, Limits(1468, window=1))
    assert granted == Granted(1024, 1, None, 0, (("blksize", "1024"),))


@pytest.mark.parametrize(("block_size", "window"), [(1468, 64), (8968, 14), (65_464, 2)])
def test_a_window_of_large_blocks_is_short(block_size: int, window: int) -> None:
    asked = (("windowsize", "64"), ("blksize", str(block_size)))
    assert negotiate(asked, SIZE, Limits(65_464)).window == window


@pytest.mark.parametrize(("asked", "answer"), [("0", 0), ("1", 1), ("2", None), ("", None)])
@pytest.mark.parametrize("default", [0, 1])
def test_rollover(asked: str, answer: int | None, default: int) -> None:
    granted = negotiate((("rollover", asked),), SIZE, Limits(1468, rollover=default))
    assert granted.rollover == (default if answer is None else answer)
    assert granted.options == (() if answer is None else (("rollover", asked),))


def test_nothing_asked() -> None:
    assert negotiate((), SIZE, ETHERNET) == Granted(512, 1, None, 0, ())


def test_first_of_a_repeated_option_counts() -> None:
    granted = negotiate((("blksize", "1024"), ("blksize", "1400")), SIZE, ETHERNET)
    assert granted.options == (("blksize", "1024"),)


@given(
    st.lists(
        st.tuples(
            st.one_of(st.sampled_from(NAMES), st.text(st.characters(max_codepoint=255), min_size=1)),
            st.one_of(st.integers(-2, 10**6).map(str), st.text(st.characters(max_codepoint=255))),
        ),
        max_size=12,
    ),
    st.integers(0, 2**40),
    st.builds(Limits, st.integers(512, MAX_BLOCK_SIZE), st.integers(1, MAX_WINDOW), st.sampled_from((0, 1))),
)
def test_oack_is_a_subset_in_order_and_never_more(asked: list[tuple[str, str]], size: int, limits: Limits) -> None:
    """RFC 2347 and quirk Q83."""
    granted = negotiate(tuple(asked), size, limits)
    names = [name for name, _ in granted.options]
    remaining = iter(name for name, _ in asked)
    assert all(name in remaining for name in names), "not in the asked order"
    assert len(set(names)) == len(names)
    for name, value in granted.options:
        texts = [text.strip() for each, text in asked if each == name]
        if name == "tsize":
            assert value == str(size)
        elif name in {"timeout", "rollover"}:
            assert int(value) in {int(text) for text in texts if text.isascii() and text.isdecimal()}
        else:
            assert int(value) <= max(int(text) for text in texts if text.isascii() and text.isdecimal())
    assert 8 <= granted.block_size <= limits.block_size
    assert 1 <= granted.window <= limits.window
    assert granted.window == 1 or granted.window * granted.block_size <= MAX_WINDOW_OCTETS
    # Q84: nothing behind the last pair
    packet = build(OptionAck(granted.options))
    assert parse_untrusted(packet) == OptionAck(granted.options)
    assert packet.count(b"\0") == 2 * len(granted.options) + 1
