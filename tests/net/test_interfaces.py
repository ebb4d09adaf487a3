import socket
from ipaddress import IPv4Address, IPv4Network

import pytest

from mtftpd.errors import BadConfig
from mtftpd.net import interfaces


def test_loopback_is_found_by_its_name_and_its_address_and_is_no_candidate() -> None:
    link = interfaces.find("lo")
    assert (link.name, link.index) == ("lo", socket.if_nametoindex("lo"))
    assert link.address == IPv4Address("127.0.0.1")
    assert link.network == IPv4Network("127.0.0.0/8")
    assert link.mtu >= 1500
    assert interfaces.find("127.0.0.1") == link
    assert interfaces.broadcast(link) == IPv4Address("127.255.255.255")
    assert "lo" not in [candidate.name for candidate in interfaces.candidates()]


def test_candidates_can_each_be_found_by_name() -> None:
    for candidate in interfaces.candidates():
        assert interfaces.find(candidate.name) == candidate


def test_an_unknown_interface_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(BadConfig, match=r"--interface nic9: no such interface .*\blo\b"):
        interfaces.find("nic9")
