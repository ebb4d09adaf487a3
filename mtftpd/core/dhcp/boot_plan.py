"""What a client boots: its boot file, the group that carries it and the option 43 that says so.

A URI goes to iPXE alone, and an http one to HTTP boot; every other client is told the path in it.  The word SERVER
as the host of a URI stands for our address.  Tags 1-5 go only to clients that may have Intel's MTFTP code, and never
without tag 6: EDK2 discards an offer that has 1-5 alone.  Whoever may be Intel's reads tag 6 = 10, with or without
1-5, since EDK1 discards an offer with tag 6 = 8 and no discovery group; all others read 8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from urllib.parse import quote, unquote

from mtftpd.core.groups import Binding, Groups
from mtftpd.core.images import MAX_MTFTP_SIZE, MTFTP_BLOCK_SIZE, Image
from mtftpd.core.learning.fallback import Trigger
from mtftpd.core.node_settings import IPXE_STAGE, Boot, Menu, NodeSettings
from mtftpd.core.nodes.clients import Client, ClientKind
from mtftpd.core.settings import Catalogue, Settings
from mtftpd.errors import BadConfig
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire import pxe
from mtftpd.wire.bootp import FILE_SIZE
from mtftpd.wire.pxe import BootItem, DiscoveryControl, PxeOptions

MAX_FILE_OCTETS = FILE_SIZE - 1
"""A boot file name must fit the header field with its NUL; option 67 then holds the same (DHCP-15)."""

BOOTSTRAP = 0
"""The boot server type of the default boot file; as a line of the menu the same number means local boot."""

X64_TWINS = {7: 9, 9: 7}
"""x64 EFI: RFC 4578 as printed says 9, its erratum and nearly all firmware 7 (quirk Q20)."""

MAX_BOOTS = 4096
"""Different things to boot that are kept ready: 4,096 * about 1 KB is 4 MB; more are read again and again."""

DIRECT = DiscoveryControl.USE_BOOT_FILE
DIRECT_NO_MULTICAST = DiscoveryControl.USE_BOOT_FILE | DiscoveryControl.NO_MULTICAST
MENU_CONTROL = DiscoveryControl.NO_BROADCAST | DiscoveryControl.NO_MULTICAST

_URI = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>[^/:]*)(?P<port>(:\d+)?)/(?P<path>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class BootFile:
    """A configured boot file: ``name`` is what TFTP calls it, ``uri`` the whole URI or "", ``scheme`` its scheme."""

    name: str
    uri: str = ""
    scheme: str = ""


@dataclass(frozen=True, slots=True)
class BootPlan:
    """What one client is told.

    ``file`` is the name or URI in the reply, "" when the client is to choose from the menu; ``name`` is the same file
    for TFTP; ``binding`` is the group that option 43 names; ``group`` is where the client will listen, for reports.
    """

    file: str
    name: str
    binding: Binding | None
    group: str
    option_43: bytes
    unicast: Trigger | None = None
    """Why there is no group although the client may be told of one."""

    @property
    def blocks(self) -> int | None:
        """The value of option 13: only beside tags 1-5, exact, rounded up (quirk Q25)."""
        return None if self.binding is None else -(-self.binding.image.size // MTFTP_BLOCK_SIZE)


def parse_boot_file(text: str, server: IPv4Address) -> BootFile:
    """Return the boot file that ``text`` (a name, a path or a URI) stands for.

    Raises `BadConfig` when there is no name in it, or one that is too long for the header field.
    """
    match = _URI.fullmatch(text)
    if match is None:
        boot_file = BootFile(text)
    else:
        host = str(server) if match["host"] == "SERVER" else match["host"]
        uri = f"{match['scheme']}://{host}{match['port']}/{match['path']}"
        boot_file = BootFile(unquote(match["path"]), uri, match["scheme"].lower())
    for each in (boot_file.name, boot_file.uri or boot_file.name):
        if not 0 < len(octets(each)) <= MAX_FILE_OCTETS or "\0" in each:
            raise BadConfig(f"boot file {text!r}: give a name of 1 to {MAX_FILE_OCTETS} octets without NUL")
    return boot_file


def octets(name: str) -> bytes:
    """Return ``name`` as it goes on the wire; octets of a file name that are not UTF-8 come out as they were."""
    return name.encode("utf-8", "surrogateescape")


def menu_options(menu: Menu, server: IPv4Address) -> bytes:
    """Return option 43 with the boot menu: tags 6, 8, 9 and 10, all types served by ``server``.

    Raises `BadConfig` when it does not fit option 43, or when no line of the menu boots from here.
    """
    types = tuple(dict.fromkeys(item.type for item in menu.items if item.type != BOOTSTRAP))
    if not types:
        raise BadConfig("the boot menu has no item with a type other than 0 (local boot): add one, or drop the menu")
    options = PxeOptions(
        discovery_control=MENU_CONTROL,
        boot_servers=tuple(pxe.BootServers(each, (server,)) for each in types),
        menu=tuple(pxe.MenuEntry(item.type, item.text) for item in menu.items),
        prompt=pxe.MenuPrompt(menu.timeout, menu.prompt),
    )
    try:
        return pxe.build(options)
    except ValueError as error:
        raise BadConfig(f"the boot menu cannot be sent: {error}; use fewer or shorter texts") from error


@dataclass(frozen=True, slots=True)
class _Menu:
    """What one `Boot` says, read: its files, option 43 with its menu (b"" for none), and the types that it has."""

    default: BootFile | None
    by_architecture: dict[int, BootFile]
    option_43: bytes
    by_type: dict[int, BootFile | None]


_PlanKey = tuple[BootFile, ClientKind, bool, bool, bool, bool, bool, frozenset[ServerAction]]


class Planner:
    """Chooses the boot file of each client.  Raises `BadConfig` when the configuration cannot be put on the wire."""

    def __init__(self, settings: Settings, catalogue: Catalogue, groups: Groups) -> None:
        self._server = settings.link.address
        self._catalogue = catalogue
        self._groups = groups
        shares_port = settings.ports.mtftp_server == settings.ports.mtftp_ipxe
        self._offers_carousel = not settings.faithful and not shares_port
        self._only_image = catalogue.images[0].name if len(catalogue.images) == 1 else ""
        self._menus: dict[Boot, _Menu] = {}
        self._plans: dict[_PlanKey, BootPlan | None] = {}
        self._decided: dict[tuple[object, ...], tuple[NodeSettings, BootPlan | None]] = {}
        """By everything that decides; settings are known by their identity, so each is kept alive by its entry."""
        for boot in settings.boots():
            self._menu(boot)

    def plan(self, client: Client) -> BootPlan | None:
        """Return what ``client`` boots; None when it has no boot file here, or only one that it cannot read."""
        settings = client.settings
        key = (
            id(settings),
            client.kind,
            client.architecture,
            client.is_ipxe,
            client.may_be_intel,
            client.may_do_mtftp,
            client.is_relayed,
            client.actions,
        )
        known = self._decided.get(key)
        if known is None or known[0] is not settings:
            if len(self._decided) >= MAX_BOOTS:
                self._decided.clear()
            known = self._decided[key] = settings, self._decide(client)
        return known[1]

    def _decide(self, client: Client) -> BootPlan | None:
        menu = self._menu(client.settings.boot)
        if menu.option_43 and client.kind is ClientKind.PXE:
            return BootPlan(file="", name="", binding=None, group="", option_43=menu.option_43)
        return self._plan(client, _file_for(client, menu))

    def serves_type(self, client: Client, number: int) -> bool:
        """Return whether this server answers the discovery of boot server type ``number`` by ``client``."""
        return number in self._menu(client.settings.boot).by_type

    def plan_item(self, client: Client, item: BootItem) -> BootPlan | None:
        """Return the answer to the discovery of ``item``, whose type is served; tag 71 is echoed (O43-13)."""
        menu = self._menu(client.settings.boot)
        plan = self._plan(client, menu.by_type[item.type] or _file_for(client, menu))
        if plan is None:
            return None
        return replace(plan, option_43=pxe.build(replace(_direct(client, plan.binding), boot_item=item)))

    def _menu(self, boot: Boot) -> _Menu:
        """Return ``boot`` as it was read; only one that is not of `Settings.boots` can raise here."""
        menu = self._menus.get(boot)
        if menu is None:
            if len(self._menus) >= MAX_BOOTS:
                self._menus.clear()
            menu = self._menus[boot] = self._read(boot)
        return menu

    def _read(self, boot: Boot) -> _Menu:
        server = self._server
        default = boot.default or self._only_image
        by_type: dict[int, BootFile | None] = {BOOTSTRAP: None}
        for item in boot.menu.items if boot.menu is not None else ():
            if item.type != BOOTSTRAP:
                by_type[item.type] = parse_boot_file(item.boot_file, server) if item.boot_file else None
        return _Menu(
            parse_boot_file(default, server) if default else None,
            {number: parse_boot_file(text, server) for number, text in boot.by_architecture},
            menu_options(boot.menu, server) if boot.menu is not None else b"",
            by_type,
        )

    def _plan(self, client: Client, boot_file: BootFile | None) -> BootPlan | None:
        if boot_file is None:
            return None
        without = client.settings.without
        omits = ServerAction.OMIT_43 in client.actions
        key = (
            boot_file,
            client.kind,
            client.is_ipxe,
            client.may_be_intel,
            client.may_do_mtftp,
            client.is_relayed,
            omits,
            without,
        )
        if key not in self._plans:
            self._plans[key] = self._make(client, boot_file)
        return self._plans[key]

    def _make(self, client: Client, boot_file: BootFile) -> BootPlan | None:
        if client.kind is ClientKind.HTTP:
            if boot_file.scheme not in ("http", "https"):
                return None
            return BootPlan(boot_file.uri, boot_file.name, None, "", b"")
        everybody = client.kind is ClientKind.PXE and not client.settings.does(ServerAction.OMIT_43_1_5)
        binding = self._binding(boot_file.name) if client.may_do_mtftp or everybody else None
        group = str(binding.group) if binding is not None else ""
        uri = boot_file.uri or ("" if client.is_relayed else self._carousel_uri(boot_file.name))
        if client.is_ipxe and uri.startswith("mtftp:") and self._groups.ipxe is not None:
            group = str(self._groups.ipxe.group)
        file = uri if client.is_ipxe and uri else boot_file.name
        image = self._image(boot_file.name)
        is_large = client.may_do_mtftp and image is not None and image.size > MAX_MTFTP_SIZE
        if ServerAction.OMIT_43 in client.actions and client.kind is ClientKind.PXE:
            return BootPlan(file, boot_file.name, None, "", b"")
        direct = _direct(client, binding)
        speaks = client.kind is ClientKind.PXE and direct != PxeOptions()
        option_43 = pxe.build(direct) if speaks else b""
        return BootPlan(file, boot_file.name, binding, group, option_43, Trigger.F3 if is_large else None)

    def _carousel_uri(self, name: str) -> str:
        """Return how iPXE is told of the group that is compiled into it, "" for a file that is not sent there."""
        ipxe, image = self._groups.ipxe, self._image(name)
        if not self._offers_carousel or ipxe is None or image is None or image.digest != ipxe.image.digest:
            return ""
        uri = f"mtftp://{self._server}:{ipxe.server_port}/{quote(name.lstrip('/'))}"
        return uri if len(octets(uri)) <= MAX_FILE_OCTETS else ""

    def _binding(self, name: str) -> Binding | None:
        image = self._image(name)
        return self._groups.for_image(image) if image is not None else None

    def _image(self, name: str) -> Image | None:
        return self._catalogue.paths.get(name) or self._catalogue.paths.get(name.lstrip("/"))


def _file_for(client: Client, menu: _Menu) -> BootFile | None:
    twins = X64_TWINS if client.settings.does(ServerAction.TWIN_ARCHITECTURES) else {}
    of_ipxe = (IPXE_STAGE,) if client.is_ipxe and client.settings.does(ServerAction.SECOND_STAGE) else ()
    for number in (*of_ipxe, client.architecture, twins.get(client.architecture, client.architecture)):
        if number in menu.by_architecture:
            return menu.by_architecture[number]
    return menu.default


def _direct(client: Client, binding: Binding | None) -> PxeOptions:
    """Return the sub-options that boot the file without menu or discovery."""
    control = DIRECT if binding is None and not client.may_be_intel else DIRECT_NO_MULTICAST
    return PxeOptions(
        discovery_control=control if client.settings.does(ServerAction.ADD_43_6) else None,
        mtftp=_tags(binding) if binding is not None else None,
    )


def _tags(binding: Binding) -> pxe.MtftpTags:
    return pxe.MtftpTags(
        group=IPv4Address(binding.group.address),
        client_port=binding.group.port,
        server_port=binding.server_port,
        timeout=binding.seconds,
        delay=binding.seconds,
    )
