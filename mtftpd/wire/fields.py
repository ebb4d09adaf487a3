"""Building blocks of the DHCP and PXE schemas: exact windows for construct.

construct's ``GreedyRange`` swallows a truncated last element and its compiled parsers drop length checks, so repeated
things are read here by walkers that must consume their window to the last octet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from io import BytesIO
from ipaddress import IPv4Address
from typing import Any, TypeVar

from construct import Bytes, ConstructError, ExprAdapter, GreedyBytes, GreedyString, Int8ub, PascalString, Struct

from mtftpd.errors import Malformed

PAD = 0
END = 255

MAX_ELEMENTS = 1024
"""Elements of one list: 1024 x 0.4 us is 0.4 ms, the most that a hostile datagram can cost a walker."""

_CONTENT = re.compile(rb"[^\0]")

Element = tuple[int, bytes]
Value = TypeVar("Value")

Ipv4 = ExprAdapter(
    Bytes(4),
    decoder=lambda octets, _: IPv4Address(octets),
    encoder=lambda address, _: IPv4Address(address).packed,
)
"""Four octets in network order as an `IPv4Address`."""

Text = GreedyString("latin-1")
"""The rest of the window as text; Latin-1, because every octet is a character of it and back."""

CountedText = PascalString(Int8ub, "latin-1")
"""Text behind a one-octet length."""


def walk(window: bytes, *, delimited: bool = True) -> list[Element]:
    """Return the elements (code, value) of a window of code, length, value triples, in order.

    In a ``delimited`` list PAD is a lone octet that is skipped and END one that ends the list, whatever follows it
    (RFC 2132 3.1 and 3.2); without its END it is complete when its last value ends with the window.  In other lists
    these two are codes like any.  Raises `Malformed`, with the offset in the window, when a value does not fit or
    when there are more than `MAX_ELEMENTS`.
    """
    elements: list[Element] = []
    position, size = 0, len(window)
    while position < size:
        code = window[position]
        if delimited and code == PAD:
            # One step over a whole run: 1,200 octets of padding are common and must not cost 1,200 turns.
            content = _CONTENT.search(window, position)
            position = content.start() if content else size
            continue
        if delimited and code == END:
            break
        start = position + 2
        if start > size:
            raise Malformed(f"element {code} has no length", position)
        stop = start + window[start - 1]
        if stop > size:
            raise Malformed(f"element {code} is cut", position)
        if len(elements) == MAX_ELEMENTS:
            raise Malformed("too many elements", position)
        elements.append((code, window[start:stop]))
        position = stop
    return elements


def join(elements: Iterable[Element], *, delimited: bool = True) -> bytes:
    """Return the inverse of `walk`, closed by END if ``delimited``; values over 255 octets are a ValueError."""
    parts: list[bytes] = []
    for code, value in elements:
        if len(value) > 255:
            raise ValueError(f"element {code}: {len(value)} octets, 255 is the most")
        parts.append(bytes((code, len(value))) + value)
    if delimited:
        parts.append(bytes((END,)))
    return b"".join(parts)


TlvList = ExprAdapter(
    GreedyBytes,
    decoder=lambda octets, _: walk(octets),
    encoder=lambda elements, _: join(elements),
)
"""DHCP options, and everything encapsulated the same way: a list with PAD and END up to the end of the window."""

PlainTlvList = ExprAdapter(
    GreedyBytes,
    decoder=lambda octets, _: walk(octets, delimited=False),
    encoder=lambda elements, _: join(elements, delimited=False),
)
"""A list without PAD and END, as in option 82 (RFC 3046 2.0)."""


def repeated(schema: Any) -> Any:
    """Return a schema for ``schema`` over and over up to the end of the window; a cut last one is an error."""

    def read(octets: bytes, _: Any) -> list[Any]:
        values: list[Any] = []
        rest = octets
        while rest:
            if len(values) == MAX_ELEMENTS:
                raise Malformed("too many elements")
            value, used = read_one(schema, rest)
            values.append(value)
            rest = rest[used:]
        return values

    return ExprAdapter(GreedyBytes, decoder=read, encoder=lambda values, _: b"".join(map(schema.build, values)))


def record(cls: type[Value], *fields: Any) -> Any:
    """Return a schema of ``fields`` whose value is the dataclass ``cls``, with the same names; lists become tuples."""
    schema = Struct(*fields)
    names = [each.name for each in schema.subcons]

    def read(container: Any, _: Any) -> Value:
        values = {name: container[name] for name in names}
        return cls(**{name: tuple(each) if isinstance(each, list) else each for name, each in values.items()})

    return ExprAdapter(schema, decoder=read, encoder=lambda value, _: {name: getattr(value, name) for name in names})


def read_one(schema: Any, octets: bytes) -> tuple[Any, int]:
    """Return the value that ``schema`` reads at the start of ``octets`` and the number of octets that it took."""
    stream = BytesIO(octets)
    return schema.parse_stream(stream), stream.tell()


def decode(schema: Any, octets: bytes, what: str) -> Any:
    """Return what ``schema`` reads from exactly ``octets``; raises `Malformed`, naming ``what``, otherwise."""
    try:
        value, used = read_one(schema, octets)
    except ConstructError:
        raise Malformed(f"{what} is cut or invalid") from None
    if used != len(octets):
        raise Malformed(f"{what} is too long", used)
    return value


def encode(schema: Any, value: Any, what: str) -> bytes:
    """Return the octets of ``value``; raises ValueError, naming ``what``, when the schema cannot hold it."""
    try:
        octets: bytes = schema.build(value)
    except (ConstructError, UnicodeError) as error:
        raise ValueError(f"{what} cannot be built: {error}") from None
    return octets
