from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from mtftpd.core.groups import Groups
from mtftpd.core.images import MAX_MTFTP_SIZE, Image
from mtftpd.core.settings import Catalogue, Link, Mode
from mtftpd.daemon.config import Config
from mtftpd.daemon.settings import settings_for, warnings_for
from mtftpd.errors import BadConfig
from tests.daemon.conftest import MakeConfig

LINK = Link("eth9", 9, IPv4Address("10.0.0.1"), IPv4Network("10.0.0.0/24"))
NBP = Image(1, "nbp", 1000, "aa" * 32)
ONE = Catalogue((NBP,), {"nbp": NBP})


def warnings(config: Config, catalogue: Catalogue = ONE, link: Link = LINK) -> list[str]:
    settings = settings_for(config, link)
    return list(warnings_for(config, settings, catalogue, Groups(settings, catalogue)))


def test_everything_reaches_the_core(make_config: MakeConfig) -> None:
    config = make_config(
        mode="dhcp", range="10.0.0.10-10.0.0.20", router="10.0.0.254", lease_time="1h", serve_all="true", ttl="4",
        group="239.1.1.1", image="nbp=nbp", boot_file_for=("uefi-x64=a.efi", "11=b.efi"), rollover="1",
        client_port="1000", server_port="2000", timeout_seconds="3", allow="10.9.0.0/16",
    )  # fmt: skip
    settings = settings_for(config, LINK)
    assert settings.mode is Mode.DHCP
    assert settings.link == LINK
    assert settings.boot.default == "nbp"
    assert settings.boot.by_architecture == ((7, "a.efi"), (9, "a.efi"), (11, "b.efi"))
    addressing = settings.addressing
    assert (str(addressing.first), str(addressing.last), str(addressing.router)) == (
        "10.0.0.10",
        "10.0.0.20",
        "10.0.0.254",
    )
    assert (addressing.lease_seconds, addressing.serve_all) == (3600, True)
    assert (str(settings.multicast.base), settings.multicast.seconds, settings.multicast.ttl) == ("239.1.1.1", 3, 4)
    assert (settings.ports.mtftp_client, settings.ports.mtftp_server) == (1000, 2000)
    assert settings.allowed == (IPv4Network("10.9.0.0/16"),)
    assert settings.rollover == 1
    assert settings.serves("10.9.1.1")
    assert not settings.serves("10.8.1.1")


def test_the_default_boot_file_is_the_only_image(make_config: MakeConfig) -> None:
    assert settings_for(make_config(image="x=nbp"), LINK).boot.default == "x"
    assert settings_for(make_config(image=("x=nbp", "y=other")), LINK).boot.default == ""
    assert settings_for(make_config(image=("x=nbp", "y=other"), boot_file="y"), LINK).boot.default == "y"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"range": "10.0.1.1-10.0.1.9"}, "10.0.1.1 is not in 10.0.0.0/24, the network of eth9"),
        ({"range": "10.0.0.0-10.0.0.0"}, "10.0.0.0 is no address for a host in 10.0.0.0/24"),
        ({"range": "10.0.0.200-10.0.0.255"}, "10.0.0.255 is no address for a host"),
        ({"range": "10.0.0.1-10.0.0.9"}, "contains 10.0.0.1, the address of this server; leave it out"),
        ({"range": "10.0.0.2-10.0.0.9", "router": "10.1.0.1"}, "--router 10.1.0.1: is not in 10.0.0.0/24"),
    ],
)
def test_addresses_must_fit_the_link(make_config: MakeConfig, flags: dict[str, str], message: str) -> None:
    with pytest.raises(BadConfig) as caught:
        settings_for(make_config(mode="dhcp", **flags), LINK)
    assert message in str(caught.value)


def test_a_plain_configuration_has_no_warnings(make_config: MakeConfig) -> None:
    assert warnings(make_config(group="239.1.1.1", image="nbp=nbp")) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"image": "nbp=nbp"}, "no --group: images have no multicast group of their own"),
        ({"mode": "tftp", "range": "10.0.0.2-10.0.0.9"}, "--range 10.0.0.2-10.0.0.9 has no effect without --mode dhcp"),
        ({"router": "10.0.0.9"}, "--router 10.0.0.9 has no effect without --mode dhcp"),
        ({}, "no --boot-file and not exactly one --image"),
        ({"boot_file": "mtftp://10.0.0.1:1759/x"}, "x is no --image, so iPXE falls back to unicast TFTP"),
        ({"boot_file": "mtftp://10.0.0.2:1759/nbp"}, "the host is not 10.0.0.1, the address of this server"),
    ],
)
def test_warns(make_config: MakeConfig, flags: dict[str, str], message: str) -> None:
    assert [warning for warning in warnings(make_config(**flags)) if message in warning]


def test_warns_of_a_server_address_that_old_gpxe_takes_for_multicast(make_config: MakeConfig) -> None:
    config = make_config(group="239.1.1.1", image="nbp=nbp")
    high = Link("eth9", 9, IPv4Address("10.0.0.224"), IPv4Network("10.0.0.0/24"))
    low = Link("eth9", 9, IPv4Address("10.0.0.223"), IPv4Network("10.0.0.0/24"))
    assert len(warnings(config, link=high)) == 1
    assert "gPXE from before May 2008" in warnings(config, link=high)[0]
    assert warnings(config, link=low) == []


@pytest.mark.parametrize(("size", "count"), [(MAX_MTFTP_SIZE, 0), (MAX_MTFTP_SIZE + 1, 1)])
def test_warns_of_images_without_a_group(make_config: MakeConfig, size: int, count: int) -> None:
    image = Image(1, "nbp", size, "aa" * 32)
    found = warnings(make_config(group="239.1.1.1", image="nbp=nbp"), Catalogue((image,), {"nbp": image}))
    assert len(found) == count
    assert all("image nbp gets no multicast group" in warning and "33553919" in warning for warning in found)


def test_no_image_at_all_is_worth_a_word(make_config: MakeConfig, root: Path) -> None:
    assert any("no --image" in warning for warning in warnings(make_config(), Catalogue()))
