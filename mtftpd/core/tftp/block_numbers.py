"""Blocks count without end, their numbers on the wire have 16 bits: the roll-over that RFC 1350 forgot.

After 65,535 comes 0, as most clients expect, or 1, as some do and can ask for with the option ``rollover`` (quirk Q95).
"""

from __future__ import annotations

MAX_NUMBER = 0xFFFF


def number_on_wire(block: int, rollover: int) -> int:
    """Return the 16-bit number of block ``block`` (from 0, which is the OACK); ``rollover`` is 0 or 1."""
    if block <= MAX_NUMBER:
        return block
    return (block - 1) % MAX_NUMBER + 1 if rollover else block & MAX_NUMBER


def block_meant(number: int, newest: int, rollover: int) -> int:
    """Return the last block up to ``newest`` that has this number on the wire, or -1 when there is none."""
    turn = MAX_NUMBER + 1 - rollover
    block = newest - (number_on_wire(newest, rollover) - number) % turn
    return block if block >= 0 and number_on_wire(block, rollover) == number else -1
