"""From the sections of the file to subnets and nodes, with the checks that need more than one section."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from mtftpd.core.networks import NetworkMap
from mtftpd.core.node_settings import NOTHING_SAID, Inventory, NodeEntry, OtherNics, Scope, Subnet
from mtftpd.core.settings import Link
from mtftpd.daemon.node_values import suggestion, uuid_text
from mtftpd.daemon.problems import Problem
from mtftpd.daemon.sections import SCOPE, Section, Sections

_NO_HOSTS = 31
"""The first length of a prefix that leaves no address for the network itself and for a broadcast (RFC 3021)."""


def scope_of(section: Section) -> Scope:
    """Return what a section says of that which is inherited."""
    said = section.values
    if said.keys().isdisjoint(SCOPE):
        return NOTHING_SAID
    return Scope(
        boot_file=said.get("boot-file", ""),
        by_architecture=said.get("boot-file-for", ()),
        menu=said.get("menu"),
        multicast=said.get("multicast"),
        rom=said.get("rom", ""),
        without=frozenset(said.get("without", ())),
        having=frozenset(said.get("with", ())),
        lease_seconds=said.get("lease-time", 0),
        router=said.get("router"),
        dns=said.get("dns", ()),
        ntp=said.get("ntp", ()),
        domain=said.get("domain", ""),
    )


def subnets_of(sections: Sections) -> tuple[Subnet, ...]:
    """Return the subnets; those without a network are left out, they are a problem already."""
    return tuple(_subnet(each) for each in sections["subnet"] if "network" in each.values)


def inventory_of(sections: Sections) -> Inventory:
    """Return the nodes; a group that there is not says nothing, and is a problem of `problems_between`."""
    groups = {each.values.get("name"): scope_of(each) for each in sections["group"]}
    return Inventory(tuple(_entry(each, groups) for each in sections["node"]))


def _subnet(section: Section) -> Subnet:
    said = section.values
    ends = said.get("range")
    return Subnet(said["network"], ends.first if ends else None, ends.last if ends else None, scope_of(section))


def _entry(section: Section, groups: dict[str | None, Scope]) -> NodeEntry:
    said = section.values
    return NodeEntry(
        name=str(section).partition(" ")[2],
        hardware=said.get("hardware", ()),
        uuid=said.get("uuid", b""),
        bootable=said.get("bootable"),
        other_nics=said.get("other-nics", OtherNics.HOLD),
        address=said.get("address"),
        host_name=said.get("host-name", ""),
        group=groups.get(said["group"], NOTHING_SAID) if "group" in said else NOTHING_SAID,
        own=scope_of(section),
    )


def problems_between(sections: Sections) -> Iterator[Problem]:
    """Find sections that are right one by one and wrong together."""
    for kind, keys in (("group", ("name",)), ("node", ("name", "hardware", "uuid", "address"))):
        for key in keys:
            yield from _twice(sections, kind, key)
    yield from _groups(sections)
    for section in sections["node"]:
        yield from _interfaces(sections, section)
    for section in (*sections["subnet"], *sections["group"], *sections["node"]):
        yield from _on_and_off(sections, section)
    yield from _subnets(sections)


def problems_on(link: Link, sections: Sections) -> Iterator[Problem]:
    """Find what does not fit the network that is served."""
    by_network = NetworkMap({each.values["network"]: each for each in sections["subnet"] if "network" in each.values})
    for section in sections["subnet"]:
        network = section.values["network"]
        if network != link.network and network.overlaps(link.network):
            text = f"overlaps {link.network}, the network of {link.name}; give that one, or one beyond it"
            yield sections.problem(section, "network", text)
        ends = section.values.get("range")
        if ends is not None and ends.first <= link.address <= ends.last:
            yield sections.problem(
                section, "range", f"contains {link.address}, the address of this server; leave it out"
            )
    for section in sections["node"]:
        address = section.values.get("address")
        if address is None:
            continue
        here = by_network.find(address)
        network = here.values["network"] if here is not None else link.network
        if address == link.address:
            yield sections.problem(section, "address", f"{address} is the address of this server; choose another one")
        elif address not in network:
            text = f"{address} is in no network that is served; choose one in {link.network}, or add a [[subnet]]"
            yield sections.problem(section, "address", text)
        elif not _is_host(address, network):
            yield sections.problem(section, "address", f"{address} is no address for a host in {network}")
        elif here is not None and address == here.values.get("router"):
            yield sections.problem(section, "address", f"{address} is the router of {network}; choose another one")


def _twice(sections: Sections, kind: str, key: str) -> Iterator[Problem]:
    """Find what two sections claim; one section may list nothing twice either."""
    first: dict[Hashable, Section] = {}
    for section in sections[kind]:
        for value in _listed(section.values.get(key)):
            other = first.setdefault(value, section)
            if other is not section:
                text = f"{_shown(key, value)} is {other}'s already (from {sections.place(other, key)})"
                yield sections.problem(section, key, text)


def _listed(value: Any) -> tuple[Hashable, ...]:
    if value is None:
        return ()
    # A hardware address is a tuple as well, and a single value.
    return tuple(dict.fromkeys(value)) if type(value) is tuple else (value,)


def _shown(key: str, value: Hashable) -> str:
    return uuid_text(value) if key == "uuid" and isinstance(value, bytes) else str(value)


def _groups(sections: Sections) -> Iterator[Problem]:
    names = {each.values.get("name") for each in sections["group"]}
    for section in sections["node"]:
        wanted = section.values.get("group")
        if wanted is not None and wanted not in names:
            near = suggestion(wanted, (name for name in names if name))
            yield sections.problem(section, "group", f"there is no group {wanted}{near or '; add a [[group]]'}")


def _interfaces(sections: Sections, section: Section) -> Iterator[Problem]:
    said = section.values
    bootable, nics = said.get("bootable"), said.get("hardware", ())
    if bootable is not None and bootable not in nics:
        yield sections.problem(section, "bootable", f"{bootable} is not in hardware; name one of the interfaces there")
    if said.get("other-nics") is OtherNics.SILENT and bootable is None:
        yield sections.problem(
            section, "other-nics", "silence needs bootable: no interface is to be left out by mistake"
        )


def _on_and_off(sections: Sections, section: Section) -> Iterator[Problem]:
    for action in set(section.values.get("without", ())) & set(section.values.get("with", ())):
        yield sections.problem(section, "with", f"{action.value} is in without as well; drop one of the two")


def _subnets(sections: Sections) -> Iterator[Problem]:
    named = [each for each in sections["subnet"] if "network" in each.values]
    ordered = sorted(named, key=lambda each: (each.values["network"].network_address, each.values["network"].prefixlen))
    widest = ordered[0] if ordered else None
    for section in ordered[1:]:
        assert widest is not None
        if section.values["network"].overlaps(widest.values["network"]):
            text = f"overlaps {widest} (from {sections.place(widest, 'network')}); a node is in one subnet"
            yield sections.problem(section, "network", text)
        else:
            widest = section
    for section in named:
        yield from _in_its_network(sections, section)


def _in_its_network(sections: Sections, section: Section) -> Iterator[Problem]:
    network, ends = section.values["network"], section.values.get("range")
    for end in (ends.first, ends.last) if ends is not None else ():
        if end not in network:
            yield sections.problem(section, "range", f"{end} is not in {network}; choose addresses in it")
        elif not _is_host(end, network):
            yield sections.problem(section, "range", f"{end} is no address for a host in {network}; leave it out")
    router = section.values.get("router")
    if router is not None and router not in network:
        yield sections.problem(section, "router", f"{router} is not in {network}; clients cannot reach it")


def _is_host(address: IPv4Address, network: IPv4Network) -> bool:
    return network.prefixlen >= _NO_HOSTS or address not in (network.network_address, network.broadcast_address)
