"""The groups of option multicast: one for each content and block size, away from those of PXE."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.groups import WINDOW, Groups, aliases
from mtftpd.core.images import Image
from mtftpd.core.settings import Catalogue, Link, Multicast, Settings
from mtftpd.core.tftp.groups import PORT, SPAN, SPREAD, OptionGroups

BASE = IPv4Address("239.1.1.1")
CONFIGURED = Multicast(BASE)
IMAGE = Image(1, "node", 5_000, "a1" * 32)
OTHER = Image(2, "other", 5_000, "b2" * 32)
LARGE = Image(3, "large", 40 * 1024 * 1024, "c3" * 32)
CATALOGUE = Catalogue((IMAGE, OTHER, LARGE), {"node": IMAGE, "alias": IMAGE, "other": OTHER, "large": LARGE})


def configured(multicast: Multicast = CONFIGURED) -> Settings:
    link = Link("lan0", 2, IPv4Address("10.0.0.1"), IPv4Network("10.0.0.0/16"))
    return Settings(link, multicast=multicast)


def groups(multicast: Multicast = CONFIGURED, catalogue: Catalogue = CATALOGUE) -> OptionGroups:
    return OptionGroups(configured(multicast), catalogue)


def test_without_a_base_there_are_none() -> None:
    assert groups(Multicast()).of(IMAGE, 512) is None


def test_an_image_that_is_to_be_unicast_has_none() -> None:
    table = groups(Multicast(BASE, unicast=frozenset({"alias"})))
    assert table.of(IMAGE, 512) is None
    assert table.of(OTHER, 512) is not None


def test_what_has_no_digest_or_is_not_in_the_catalogue_has_none() -> None:
    nameless = Image(9, "x", 100)
    assert groups(catalogue=Catalogue((nameless,), {"x": nameless})).of(nameless, 512) is None
    assert groups().of(replace(IMAGE, key=77), 512) is None


def test_what_has_too_many_blocks_has_one_in_larger_blocks() -> None:
    assert groups().of(LARGE, 512) is None
    assert groups().of(LARGE, 1428) is not None


def test_an_image_may_have_a_base_of_its_own() -> None:
    multicast = Multicast(None, bases=(("alias", IPv4Address("239.100.0.1")),))
    own = groups(multicast).of(IMAGE, 512)
    assert own is not None
    assert IPv4Address("239.101.0.1") <= IPv4Address(own.address) < IPv4Address("239.118.0.1")
    assert groups(multicast).of(OTHER, 512) is None


def test_a_group_that_pxe_may_get_is_given_to_nobody() -> None:
    found = groups().of(IMAGE, 512)
    assert found is not None
    near = Multicast(BASE, bases=(("other", IPv4Address(int(IPv4Address(found.address)) - 5)),))
    assert groups(near).of(IMAGE, 512) is None


@pytest.mark.parametrize("base", ["239.1.1.1", "239.240.0.1", "239.255.255.1", "224.0.1.0"])
@given(size=st.integers(8, 65_464), digest=st.integers(0, 2**256 - 1))
def test_every_one_is_multicast_and_away_from_those_of_pxe(base: str, size: int, digest: int) -> None:
    image = Image(1, "node", 5_000, f"{digest:064x}")
    catalogue = Catalogue((image,), {"node": image})
    settings = configured(Multicast(IPv4Address(base)))
    found = OptionGroups(settings, catalogue).of(image, size)
    assert found is not None
    assert found.port == PORT
    address = IPv4Address(found.address)
    assert address.is_multicast
    assert not aliases(address)
    assert not int(IPv4Address(base)) <= int(address) < int(IPv4Address(base)) + WINDOW
    (binding,) = Groups(settings, catalogue).bindings[:1]
    assert binding.group.address != found.address


@given(one=st.integers(8, 65_464), other=st.integers(8, 65_464))
def test_block_sizes_have_groups_of_their_own(one: int, other: int) -> None:
    table = groups()
    assert (table.of(IMAGE, one) == table.of(IMAGE, other)) == (one == other)


def test_an_address_that_aliases_local_control_is_passed_by() -> None:
    """The first addresses behind this base have the Ethernet addresses of 224.0.0.x."""
    base = IPv4Address("239.127.0.0")
    digest = f"{512 * SPREAD % SPAN ^ 7:064x}"
    image = Image(1, "node", 1, digest)
    group = groups(Multicast(base), Catalogue((image,), {"node": image})).of(image, 512)
    assert group is not None
    assert group.address == "239.128.1.7"
