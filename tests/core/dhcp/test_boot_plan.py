"""What each client is told to boot: the boot file, the group and option 43."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.core.dhcp.boot_plan import BootFile, BootPlan, Planner, menu_options, octets, parse_boot_file
from mtftpd.core.groups import Groups
from mtftpd.core.images import MAX_MTFTP_SIZE, Image
from mtftpd.core.node_settings import Boot, Menu, MenuItem
from mtftpd.core.nodes.clients import Client, recognise
from mtftpd.core.settings import Catalogue, Multicast, Settings
from mtftpd.errors import BadConfig
from mtftpd.wire import pxe
from mtftpd.wire.bootp import BOOTREQUEST, DhcpMessage
from mtftpd.wire.options import Options
from mtftpd.wire.pxe import BootItem, BootServers, MenuEntry, MenuPrompt
from tests.core.dhcp.dhcp_lab import BIOS_ROM, DHCP, HTTP, IPXE, MAC, NBP, ONE_IMAGE, OVMF, SERVER, TWO_IMAGES

EMPTY = Catalogue()


def client(options: dict[int, bytes], kind: int | None = 1) -> Client:
    values = options if kind is None else {53: bytes((kind,)), **options}
    found = recognise(DhcpMessage(BOOTREQUEST, 1, MAC + bytes(10), options=Options(values)))
    assert found is not None
    return found


class Asked:
    """A planner that is asked by clients without a section of their own."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._planner = Planner(settings, catalogue, Groups(settings, catalogue))
        self._settings = settings

    def plan(self, client: Client) -> BootPlan | None:
        return self._planner.plan(self._with_settings(client))

    def plan_item(self, client: Client, item: BootItem) -> BootPlan | None:
        return self._planner.plan_item(self._with_settings(client), item)

    def serves_type(self, number: int) -> bool:
        return self._planner.serves_type(self._with_settings(client(BIOS_ROM)), number)

    def _with_settings(self, client: Client) -> Client:
        return client._replace(settings=self._settings.node(client.hardware))


def planner(boot: Boot, catalogue: Catalogue = ONE_IMAGE, settings: Settings = DHCP) -> Asked:
    return Asked(replace(settings, boot=boot), catalogue)


def plan(boot: Boot, options: dict[int, bytes], catalogue: Catalogue = ONE_IMAGE) -> BootPlan:
    found = planner(boot, catalogue).plan(client(options))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nbp", BootFile("nbp")),
        ("boot/nbp.0", BootFile("boot/nbp.0")),
        ("/boot/nbp.0", BootFile("/boot/nbp.0")),
        ("mtftp://SERVER:1759/nbp.bin", BootFile("nbp.bin", "mtftp://10.0.0.1:1759/nbp.bin", "mtftp")),
        ("TFTP://SERVER/a%20b", BootFile("a b", "TFTP://10.0.0.1/a%20b", "tftp")),
        ("http://boot.example/SERVER/x.efi", BootFile("SERVER/x.efi", "http://boot.example/SERVER/x.efi", "http")),
        ("SERVER:/nbp", BootFile("SERVER:/nbp")),
    ],
)
def test_names_paths_and_uris(text: str, expected: BootFile) -> None:
    assert parse_boot_file(text, SERVER) == expected


@pytest.mark.parametrize(
    "text", ["", "n" * 128, "tftp://SERVER/", "tftp://SERVER/" + "n" * 120, "a\0b", "tftp://S/%00"]
)
def test_names_that_cannot_be_sent(text: str) -> None:
    with pytest.raises(BadConfig, match="boot file"):
        parse_boot_file(text, SERVER)


@given(st.text(min_size=1, max_size=200))
def test_any_text_is_a_boot_file_or_bad_config(text: str) -> None:
    try:
        found = parse_boot_file(text, SERVER)
    except BadConfig:
        return
    assert 0 < len(octets(found.name)) <= 127
    assert len(octets(found.uri)) <= 127


def test_file_names_that_are_not_utf_8() -> None:
    assert octets("caf\udce9") == b"caf\xe9"


def test_the_only_image_is_the_default() -> None:
    assert plan(Boot(), BIOS_ROM).file == "nbp"
    assert planner(Boot(), TWO_IMAGES).plan(client(BIOS_ROM)) is None
    assert planner(Boot(), EMPTY).plan(client(BIOS_ROM)) is None


def test_an_image_has_a_group_under_every_name() -> None:
    for name in ("nbp", "bios/nbp.0", "/bios/nbp.0", "mtftp://SERVER/nbp"):
        found = plan(Boot(name), BIOS_ROM)
        assert (found.group, found.blocks) == ("239.1.1.1:1799", 185)
        assert found.file == name.removeprefix("mtftp://SERVER/")


def test_a_file_that_is_no_image_goes_by_unicast() -> None:
    found = plan(Boot("other/file"), BIOS_ROM)
    assert (found.file, found.binding, found.group, found.blocks) == ("other/file", None, "", None)
    assert found.option_43.hex() == "06010aff"


def test_an_image_without_a_group_goes_by_unicast() -> None:
    large = Image(3, "large", MAX_MTFTP_SIZE + 1, "33" * 32)
    found = plan(Boot(), BIOS_ROM, Catalogue((large,), {"large": large}))
    assert (found.file, found.binding, found.option_43.hex()) == ("large", None, "06010aff")
    unicast = replace(DHCP, multicast=Multicast())
    assert planner(Boot(), ONE_IMAGE, unicast).plan(client(BIOS_ROM)) == BootPlan(
        "nbp", "nbp", None, "", bytes.fromhex("06010aff")
    )


@pytest.mark.parametrize(("size", "blocks"), [(1, 1), (511, 1), (512, 1), (513, 2), (MAX_MTFTP_SIZE, 65_535)])
def test_option_13_is_exact_and_rounded_up(size: int, blocks: int) -> None:
    image = replace(NBP, size=size)
    assert plan(Boot(), BIOS_ROM, Catalogue((image,), {"nbp": image})).blocks == blocks


def test_a_uri_is_for_ipxe_alone() -> None:
    boot = Boot("mtftp://SERVER:1759/nbp")
    ipxe = plan(boot, IPXE)
    assert (ipxe.file, ipxe.name, ipxe.binding) == ("mtftp://10.0.0.1:1759/nbp", "nbp", None)
    assert ipxe.group == "239.255.1.1:3001", "the group compiled into it, for the report"
    assert ipxe.option_43.hex() == "060108ff"
    for other in (BIOS_ROM, OVMF):
        assert plan(boot, other).file == "nbp"
    bootp = planner(boot).plan(client({}, None))
    assert bootp is not None
    assert (bootp.file, bootp.option_43) == ("nbp", b"")
    by_tftp = plan(Boot("tftp://SERVER/nbp"), IPXE)
    assert (by_tftp.file, by_tftp.group) == ("tftp://10.0.0.1/nbp", "")
    elsewhere = plan(Boot("mtftp://SERVER/elsewhere"), IPXE)
    assert elsewhere.group == "", "what is not an image is on no group"


GEARS = replace(DHCP, faithful=False)


def of_ipxe(name: str, catalogue: Catalogue, settings: Settings = GEARS, *, relayed: bool = False) -> BootPlan:
    found = planner(Boot(name), catalogue, settings).plan(client(IPXE)._replace(is_relayed=relayed))
    assert found is not None
    return found


def test_ipxe_is_told_of_its_group_without_any_uri_in_the_configuration() -> None:
    told = of_ipxe("nbp", ONE_IMAGE)
    assert (told.file, told.name, told.group) == ("mtftp://10.0.0.1:1759/nbp", "nbp", "239.255.1.1:3001")
    found = planner(Boot("nbp"), ONE_IMAGE, GEARS).plan(client(BIOS_ROM))
    assert found is not None
    assert found.file == "nbp"


def test_a_name_is_quoted_in_the_uri_and_left_alone_where_there_is_no_room() -> None:
    for name, file in (("a b%", "mtftp://10.0.0.1:1759/a%20b%25"), ("x" * 120, "x" * 120)):
        shown = Image(1, name, 1000, "digest")
        assert of_ipxe(name, Catalogue((shown,), {name: shown})).file == file


@pytest.mark.parametrize("why", ["faithful", "relayed", "another image", "no image", "one port for all"])
def test_ipxe_is_told_a_plain_name_where_the_carousel_does_not_go(why: str) -> None:
    settings = {
        "faithful": DHCP,
        "one port for all": replace(GEARS, ports=replace(GEARS.ports, mtftp_server=GEARS.ports.mtftp_ipxe)),
    }.get(why, GEARS)
    name = "other" if why == "no image" else "nbp"
    catalogue = ONE_IMAGE
    if why == "another image":
        other = Image(9, "other", 2000, "another digest")
        catalogue = Catalogue((NBP, other), {"nbp": NBP, "other": other})
        boot = Boot("other", by_architecture=((0, "nbp"), (7, "nbp")))
        found = planner(boot, catalogue, settings).plan(client(IPXE))
        assert found is not None
        assert found.file == "nbp"
        return
    told = of_ipxe(name, catalogue, settings, relayed=why == "relayed")
    assert (told.file, told.group) == (name, "")


def test_without_a_uri_ipxe_gets_the_same_default() -> None:
    assert plan(Boot(), IPXE).file == "nbp"


def test_http_boot_takes_http_alone() -> None:
    assert planner(Boot()).plan(client(HTTP)) is None
    assert planner(Boot("tftp://SERVER/nbp")).plan(client(HTTP)) is None
    found = planner(Boot("https://SERVER/nbp")).plan(client(HTTP))
    assert found == BootPlan("https://10.0.0.1/nbp", "nbp", None, "", b"")


@pytest.mark.parametrize(
    ("architecture", "expected"), [(0, "nbp"), (7, "boot.efi"), (9, "boot.efi"), (6, "ia32.efi"), (11, "nbp")]
)
def test_boot_files_by_architecture(architecture: int, expected: str) -> None:
    """Quirk Q20: 7 and 9 are the same."""
    options = {**OVMF, 93: architecture.to_bytes(2, "big")}
    for x64 in (7, 9):
        boot = Boot("nbp", ((x64, "boot.efi"), (6, "ia32.efi")))
        assert plan(boot, options, TWO_IMAGES).file == expected


def test_each_of_the_two_x64_numbers_can_have_its_own() -> None:
    boot = Boot("nbp", ((9, "nine.efi"), (7, "seven.efi")))
    assert [plan(boot, {**OVMF, 93: b"\0" + bytes((n,))}).file for n in (7, 9)] == ["seven.efi", "nine.efi"]


def test_a_plan_is_made_once() -> None:
    made = planner(Boot())
    assert made.plan(client(BIOS_ROM)) is made.plan(client(BIOS_ROM))


MENU = Menu((MenuItem(0, "Local disk"), MenuItem(15, "Install", "boot.efi"), MenuItem(16, "Default")), "F8", 3)


def test_the_menu_on_the_wire() -> None:
    """Rows O43-08 to O43-10, O43-12."""
    options = pxe.parse_untrusted(menu_options(MENU, SERVER))
    assert options.discovery_control == 3
    assert options.boot_servers == (BootServers(15, (SERVER,)), BootServers(16, (SERVER,)))
    assert options.menu == (MenuEntry(0, "Local disk"), MenuEntry(15, "Install"), MenuEntry(16, "Default"))
    assert options.prompt == MenuPrompt(3, "F8")
    assert menu_options(Menu((MenuItem(15, "A"),), "B", 0), SERVER).hex() == (
        "060103 0807 000f 01 0a000001 0904 000f 01 41 0a02 00 42 ff".replace(" ", "")
    )


@pytest.mark.parametrize(
    ("menu", "message"),
    [
        (Menu(()), "no item"),
        (Menu((MenuItem(0, "Local"),)), "no item"),
        (Menu((MenuItem(1, "x" * 250),)), "cannot be sent"),
        (Menu((MenuItem(1, "x" * 300),)), "cannot be sent"),
        (Menu((MenuItem(70_000, "x"),)), "cannot be sent"),
        (Menu((MenuItem(1, "x"),), timeout=256), "cannot be sent"),
    ],
)
def test_menus_that_cannot_be_sent(menu: Menu, message: str) -> None:
    with pytest.raises(BadConfig, match=message):
        planner(Boot(menu=menu))


def test_with_a_menu_only_the_menu_is_offered() -> None:
    made = planner(Boot("nbp", menu=MENU), TWO_IMAGES)
    offered = made.plan(client(BIOS_ROM))
    assert offered == BootPlan("", "", None, "", menu_options(MENU, SERVER))
    bootp = made.plan(client({}, None))
    assert bootp is not None
    assert bootp.file == "nbp"


@pytest.mark.parametrize(("item", "expected"), [(15, "boot.efi"), (16, "nbp"), (0, "nbp")])
def test_the_types_of_the_menu_are_served(item: int, expected: str) -> None:
    made = planner(Boot("nbp", menu=MENU), TWO_IMAGES)
    assert made.serves_type(item)
    found = made.plan_item(client(BIOS_ROM), BootItem(item, 0))
    assert found is not None
    assert found.file == expected
    answered = pxe.parse_untrusted(found.option_43)
    assert answered.boot_item == BootItem(item, 0)
    assert answered.mtftp is not None, "row O43-15"
    assert answered.mtftp.group == IPv4Address("239.1.1.1") + (expected == "boot.efi")


def test_other_types_are_not_served() -> None:
    assert not planner(Boot("nbp", menu=MENU)).serves_type(17)
    assert not planner(Boot("nbp")).serves_type(15)
    assert planner(Boot("nbp")).serves_type(0)
    assert planner(Boot(), EMPTY).plan_item(client(BIOS_ROM), BootItem(0, 0)) is None
