"""What one node would get: every value that is in force for it, and the section that says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from mtftpd.core.groups import Groups, path_of
from mtftpd.core.node_settings import NodeSettings, Subnet
from mtftpd.core.settings import Mode
from mtftpd.daemon import node_values
from mtftpd.daemon.assembly import Assembly
from mtftpd.daemon.config import Config
from mtftpd.daemon.sections import Section
from mtftpd.daemon.values import ARCHITECTURES
from mtftpd.errors import BadConfig
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.datagram import HardwareAddress

NO_HARDWARE = HardwareAddress(node_values.ETHERNET, b"")


@dataclass(frozen=True, slots=True)
class Row:
    """One value in force, and where it comes from."""

    name: str
    value: str
    place: str


@dataclass(frozen=True, slots=True)
class _Node:
    """A node with its sections, from the inside out, and the address that this interface alone has."""

    settings: NodeSettings
    address: IPv4Address | None
    subnet: Subnet | None
    sections: tuple[Section, ...]


def explain(assembly: Assembly, groups: Groups, node: str, relay: IPv4Address | None) -> list[Row]:
    """Return what is in force for ``node``: a hardware address, a UUID, or the name of a section.

    ``relay`` is the address of the relay agent that it is behind, None on the link itself, or where its own address
    is.  Raises `BadConfig` for what names no node.
    """
    found = _find(assembly, node, relay)
    return list(_rows(assembly, groups, found))


def _find(assembly: Assembly, node: str, relay: IPv4Address | None) -> _Node:
    config, settings = assembly.config, assembly.settings
    hardware, uuid = _identity(config, node)
    entry = settings.inventory.find(hardware, uuid)
    address = entry.address_of(hardware)
    place = relay or address or settings.link.address
    subnet = settings.subnet_of(place)
    if relay is not None and subnet is None and not settings.serves(str(relay)):
        raise BadConfig(f"--relay {relay}: is in no network that is served; add a [[subnet]]")
    own = [each for each in config.sections["node"] if config.inventory.entries[each.number] is entry]
    group = own[0].values.get("group") if own else None
    around = [each for each in config.sections["group"] if group is not None and each.values["name"] == group]
    outer = [each for each in config.sections["subnet"] if subnet and each.values["network"] == subnet.network]
    return _Node(settings.node(hardware, uuid, subnet), address, subnet, (*own, *around, *outer))


def _identity(config: Config, node: str) -> tuple[HardwareAddress, bytes]:
    for entry in config.inventory.entries:
        if entry.name == node:
            return entry.owner or NO_HARDWARE, entry.uuid
    try:
        return node_values.hardware(node), b""
    except ValueError:
        pass
    try:
        return NO_HARDWARE, node_values.uuid(node)
    except ValueError:
        near = node_values.suggestion(node, (entry.name for entry in config.inventory.entries))
        raise BadConfig(
            f"--node {node}: no section has this name, and it is neither a hardware address nor a UUID{near}"
        ) from None


def _rows(assembly: Assembly, groups: Groups, node: _Node) -> Iterator[Row]:
    config, settings = assembly.config, node.settings
    entry, terms = settings.entry, settings.terms
    own = next((each for each in node.sections if each.kind == "node"), None)
    yield Row("node", entry.name or "-", _where(config, own, "") if own else "no [[node]] section is its own")
    for key, value in (
        ("hardware", " ".join(map(str, entry.hardware))),
        ("uuid", node_values.uuid_text(entry.uuid) if entry.uuid else ""),
        ("bootable", str(entry.bootable or "")),
        ("other-nics", entry.other_nics.value if len(entry.hardware) > 1 else ""),
        ("group", own.values.get("group", "") if own else ""),
        ("host-name", entry.host_name),
    ):
        if own is not None and value:
            yield Row(key, value, _where(config, own, key) if key in own.values else "default")
    yield from _address(assembly, node)
    yield _said(config, node, "lease-time", f"{terms.lease_seconds} s")
    yield _said(config, node, "router", str(terms.router or "-"))
    yield _said(config, node, "dns", _listed(terms.dns))
    yield _said(config, node, "ntp", _listed(terms.ntp))
    yield _said(config, node, "domain", terms.domain or "-")
    yield from _boot(assembly, groups, node)
    yield _said(config, node, "multicast", "yes" if settings.multicast else "no (F18)")
    yield _said(config, node, "rom", settings.rom or "as it is recognised")
    for action in ServerAction:
        for said, actions in (("without", settings.without), ("with", settings.demanded)):
            if action in actions:
                yield _action(config, node, said, action)


def _address(assembly: Assembly, node: _Node) -> Iterator[Row]:
    config, link = assembly.config, assembly.settings.link
    subnet = node.subnet.network if node.subnet is not None else link.network
    said = next((each for each in node.sections if each.kind == "subnet"), None)
    yield Row("subnet", str(subnet), _where(config, said, "network") if said else f"interface {link.name}")
    own = next((each for each in node.sections if each.kind == "node"), None)
    if assembly.settings.mode is not Mode.DHCP:
        yield Row("address", "from another server", config.origins["mode"].place)
    elif own is not None and node.address is not None and node.address in subnet:
        yield Row("address", str(node.address), _where(config, own, "address"))
    elif said is not None and "range" in said.values:
        yield Row("address", f"one of {said.values['range']}", _where(config, said, "range"))
    elif config.range is not None and config.range.first in subnet:
        yield Row("address", f"one of {config.range}", config.origins["range"].place)
    else:
        yield Row("address", "none: this network has no range", "default")


def _boot(assembly: Assembly, groups: Groups, node: _Node) -> Iterator[Row]:
    boot, config = node.settings.boot, assembly.config
    if boot.menu is not None:
        yield _said(config, node, "menu", ", ".join(item.text for item in boot.menu.items))
    files: dict[int | None, str] = {None: boot.default, **dict(boot.by_architecture)}
    labels: dict[tuple[str, str], list[int]] = {}
    for number, file in files.items():
        section = _section_of_file(node, number)
        key = "boot-file" if number is None or not _names(section, number, config) else "boot-file-for"
        place = _where(config, section, key) if section is not None else config.origins[key].place
        if number is None:
            yield Row("boot-file", _with_group(assembly, groups, node, file), place)
        else:
            labels.setdefault((file, place), []).append(number)
    for (file, place), numbers in labels.items():
        name = next((label for label, known in ARCHITECTURES.items() if known == tuple(numbers)), "")
        text = name or " ".join(map(str, numbers))
        yield Row(f"boot-file-for {text}", _with_group(assembly, groups, node, file), place)


def _names(section: Section | None, number: int, config: Config) -> bool:
    if section is None:
        return any(number in each.numbers for each in config.boot_file_for)
    return number in dict(section.values.get("boot-file-for", ()))


def _section_of_file(node: _Node, number: int | None) -> Section | None:
    """Return the innermost section that names a file for this architecture, or one for all; None for the top."""
    for section in node.sections:
        if "boot-file" in section.values or number in dict(section.values.get("boot-file-for", ())):
            return section
    return None


def _with_group(assembly: Assembly, groups: Groups, node: _Node, file: str) -> str:
    image = assembly.catalogue.paths.get(path_of(file))
    binding = groups.for_image(image) if image is not None else None
    if binding is None or not node.settings.multicast:
        return file or "-"
    return f"{file} (group {binding.group})"


def _action(config: Config, node: _Node, said: str, action: ServerAction) -> Row:
    for section in node.sections:
        if action in section.values.get(said, ()):
            return Row(f"{said} {action.value}", "yes", _where(config, section, said))
    return Row(f"{said} {action.value}", "yes", config.origins[said].place)


def _said(config: Config, node: _Node, key: str, value: str) -> Row:
    """Return a row with the place of the innermost section that says something for ``key``, or of the top."""
    for section in node.sections:
        if key in section.values:
            return Row(key, value, _where(config, section, key))
    if key == "menu":
        return Row(key, value, str(config.file))
    origin = config.origins.get(key)
    if key == "router" and value == "-":
        return Row(key, value, "default")
    return Row(key, value, origin.place if origin is not None else "default")


def _where(config: Config, section: Section, key: str) -> str:
    place = config.sections.place(section, key) if key else config.sections.places.of(section.kind, section.number)
    return f"{section}, {place}"


def _listed(addresses: tuple[IPv4Address, ...]) -> str:
    return " ".join(map(str, addresses)) or "-"


def as_values(rows: list[Row]) -> dict[str, Any]:
    """Return the rows for a script."""
    return {row.name: {"value": row.value, "from": row.place} for row in rows}
