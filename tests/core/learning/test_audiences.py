"""A group that many cannot hear rests, and comes back more slowly; and whether anybody asks for its members."""

from __future__ import annotations

from mtftpd.core.learning.audiences import (
    AUDIENCE_SECONDS,
    LEAST_FACTOR,
    QUERY_SECONDS,
    RECOVERY_SECONDS,
    REST_SECONDS,
    Audience,
    Charge,
    Querier,
)
from mtftpd.core.learning.fallback import FallbackMemory, NodeStage, Trigger
from mtftpd.quirks.evidence import Fingerprint
from mtftpd.wire.datagram import HardwareAddress

NODE = NodeStage(HardwareAddress(1, b"\2\0\0\0\0\1"), "intel-bios")
FIRMWARE = Fingerprint(b"", b"", b"", b"", b"", b"", 0, 6)


def test_a_charge_is_taken_back_from_the_nodes() -> None:
    memory, audience = FallbackMemory(), Audience()
    audience.suffer(Charge(NODE, memory.failed(NODE, FIRMWARE, Trigger.F5, 1.0), 1.0))
    audience.charge_network(Trigger.F13, memory, 2.0)
    assert memory.snapshot() == ()
    assert audience.rest(2.0) is Trigger.F13
    assert audience.rest(2.0 + REST_SECONDS) is None


def test_an_old_failure_has_nothing_in_common_with_a_new_one() -> None:
    audience = Audience()
    audience.suffer(Charge(NODE, None, 0.0))
    audience.suffer(Charge(NODE, None, AUDIENCE_SECONDS + 1))
    assert len(audience.charges) == 1


def test_the_rate_is_halved_by_each_charge_and_doubled_by_each_quiet_time() -> None:
    audience, now = Audience(), 0.0
    assert audience.rate_factor(now) == 1.0
    for expected in (1 / 2, 1 / 4, 1 / 8, 1 / 16, LEAST_FACTOR):
        audience.charge_network(Trigger.F13, FallbackMemory(), now)
        assert audience.rate_factor(now) == expected
    now += REST_SECONDS
    factors = [audience.rate_factor(now + n * RECOVERY_SECONDS) for n in range(6)]
    assert factors == [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 1.0]
    audience.charge_network(Trigger.F13, FallbackMemory(), now + 2 * RECOVERY_SECONDS)
    assert audience.factor == 1 / 8, "half of what it had come back to"


def test_a_querier_is_missing_only_where_it_would_have_been_heard() -> None:
    querier = Querier()
    assert not querier.is_missing(1e6), "nobody listens"
    querier.listen(0.0)
    assert not querier.is_missing(QUERY_SECONDS - 1)
    assert querier.is_missing(QUERY_SECONDS)
    querier.heard(QUERY_SECONDS)
    assert not querier.is_missing(2 * QUERY_SECONDS - 1)
    assert querier.is_missing(2 * QUERY_SECONDS)
