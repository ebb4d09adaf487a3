"""The table content -> group: rows GRP-01 to GRP-05 and O43-04 of the requirements, and its promises over time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.effects import Service
from mtftpd.core.groups import UNICAST_ONLY, WINDOW, Groups, boot_image, path_of
from mtftpd.core.images import MAX_MTFTP_SIZE, Image
from mtftpd.core.node_settings import Boot
from mtftpd.core.settings import Catalogue, Link, Multicast, Ports, Settings
from mtftpd.errors import BadConfig
from mtftpd.wire.datagram import Endpoint

BASE = IPv4Address("239.1.1.1")
IPXE = Endpoint("239.255.1.1", 3001)
PORTS = Ports()


def settings(base: IPv4Address | str | None = BASE, boot: str = "", ports: Ports = PORTS) -> Settings:
    link = Link("eth0", 2, IPv4Address("10.0.0.1"), IPv4Network("10.0.0.0/24"))
    group = None if base is None else IPv4Address(base)
    return Settings(link, ports=ports, boot=Boot(boot), multicast=Multicast(group, seconds=3))


def image(key: int, digest: str | None = None, size: int = 1000) -> Image:
    return Image(key, f"image{key}", size, f"digest{key}" if digest is None else digest)


def catalogue(images: Iterable[Image]) -> Catalogue:
    images = tuple(images)
    paths = {name: image for image in images for name in (image.name, f"boot/{image.name}")}
    return Catalogue(images, paths)


def test_one_address_per_image_in_the_order_of_the_catalogue() -> None:
    first, second = image(7), image(3)
    groups = Groups(settings(), catalogue([first, second]))
    bindings = [groups.for_image(first), groups.for_image(second)]
    assert [binding and binding.group for binding in bindings] == [
        Endpoint("239.1.1.1", 1799),
        Endpoint("239.1.1.2", 1799),
    ]
    assert groups.bindings == tuple(bindings)
    assert bindings[0] is not None
    assert bindings[0].image is first
    assert bindings[0].names == {"image7", "boot/image7"}
    assert bindings[0].server_port == 1542
    assert bindings[0].socket == Service.MTFTP
    assert bindings[0].seconds == 3
    assert groups.refused == ()


def test_the_slowest_pace_that_is_stated_for_a_content_is_that_of_its_group() -> None:
    paces = (("image1", 0.0), ("image2", 4e6), ("boot/image2", 5e6), ("image3", 0.0), ("boot/image3", 3e6))
    stated = replace(settings(), multicast=Multicast(BASE, paces=paces))
    groups = Groups(stated, catalogue([image(1), image(2), image(3), image(4)]))
    assert [binding.pace for binding in groups.bindings] == [0.0, 4e6, 3e6, None]


def test_an_open_finds_its_binding_by_socket_and_any_name() -> None:
    groups = Groups(settings(boot="image1"), catalogue([image(1), image(2)]))
    own = groups.for_request(Service.MTFTP, "boot/image1")
    ipxe = groups.for_request(Service.MTFTP_IPXE, "image1")
    assert own is groups.for_image(image(1))
    assert ipxe is groups.ipxe
    assert own is not ipxe
    assert groups.for_request(Service.MTFTP_IPXE, "image2") is None
    assert groups.for_request(Service.MTFTP, "other") is None
    assert groups.for_image(image(9)) is None
    assert groups.bindings[-1] is ipxe


def test_equal_content_under_two_names_shares_one_group() -> None:
    original, duplicate = image(1, "same"), image(2, "same")
    groups = Groups(settings(), catalogue([original, duplicate, image(3)]))
    assert groups.for_image(duplicate) is groups.for_image(original)
    assert groups.for_request(Service.MTFTP, "image2") is groups.for_image(original)
    assert groups.assignments() == {"same": BASE, "digest3": BASE + 1}


@pytest.mark.parametrize(
    ("default", "named"),
    [
        ("image1", 1),
        ("boot/image2", 2),
        ("/boot/image2", 2),
        ("mtftp://10.0.0.1:1759/image2", 2),
        ("tftp://10.0.0.1/boot/image%31", 1),
        ("mtftp://10.0.0.1", None),
        ("http://10.0.0.1/elsewhere", None),
        ("", None),
    ],
)
def test_the_default_boot_file_says_who_gets_the_group_of_ipxe(default: str, named: int | None) -> None:
    groups = Groups(settings(boot=default), catalogue([image(1), image(2)]))
    if named is None:
        assert groups.ipxe is None
        return
    assert groups.ipxe is not None
    assert groups.ipxe.image == image(named)
    assert groups.ipxe.group == IPXE
    assert groups.ipxe.server_port == 1759
    assert groups.ipxe.socket == Service.MTFTP_IPXE
    assert groups.ipxe.seconds == 1


def test_the_only_image_is_what_everybody_boots() -> None:
    assert boot_image(settings(), catalogue([image(1)])) == image(1)
    assert boot_image(settings(), catalogue([])) is None
    assert path_of("pxelinux.0") == "pxelinux.0"


def with_multicast(base: IPv4Address | None, boot: str = "", **said: object) -> Settings:
    wanted = settings(base, boot)
    return replace(wanted, multicast=replace(wanted.multicast, **said))  # type: ignore[arg-type]


@pytest.mark.parametrize("base", [BASE, None])
def test_an_image_with_a_base_of_its_own(base: IPv4Address | None) -> None:
    own = (("boot/image2", BASE + 1), ("nothing", BASE + 9))
    groups = Groups(with_multicast(base, bases=own), catalogue([image(1), image(2), image(3)]))
    expected = {"digest2": BASE + 1, **({} if base is None else {"digest1": BASE, "digest3": BASE + 2})}
    assert groups.assignments() == expected
    newer = groups.reconfigured(with_multicast(base, bases=own), catalogue([image(1), image(2, "new"), image(3)]))
    assert newer.assignments()["new"] == (BASE + 2 if base is None else BASE + 3), "new content, new group"
    with pytest.raises(BadConfig, match="not a multicast address"):
        Groups(with_multicast(base, bases=(("image1", IPv4Address("10.0.0.1")),)), catalogue([]))


def test_an_image_that_nobody_wants_a_group_for() -> None:
    unwanted = frozenset({"image1"})
    groups = Groups(with_multicast(BASE, "image1", unicast=unwanted), catalogue([image(1), image(2)]))
    assert groups.for_image(image(1)) is None
    assert groups.ipxe is None
    assert groups.refused == ((image(1), UNICAST_ONLY),)
    assert groups.assignments() == {"digest2": BASE}


def test_without_a_base_only_ipxe_has_a_group() -> None:
    groups = Groups(settings(base=None), catalogue([image(1)]))
    assert groups.for_image(image(1)) is None
    assert groups.bindings == (groups.ipxe,)
    assert groups.assignments() == {}
    assert Groups(settings(base=None), catalogue([])).bindings == ()


def test_grp_05_what_65535_blocks_cannot_carry_is_refused_with_a_reason() -> None:
    large, fits = image(1, size=MAX_MTFTP_SIZE + 1), image(2, size=MAX_MTFTP_SIZE)
    groups = Groups(settings(boot="image1"), catalogue([large, fits]))
    assert groups.for_image(large) is None
    assert groups.ipxe is None
    [(refused, reason)] = groups.refused
    assert refused is large
    assert "33553919" in reason
    binding = groups.for_image(fits)
    assert binding is not None
    assert binding.group.address == str(BASE)
    assert fits.blocks(512) == 65_535


def test_grp_05_also_where_only_ipxe_would_have_a_group() -> None:
    groups = Groups(settings(base=None, boot="image1"), catalogue([image(1, size=1 << 30), image(2, size=1 << 30)]))
    assert [refused.key for refused, _ in groups.refused] == [1]
    assert groups.bindings == ()


def test_content_without_a_digest_is_refused() -> None:
    groups = Groups(settings(), catalogue([image(1, digest="")]))
    assert [reason for _, reason in groups.refused] == ["its content has no digest, so it cannot be told from another"]


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("10.1.1.1", "not a multicast address"),
        ("240.0.0.1", "not a multicast address"),
        ("224.0.0.5", "224.0.0.5"),
        ("239.0.0.7", "224.0.0.7"),
        ("239.128.0.255", "224.0.0.255"),
        ("239.255.1.1", "iPXE"),
        ("230.127.1.1", "iPXE"),
    ],
)
def test_o43_04_a_base_that_cannot_carry_groups_is_refused(base: str, words: str) -> None:
    with pytest.raises(BadConfig, match=words) as caught:
        Groups(settings(base), catalogue([]))
    assert f"--group {base}" in str(caught.value)
    assert "239.1.1.1" in str(caught.value)


def addresses(groups: Groups) -> list[str]:
    return [binding.group.address for binding in groups.bindings if binding.socket == Service.MTFTP]


def test_grp_04_addresses_that_alias_are_skipped() -> None:
    groups = Groups(settings("239.127.255.255"), catalogue([image(1), image(2)]))
    assert addresses(groups) == ["239.127.255.255", "239.128.1.0"]
    groups = Groups(settings("239.255.1.0"), catalogue([image(1), image(2)]))
    assert addresses(groups) == ["239.255.1.0", "239.255.1.2"]


def test_when_no_address_is_left_the_rest_is_refused() -> None:
    groups = Groups(settings("239.255.255.254"), catalogue([image(1), image(2), image(3)]))
    assert addresses(groups) == ["239.255.255.254", "239.255.255.255"]
    assert [refused.key for refused, _ in groups.refused] == [3]


SHARED = Ports(mtftp_server=1759, mtftp_client=3001)


def test_the_ports_of_ipxe_may_be_the_ports_of_everybody() -> None:
    groups = Groups(settings("239.255.1.1", "image1", SHARED), catalogue([image(1), image(2)]))
    assert groups.ipxe is groups.for_image(image(1))
    assert groups.ipxe is not None
    assert groups.ipxe.group == IPXE
    assert len(groups.bindings) == 2


def test_on_a_shared_port_an_image_on_another_group_is_not_for_ipxe() -> None:
    assert Groups(settings("239.255.1.1", "image2", SHARED), catalogue([image(1), image(2)])).ipxe is None
    assert Groups(settings(None, "image1", SHARED), catalogue([image(1)])).ipxe is None


def test_grp_02_a_restart_keeps_every_group() -> None:
    before = Groups(settings(), catalogue([image(1), image(2), image(3)]))
    after = Groups(settings(), catalogue([image(3), image(4), image(2)]), before.assignments())
    assert addresses(after) == ["239.1.1.3", "239.1.1.4", "239.1.1.2"]
    assert after.assignments() == before.assignments() | {"digest4": BASE + 3}


def test_grp_03_new_content_under_an_old_name_gets_a_new_group() -> None:
    before = Groups(settings(), catalogue([image(1)]))
    after = before.reconfigured(settings(), catalogue([replace(image(1), key=2, digest="changed")]))
    assert addresses(before) == ["239.1.1.1"]
    assert addresses(after) == ["239.1.1.2"]
    back = after.reconfigured(settings(), catalogue([replace(image(1), key=3)]))
    assert addresses(back) == ["239.1.1.1"]


def test_another_base_gives_other_groups_and_the_old_base_the_old_ones() -> None:
    first = Groups(settings(), catalogue([image(1)]))
    second = first.reconfigured(settings("239.2.2.2"), catalogue([image(1)]))
    third = second.reconfigured(settings(), catalogue([image(2), image(1)]))
    assert addresses(second) == ["239.2.2.2"]
    assert addresses(third) == ["239.1.1.2", "239.1.1.1"]


def test_a_bad_reload_leaves_the_table_as_it_was() -> None:
    groups = Groups(settings(), catalogue([image(1)]))
    with pytest.raises(BadConfig):
        groups.reconfigured(settings("10.0.0.1"), catalogue([image(2)]))
    assert groups.assignments() == {"digest1": BASE}


DIGESTS = st.sampled_from([f"d{number}" for number in range(6)])
CATALOGUES = st.lists(DIGESTS, unique=True).map(
    lambda digests: catalogue(image(key, digest) for key, digest in enumerate(digests))
)
BASES = st.sampled_from(["239.1.1.1", "239.1.1.3", "239.255.1.0", "239.0.1.0"])
KNOWN = st.dictionaries(DIGESTS, st.integers(0, WINDOW // 8192).map(lambda step: BASE + step))


@given(KNOWN, st.lists(st.tuples(BASES, CATALOGUES, st.booleans()), min_size=1, max_size=8))
def test_grp_01_no_address_ever_stands_for_two_contents(
    known: dict[str, IPv4Address], steps: list[tuple[str, Catalogue, bool]]
) -> None:
    """Through any sequence of reloads, whatever a (possibly damaged) state directory says at the start."""
    groups = Groups(settings(steps[0][0]), steps[0][1], known)
    owners: dict[str, str] = {}
    for base, images, _ in steps:
        groups = groups.reconfigured(settings(base), images)
        for binding in groups.bindings:
            if binding.socket == Service.MTFTP:
                assert owners.setdefault(binding.group.address, binding.image.digest) == binding.image.digest
                assert groups.assignments()[binding.image.digest] == IPv4Address(binding.group.address)
        assert {binding.image.digest for binding in groups.bindings} == {one.digest for one in images.images}
        assert len(set(groups.assignments().values())) == len(groups.assignments())


@given(CATALOGUES, CATALOGUES, BASES)
def test_grp_02_reload_and_restart_agree(first: Catalogue, second: Catalogue, base: str) -> None:
    before = Groups(settings(base), first)
    reloaded = before.reconfigured(settings(base), second)
    restarted = Groups(settings(base), second, before.assignments())
    assert addresses(reloaded) == addresses(restarted)
    assert reloaded.assignments() == restarted.assignments()
