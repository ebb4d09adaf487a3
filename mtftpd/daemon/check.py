"""The effective configuration for people and programs: what is in force, where it comes from, which group is whose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from mtftpd.core.groups import Groups
from mtftpd.core.images import Image
from mtftpd.core.settings import Link, Ports
from mtftpd.daemon.assembly import Assembly, assemble, find_link
from mtftpd.daemon.config import Config, Sources, load, unknown_variables
from mtftpd.daemon.explain import as_values, explain
from mtftpd.daemon.option_table import BY_NAME
from mtftpd.daemon.settings import boot_file, rate_text, warnings_for
from mtftpd.daemon.store.sqlite import remembered_groups
from mtftpd.daemon.values import address
from mtftpd.errors import BadConfig
from mtftpd.net.images import ImageStore


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that `check` prints."""

    assembly: Assembly
    groups: Groups
    warnings: tuple[str, ...]


def check(sources: Sources, *, as_json: bool) -> str:
    """Return the report about a configuration, or raise what ``serve`` would raise; nothing is sent."""
    found = examine(sources)
    return json.dumps(_as_values(found), indent=2) if as_json else "\n".join(_lines(found))


def check_node(sources: Sources, node: str, relay: str | None, *, as_json: bool) -> str:
    """Return the report about one node, see `mtftpd.daemon.explain`; raises what ``serve`` would raise."""
    found = examine(sources)
    rows = explain(found.assembly, found.groups, node, _relay(relay))
    if as_json:
        return json.dumps(as_values(rows), indent=2)
    name_width = max(len(row.name) for row in rows)
    value_width = max(len(row.value) for row in rows if len(row.value) <= 40)
    return "\n".join(f"{row.name:{name_width}}  {row.value:{value_width}}  {row.place}" for row in rows)


def _relay(text: str | None) -> IPv4Address | None:
    try:
        return None if text is None else address(text)
    except ValueError as error:
        raise BadConfig(f"--relay {text}: {error}") from None


def examine(sources: Sources) -> Findings:
    """Do what ``serve`` does before it opens a port."""
    config = load(sources)
    link = find_link(config)
    store = ImageStore(config.root)
    try:
        assembly = assemble(config, link, store)
        known, warnings = _known_groups(config.state)
        groups = Groups(assembly.settings, assembly.catalogue, known)
    finally:
        store.close()
    warnings += unknown_variables(sources.environment)
    warnings += warnings_for(config, assembly.settings, assembly.catalogue, groups)
    return Findings(assembly, groups, tuple(warnings))


def _known_groups(state: Path | None) -> tuple[dict[str, IPv4Address], list[str]]:
    if state is None:
        return {}, []
    try:
        return remembered_groups(state), []
    except ValueError as error:
        return {}, [f"--state {state}: what is there cannot be used ({error}); serve will set it aside"]


def _option_values(config: Config, link: Link) -> Iterator[tuple[str, str, str]]:
    """Give name, value and origin of every option; what follows from other options is shown as it came out."""
    derived = {"boot-file": boot_file(config), "interface": link.name, "rate": rate_text(config, link)}
    for name in BY_NAME:
        origin = config.origins[name]
        text = " ".join(origin.texts) or derived.get(name, "") or "-"
        yield name, text, origin.place
    if config.menu is not None:
        yield "menu", ", ".join(item.text for item in config.menu.items), str(config.file)
    for kind in ("subnet", "group", "node"):
        if config.sections[kind]:
            yield f"[[{kind}]]", f"{len(config.sections[kind])} sections", config.sections.places.of(kind)
    changed = [name for name in Ports.__dataclass_fields__ if not name.startswith("mtftp_") or name == "mtftp_ipxe"]
    for name in changed:
        if getattr(config.ports, name) != getattr(Ports(), name):
            yield f"ports.{name.replace('_', '-')}", str(getattr(config.ports, name)), str(config.file)


def _images(found: Findings) -> Iterator[dict[str, Any]]:
    names: dict[int, list[str]] = {}
    for name, image in found.assembly.catalogue.paths.items():
        names.setdefault(image.key, []).append(name)
    reasons = {image.key: reason for image, reason in found.groups.refused}
    for image in found.assembly.catalogue.images:
        yield {
            "names": names[image.key],
            "size": image.size,
            "sha256": image.digest,
            **_delivery(found.groups, image, reasons.get(image.key, "no --group")),
        }


def _delivery(groups: Groups, image: Image, reason: str) -> dict[str, Any]:
    binding = groups.for_image(image)
    entry: dict[str, Any] = {"group": str(binding.group) if binding else None}
    if binding:
        entry["server-port"] = binding.server_port
    else:
        entry["why-no-group"] = reason
    if groups.ipxe is not None and groups.ipxe.image.key == image.key:
        entry["ipxe-group"] = str(groups.ipxe.group)
    return entry


def _as_values(found: Findings) -> dict[str, Any]:
    link = found.assembly.settings.link
    return {
        "options": {
            name: {"value": value, "from": place} for name, value, place in _option_values(found.assembly.config, link)
        },
        "link": {
            "interface": link.name,
            "address": f"{link.address}/{link.network.prefixlen}",
            "mtu": link.mtu,
        },
        "images": list(_images(found)),
        "warnings": list(found.warnings),
    }


def _lines(found: Findings) -> Iterator[str]:
    link = found.assembly.settings.link
    yield f"serves {link.name}: {link.address}/{link.network.prefixlen}, MTU {link.mtu}"
    yield ""
    rows = list(_option_values(found.assembly.config, link))
    width = max(len(name) for name, _, _ in rows)
    values = max(len(value) for _, value, _ in rows if len(value) <= 40)
    for name, value, place in rows:
        yield f"{name:{width}}  {value:{values}}  {place}"
    for image in _images(found):
        yield ""
        yield f"image {' = '.join(image['names'])}"
        yield f"  {image['size']} bytes, SHA-256 {image['sha256']}"
        if image["group"]:
            yield f"  group {image['group']}, opened on port {image['server-port']}"
        else:
            yield f"  no group: {image['why-no-group']}"
        if "ipxe-group" in image:
            yield f"  iPXE: group {image['ipxe-group']}"
    for warning in found.warnings:
        yield ""
        yield f"warning: {warning}"
