"""What clients call a file, and what it is called beneath the root.

The shell opens the result with ``openat2(RESOLVE_BENEATH)``; what is refused here never gets that far.
"""

from __future__ import annotations

import re

MAX_NAME = 512
"""Octets: RFC 2347 section 2 limits a whole request to 512.  A longer name is refused before it is copied."""

MAX_SHOWN = 120
"""Characters of a name or a text of a client that a report repeats."""

_URI = re.compile(r"(m?tftp:/[^/]+/)+", re.IGNORECASE)
"""What stands in front of the path in a URI, its slashes made single."""

_END = re.compile(rb"[\x00-\x1f\x7f\xff]")


def normalise(filename: bytes) -> str | None:
    """Return the relative path that a request means, "" for no name at all, or None for a name that is refused.

    Leading, doubled and backward slashes and "." mean nothing (quirk Q100).  The name ends at the first 0xFF or
    control octet: ROMs that take option 67 for a C string append what follows it (quirk Q01).  Of a URI of TFTP or
    MTFTP, such as iPXE is told of, it is the path: who takes that for a name has the same file from port 69.  Refused
    are "..", what is not UTF-8 and more than `MAX_NAME` octets.  The result is a fixed point of this function.
    """
    octets = _END.split(filename, maxsplit=1)[0]
    if len(octets) > MAX_NAME:
        return None
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return None
    parts = [part for part in text.replace("\\", "/").split("/") if part not in {"", "."}]
    if ".." in parts:
        return None
    name = "/".join(parts)
    uri = _URI.match(name)
    return name if uri is None else name[uri.end() :]


def taken_literally(filename: bytes) -> str | None:
    """Return the path that a request names when nothing in it is forgiven; `normalise` is what the server does."""
    name = normalise(filename)
    return name if name is not None and name.encode() == filename else None


def shown(text: bytes | str) -> str:
    """Return what a client sent as printable text of at most `MAX_SHOWN` characters, for reports."""
    if isinstance(text, bytes):
        text = text[: 4 * MAX_SHOWN].decode(errors="replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text[:MAX_SHOWN])
