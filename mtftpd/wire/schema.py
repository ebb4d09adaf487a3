"""Where the exceptions of construct become `Malformed`.

The schemas are interpreted, never compiled: compiled ones drop the length checks.  They hold no `GreedyRange` either,
because it takes a cut element for the end of the list.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from construct import Construct, ConstructError, StreamError

from mtftpd.errors import Malformed


def parse(schema: Construct, data: bytes, what: str) -> Any:
    """Parse ``data`` by ``schema`` and return its container; ``what`` names the packet in the reason.

    Octets behind the schema are left alone.  Raises `Malformed` and nothing else.
    """
    stream = BytesIO(data)
    try:
        return schema.parse_stream(stream)
    except StreamError as error:
        raise Malformed(f"{what} is cut short in {_field(error)}", stream.tell()) from error
    except ConstructError as error:
        message = str(error).rpartition("\n")[2]
        raise Malformed(f"{what}: {message}", stream.tell()) from error


def _field(error: ConstructError) -> str:
    """Return the name of the innermost field that construct was working on."""
    return str(error.path).rpartition(" -> ")[2]
