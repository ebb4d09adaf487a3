from __future__ import annotations

import contextlib
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.link.wire_time import LINKS
from mtftpd.core.settings import Mode
from mtftpd.daemon import values
from mtftpd.daemon.option_table import BY_NAME, yes_or_no


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (values.port, "1", 1),
        (values.port, "65535", 65535),
        (values.seconds_on_the_wire, "255", 255),
        (values.time_to_live, "1", 1),
        (values.rollover, "0", 0),
        (values.lease_time, "60", 60),
        (values.lease_time, "1m", 60),
        (values.lease_time, "12h", 43200),
        (values.lease_time, "7d", 604800),
        (values.address, "10.0.0.1", IPv4Address("10.0.0.1")),
        (values.group, "239.1.1.1", IPv4Address("239.1.1.1")),
        (values.network, "10.2.0.0/16", IPv4Network("10.2.0.0/16")),
        (values.mode, "dhcp", Mode.DHCP),
        (values.log_format, "json", "json"),
        (values.rate, "80M", 80e6),
        (values.rate, "none", 0.0),
        (values.link, "hub-10", LINKS["hub-10"]),
        (values.boot_file, "b" * 127, "b" * 127),
        (yes_or_no, "On", True),
        (yes_or_no, "0", False),
    ],
)
def test_reads(read: Callable[[str], Any], text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "advice"),
    [
        (values.port, "0", "1 to 65535"),
        (values.port, "65536", "1 to 65535"),
        (values.port, "-1", "1 to 65535"),
        (values.port, "\u0663", "1 to 65535"),
        (values.seconds_on_the_wire, "0", "1 to 255"),
        (values.seconds_on_the_wire, "256", "1 to 255"),
        (values.time_to_live, "256", "1 to 255"),
        (values.rollover, "2", "0 to 1"),
        (values.lease_time, "59", "at least 60"),
        (values.lease_time, "12 h", "12h"),
        (values.lease_time, "99999999999", "12h"),
        (values.lease_time, "999999999d", "12h"),
        (values.address, "10.0.0", "four numbers"),
        (values.group, "10.0.0.1", "239.1.1.1"),
        (values.group, "224.0.0.9", "239.1.1.1"),
        (values.network, "10.0.0.0/33", "10.2.0.0/16"),
        (values.network, "10.2.3.0/16", "did you mean 10.2.0.0/16"),
        (values.address_range, "10.0.0.1", "FIRST-LAST"),
        (values.address_range, "10.0.0.9-10.0.0.1", "swap"),
        (values.address_range, "10.0.0.9-x", "four numbers"),
        (values.mode, "proxydhcp", "dhcp, proxy or tftp"),
        (values.log_format, "xml", "text or json"),
        (values.rate, "80", "80M or 1.5G"),
        (values.link, "hub", "hub-10, hub-100"),
        (values.weight, "node", "NAME=N"),
        (values.weight, "node=0", "1 to 100"),
        (values.weight, "node=101", "1 to 100"),
        (values.boot_file, "", "empty"),
        (values.boot_file, "a\nb", "control characters"),
        (values.boot_file, "b" * 128, "127"),
        (values.image, "nbp", "NAME=PATH"),
        (values.image, "=x", "NAME=PATH"),
        (values.image, "x=", "NAME=PATH"),
        (values.architecture_file, "x64=a", "uefi-x64"),
        (values.architecture_file, "65536=a", "uefi-x64"),
        (values.architecture_file, "7", "ARCH=NAME"),
        (yes_or_no, "maybe", "true nor false"),
    ],
)
def test_refuses_and_says_what_to_do(read: Callable[[str], Any], text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        read(text)


def test_reads_pairs() -> None:
    assert values.image("node=images/a=b.img") == values.ImageName("node", "images/a=b.img")
    assert values.architecture_file("uefi-x64=g.efi").numbers == (7, 9)
    assert values.architecture_file("27=riscv.efi") == values.ArchitectureFile("27", (27,), "riscv.efi")
    assert str(values.weight("a=b=3")) == "a=b=3"
    assert str(values.address_range("10.0.0.1 - 10.0.0.9")) == "10.0.0.1-10.0.0.9"


@pytest.mark.parametrize(("text", "answer"), [("mtftp://10.0.0.1:1759/a", True), ("dir://", True), ("a/b", False)])
def test_knows_a_uri(text: str, answer: bool) -> None:
    assert values.is_uri(text) is answer


@given(text=st.text(max_size=40), name=st.sampled_from(sorted(BY_NAME)))
def test_any_text_is_a_value_or_a_value_error(text: str, name: str) -> None:
    with contextlib.suppress(ValueError):
        BY_NAME[name].read(text)


def test_every_default_is_a_value_of_its_option() -> None:
    for option in BY_NAME.values():
        if option.default:
            option.read(option.default)
