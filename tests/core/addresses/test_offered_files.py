"""Which boot file each address was told of."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from mtftpd.core.addresses import offered_files
from mtftpd.core.addresses.leases import ClientKey
from mtftpd.core.addresses.offered_files import OfferedFiles

KEY = ClientKey(1, b"123456")
ADDRESS = IPv4Address("10.0.0.7")


def test_the_file_of_an_address() -> None:
    files = OfferedFiles()
    assert files.at("10.0.0.7") is None
    files.tell("10.0.0.7", "one")
    files.tell("10.0.0.7", "two")
    assert files.at("10.0.0.7") == "two"


def test_the_file_of_a_client_whose_address_comes_later() -> None:
    files = OfferedFiles()
    files.locate(KEY, ADDRESS)
    assert files.at("10.0.0.7") is None
    files.promise(KEY, "one")
    files.locate(KEY, IPv4Address(0))
    assert files.at("0.0.0.0") is None
    files.locate(KEY, ADDRESS)
    assert files.at("10.0.0.7") == "one"


def test_the_oldest_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offered_files, "MAX_REMEMBERED", 2)
    files = OfferedFiles()
    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.3"):
        files.tell(address, "name")
    assert [files.at(f"10.0.0.{n}") for n in (1, 2, 3)] == ["name", None, "name"]
