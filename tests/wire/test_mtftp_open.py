from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.images import MTFTP_BLOCK_SIZE
from mtftpd.errors import Malformed
from mtftpd.wire import mtftp, tftp
from tests.wire.untrusted import outcome, refused_cuts
from tests.wire.vectors import load, plain

VECTORS = load("mtftp")


@pytest.mark.parametrize("vector", [each for each in VECTORS if "expect" in each], ids=lambda each: str(each["name"]))
def test_vector_is_read(vector: dict[str, Any]) -> None:
    request = mtftp.parse_untrusted(vector["data"])
    assert plain(request) == vector["expect"]
    assert (mtftp.build(request) == vector["data"]) is vector.get("rebuilt", True)


@pytest.mark.parametrize(
    "vector", [each for each in VECTORS if "malformed" in each], ids=lambda each: str(each["name"])
)
def test_vector_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as caught:
        mtftp.parse_untrusted(vector["data"])
    assert caught.value.reason == vector["malformed"]


@given(st.binary(max_size=100).map(lambda name: name.replace(b"\0", b"/")))
def test_round_trip_and_cuts(filename: bytes) -> None:
    data = mtftp.build(mtftp.Open(filename))
    assert mtftp.parse_untrusted(data) == mtftp.Open(filename)
    assert refused_cuts(mtftp.parse_untrusted, data) == list(range(len(data)))


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(lambda rest: b"\0\1" + rest)))
def test_an_open_is_a_read_request_in_octet_mode(data: bytes) -> None:
    result = outcome(mtftp.parse_untrusted, data)
    packet = outcome(tftp.parse_untrusted, data)
    is_open = isinstance(packet, tftp.Request) and (packet.opcode, packet.mode) == (tftp.Opcode.RRQ, "octet")
    assert isinstance(result, mtftp.Open) is is_open


def test_core_and_wire_know_the_same_block() -> None:
    assert mtftp.BLOCK_SIZE == MTFTP_BLOCK_SIZE
