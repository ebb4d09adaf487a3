"""Names as ROMs write them, and the paths that they mean (quirks Q01, Q02, Q100; RFC 1350 section 5)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mtftpd.core.filenames import MAX_NAME, MAX_SHOWN, normalise, shown

DIALECTS = [
    (b"pxelinux.0", "pxelinux.0"),
    (b"/pxelinux.0", "pxelinux.0"),
    (b"//boot//pxelinux.0", "boot/pxelinux.0"),
    (b"\\pxelinux.0", "pxelinux.0"),
    (b"\\\\Boot\\x64\\wdsnbp.com", "Boot/x64/wdsnbp.com"),
    (b"./pxelinux.cfg/./default", "pxelinux.cfg/default"),
    (b"boot/", "boot"),
    (b"a b.img", "a b.img"),
    (b"\xc3\xa9t\xc3\xa9", "\u00e9t\u00e9"),
    (b"..a/b..", "..a/b.."),
    # what iPXE was told of, taken for a name
    (b"mtftp://10.77.0.1:1759/boot/image", "boot/image"),
    (b"TFTP://server/image\xff", "image"),
    (b"mtftp://server/tftp://server/image", "image"),
    (b"mtftp://server", "mtftp:/server"),
    # Q01: option 67 read as a C string, with END or the next option behind it
    (b"pxelinux.0\xff", "pxelinux.0"),
    (b"pxelinux.0\xff\xff\xff", "pxelinux.0"),
    (b"pxelinux.0\x0c\x04host", "pxelinux.0"),
    (b"pxelinux.0\r\n", "pxelinux.0"),
    # Q02: no name at all
    (b"", ""),
    (b"\xff", ""),
    (b"/", ""),
    (b".", ""),
]


@pytest.mark.parametrize(("filename", "path"), DIALECTS)
def test_dialect(filename: bytes, path: str) -> None:
    assert normalise(filename) == path


@pytest.mark.parametrize(
    "filename",
    [
        b"..",
        b"../etc/passwd",
        b"boot/../../etc/passwd",
        b"boot\\..\\secret",
        b"/../x",
        b"\xe9t\xe9",
        b"x" * (MAX_NAME + 1),
    ],
)
def test_refused(filename: bytes) -> None:
    assert normalise(filename) is None


def test_longest_name() -> None:
    assert normalise(b"x" * MAX_NAME) == "x" * MAX_NAME


@given(st.binary(max_size=MAX_NAME + 20))
@example(b"/ /..\xff")
def test_result_stays_below_the_root_and_is_a_fixed_point(filename: bytes) -> None:
    path = normalise(filename)
    if path is None:
        return
    assert normalise(path.encode()) == path
    assert not path.startswith("/")
    assert not {"..", ".", ""} & set(path.split("/")) or path == ""
    assert path.isascii() is False or all(" " <= letter <= "~" for letter in path)


@given(st.one_of(st.binary(), st.text()))
@example(b"\xff\x00\x1b[31m")
def test_shown_is_short_and_printable(text: bytes | str) -> None:
    assert len(shown(text)) <= MAX_SHOWN
    assert shown(text).isprintable()


def test_shown_keeps_what_can_be_read() -> None:
    assert shown(b"pxelinux.0\xff") == "pxelinux.0\ufffd"
    assert shown("a\nb") == "a?b"
