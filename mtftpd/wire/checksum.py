"""The Internet checksum of RFC 791, 768 and 2236: RFC 1071."""

from __future__ import annotations


def internet_checksum(data: bytes) -> int:
    """Return the 16-bit checksum of ``data``; over data that holds its own checksum it is 0.

    2 ** 16 is 1 modulo 65,535, so the whole packet taken as one number leaves the ones' complement sum as its
    remainder; only that 65,535 and 0, both minus and plus zero there, must be told apart.
    """
    number = int.from_bytes(data, "big") << 8 * (len(data) % 2)
    total = number % 0xFFFF or (0xFFFF if number else 0)
    return 0xFFFF - total
