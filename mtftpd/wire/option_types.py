"""The table of DHCP options: code, name, type of the value; and the value as text.

Names and types are those of RFC 2132 unless the row says otherwise; RFC 4578 for 93, 94 and 97.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """How the octets of a value (or of each element of an array) are read."""

    OCTETS = "octets"
    FLAG = "flag"
    INT8 = "8-bit integer"
    INT16 = "16-bit integer"
    INT32 = "32-bit integer"
    ADDRESS = "address"
    TEXT = "text"


class OptionType(NamedTuple):
    """One row of the table; ``array`` says that the value holds one or more elements of ``kind``."""

    code: int
    name: str
    kind: Kind
    array: bool = False


_ROWS = (
    OptionType(1, "subnet-mask", Kind.ADDRESS),
    OptionType(3, "routers", Kind.ADDRESS, array=True),
    OptionType(53, "message-type", Kind.INT8),
)

OPTIONS = {row.code: row for row in _ROWS}
