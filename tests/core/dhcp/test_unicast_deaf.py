"""Who does not hear unicast OFFERs."""

from __future__ import annotations

from mtftpd.core.addresses.leases import ClientKey
from mtftpd.core.dhcp.unicast_deaf import DEAF_AFTER, MAX_REMEMBERED, UnicastDeaf

KEY = ClientKey(1, b"\2\0\0\0\0\1")


def test_a_request_in_time_is_proof_of_hearing() -> None:
    deaf = UnicastDeaf()
    for _ in range(DEAF_AFTER - 1):
        deaf.offered(KEY)
    deaf.requested(KEY)
    deaf.offered(KEY)
    assert not deaf.is_deaf(KEY)


def test_a_request_after_a_broadcast_is_none() -> None:
    deaf = UnicastDeaf()
    for _ in range(DEAF_AFTER):
        deaf.offered(KEY)
    deaf.requested(KEY)
    assert deaf.is_deaf(KEY)


def test_the_memory_is_bounded() -> None:
    deaf = UnicastDeaf()
    for number in range(MAX_REMEMBERED + 1):
        for _ in range(DEAF_AFTER):
            deaf.offered(ClientKey(1, number.to_bytes(6, "big")))
    assert not deaf.is_deaf(ClientKey(1, bytes(6)))
    assert deaf.is_deaf(ClientKey(1, (1).to_bytes(6, "big")))
