"""How careless ROMs read option 67, octet by octet."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.errors import Malformed
from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom.careless import read
from mtftpd.wire import bootp
from mtftpd.wire.bootp import BOOTREPLY, DhcpMessage
from mtftpd.wire.options import Layout, Options

BARE = Layout(pads_boot_file=False, sorts_first=False, fills_up=False)
REPLY = DhcpMessage(BOOTREPLY, 1, bytes(16), options=Options({1: b"\xff\xff\xff\0", 53: b"\2", 67: b"nbp", 66: b"ab"}))


def test_a_name_goes_on_to_the_next_nul() -> None:
    faults = frozenset({Mutation.OPTION67_TO_NUL})
    assert read(bootp.build(REPLY), faults).options[67] == b"nbp"
    assert read(bootp.build(REPLY, layout=BARE), faults).options[67] == b"nbpB\2ab\xff"


def test_a_nul_is_written_over_the_next_option() -> None:
    faults = frozenset({Mutation.OVERWRITE_AFTER_67})
    assert read(bootp.build(REPLY), faults).options[66] == b"ab"
    with pytest.raises(Malformed):
        read(bootp.build(REPLY, layout=BARE), faults)


@pytest.mark.parametrize("fault", [Mutation.OPTION67_TO_NUL, Mutation.OVERWRITE_AFTER_67])
def test_without_a_name_nothing_is_spoilt(fault: Mutation) -> None:
    plain = bootp.build(DhcpMessage(BOOTREPLY, 1, bytes(16), options=Options({53: b"\2"})))
    assert read(plain, frozenset({fault})) == bootp.parse_untrusted(plain)
    padded = plain[: bootp.AREA_OFFSET] + b"\0\0" + plain[bootp.AREA_OFFSET :]
    assert read(padded, frozenset({fault})) == bootp.parse_untrusted(padded)


def test_a_name_at_the_very_end_has_nothing_behind_it() -> None:
    data = bootp.build(DhcpMessage(BOOTREPLY, 1, bytes(16), options=Options({53: b"\2", 67: b"nbp"})), layout=BARE)
    cut = data[:-1]
    assert read(cut, frozenset({Mutation.OVERWRITE_AFTER_67})).options[67] == b"nbp"


def test_what_is_short_or_in_another_order_is_dropped() -> None:
    data = bootp.build(REPLY, layout=BARE)
    for fault in (Mutation.DROP_IF_SHORT, Mutation.DROP_IF_ORDER):
        assert read(bootp.build(REPLY), frozenset({fault})) == REPLY
        with pytest.raises(Malformed):
            read(data, frozenset({fault}))


@given(st.binary(max_size=400), st.sets(st.sampled_from(list(Mutation))))
def test_garbage_is_malformed_at_worst(data: bytes, faults: set[Mutation]) -> None:
    with suppress(Malformed):
        read(data, frozenset(faults))
