"""From flags, environment and file to one validated configuration: flag > ``MTFTPD_*`` > file > default.

The highest source that names an option decides it alone: images given as flags replace those of the file.
"""

from __future__ import annotations

import difflib
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from mtftpd.core.images import MAX_MTFTP_SIZE
from mtftpd.core.link.wire_time import LinkKind
from mtftpd.core.node_settings import NO_NODES, Inventory, Menu, Subnet
from mtftpd.core.settings import Mode, Ports
from mtftpd.daemon.config_file import FileValues, read_file
from mtftpd.daemon.inventory import inventory_of, problems_between, subnets_of
from mtftpd.daemon.option_table import BY_NAME, Option
from mtftpd.daemon.problems import Problem, raise_if_any
from mtftpd.daemon.sections import Section, Sections, image_name
from mtftpd.daemon.values import AddressRange, ArchitectureFile, ImageName, ImageWeight, Listen
from mtftpd.quirks.vocabulary import ServerAction

DEFAULT_CONFIG = Path("/etc/mtftpd/mtftpd.toml")
DEFAULT_ROOT = Path("/srv/mtftpd")
CONTROL_NAME = "control.sock"
DEFAULT_CONTROL = Path("/run/mtftpd") / CONTROL_NAME
"""Where a server that systemd has started listens, with ``RuntimeDirectory=mtftpd``."""
_CONFIG_VARIABLE = "MTFTPD_CONFIG"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where values come from.  ``flags`` maps names of options to what was typed; a switch is "true" or "false"."""

    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    config: Path | None = None
    default_config: Path = DEFAULT_CONFIG


@dataclass(frozen=True, slots=True)
class Origin:
    """What was said for one option, and where: "--ttl", "MTFTPD_TTL", "FILE:LINE" or "default"."""

    texts: tuple[str, ...]
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every option of the table under its own name, plus the tables and the sections of the file."""

    interface: str | None
    mode: Mode
    allow: tuple[IPv4Network, ...]
    rate: float | None
    link: LinkKind | None
    weight: tuple[ImageWeight, ...]
    serve_all: bool
    root: Path
    image: tuple[ImageName, ...]
    boot_file: str | None
    boot_file_for: tuple[ArchitectureFile, ...]
    group: IPv4Address | None
    client_port: int
    server_port: int
    timeout_seconds: int
    ttl: int
    faithful: bool
    range: AddressRange | None
    router: IPv4Address | None
    lease_time: int
    dns: tuple[IPv4Address, ...]
    ntp: tuple[IPv4Address, ...]
    domain: str | None
    without: tuple[ServerAction, ...]
    rollover: int
    control: Path | None
    events: Path | None
    hook: Path | None
    metrics: Listen | None
    capture: Path | None
    state: Path | None
    log_format: str
    ports: Ports
    menu: Menu | None = None
    sections: Sections = field(default_factory=Sections)
    subnets: tuple[Subnet, ...] = ()
    inventory: Inventory = NO_NODES
    file: Path | None = None
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def said(self, name: str) -> str:
        """Return how an option was set, for messages: ``--ttl 9 (from FILE:3)``."""
        origin = self.origins[name]
        return where(name, " ".join(origin.texts), origin.place)


def where(name: str, text: str, place: str) -> str:
    """Name an option, its value and where that came from."""
    flag = BY_NAME[name].flag
    said = f"{flag} {text}" if text else flag
    return said if place == flag else f"{said} (from {place})"


def load(sources: Sources) -> Config:
    """Return the configuration; all wrong values are named in one `BadConfig`."""
    file = _file(sources)
    problems = list(file.problems)
    fields: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for option in BY_NAME.values():
        origin = _origin(option, sources, file)
        origins[option.name] = origin
        fields[option.field] = _read(option, origin, problems)
    problems += problems_between(file.sections)
    raise_if_any(problems)
    ports = Ports(
        dhcp_server=file.ports.dhcp_server,
        dhcp_client=file.ports.dhcp_client,
        pxe=file.ports.pxe,
        tftp=file.ports.tftp,
        mtftp_server=fields["server_port"],
        mtftp_client=fields["client_port"],
        mtftp_ipxe=file.ports.mtftp_ipxe,
    )
    config = Config(
        **fields,
        menu=file.menu,
        ports=ports,
        sections=file.sections,
        subnets=subnets_of(file.sections),
        inventory=inventory_of(file.sections),
        file=file.path,
        origins=origins,
    )
    raise_if_any(_contradictions(config))
    return config


def unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """Say which ``MTFTPD_*`` variables name no option; other programs may use the prefix, so it is only a warning."""
    known = [_CONFIG_VARIABLE, *(option.environment for option in BY_NAME.values())]
    for name in sorted(environment):
        if name.startswith("MTFTPD_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"environment variable {name} names no option and is ignored{hint}"


def _file(sources: Sources) -> FileValues:
    if sources.config is not None:
        return read_file(sources.config)
    if named := sources.environment.get(_CONFIG_VARIABLE):
        return read_file(Path(named))
    if sources.default_config.exists():
        return read_file(sources.default_config)
    return FileValues()


def _origin(option: Option, sources: Sources, file: FileValues) -> Origin:
    if option.name in sources.flags:
        return Origin(sources.flags[option.name], option.flag)
    if text := sources.environment.get(option.environment):
        return Origin(tuple(text.split()) if option.many else (text,), option.environment)
    if option.name in file.texts:
        return Origin(file.texts[option.name], file.places[option.name])
    if option.name == "state" and (directory := sources.environment.get("STATE_DIRECTORY")):
        return Origin((directory.split(":")[0],), "STATE_DIRECTORY")
    if option.name == "control" and (directory := sources.environment.get("RUNTIME_DIRECTORY")):
        return Origin((f"{directory.split(':')[0]}/{CONTROL_NAME}",), "RUNTIME_DIRECTORY")
    if option.name == "root":
        return Origin((str(DEFAULT_ROOT if DEFAULT_ROOT.is_dir() else Path.cwd()),), "default")
    return Origin((option.default,) if option.default else (), "default")


def _read(option: Option, origin: Origin, problems: list[Problem]) -> Any:
    found = []
    for text in origin.texts:
        try:
            found.append(option.read(text))
        except ValueError as error:
            problems.append(Problem(where(option.name, text, origin.place), str(error)))
    if option.many:
        return tuple(found)
    return found[0] if found else None


def _contradictions(config: Config) -> Iterator[Problem]:
    """Find values that are right one by one and wrong together; nothing here needs the network."""
    has_range = config.range is not None or any(each.first is not None for each in config.subnets)
    has_address = any(entry.address is not None for entry in config.inventory.entries)
    if config.mode is Mode.DHCP and not has_range and not has_address:
        yield Problem(config.said("mode"), "needs addresses to give out; add --range FIRST-LAST")
    ports = config.ports
    taken = {ports.dhcp_server: "DHCP", ports.pxe: "PXE", ports.tftp: "TFTP"}
    if ports.mtftp_server in taken:
        yield Problem(
            config.said("server-port"), f"is the port of {taken[ports.mtftp_server]}; choose another one, such as 1542"
        )
    yield from _file_problems(config)


def _file_problems(config: Config) -> Iterator[Problem]:
    root = config.root
    if not root.is_dir():
        yield Problem(config.said("root"), "is not a folder; create it or name another one")
        return
    beneath = root.resolve()
    place = config.origins["image"].place
    names: dict[str, str] = {}
    sections = image_sections(config)
    for image in config.image:
        section = sections.get(image.name)
        said = where("image", str(image), place if section is None else config.sections.place(section, "path"))
        for name in (image.name, *aliases_of(section)):
            if names.setdefault(name, image.path) != image.path:
                yield Problem(said, f"the name {name} already stands for {names[name]}; choose another name")
        target = (beneath / image.path).resolve()
        if not target.is_relative_to(beneath):
            yield Problem(said, f"is outside the root {root}; move the file there or choose another --root")
        elif not target.exists():
            yield Problem(said, f"there is no such file below the root {root}")
        elif not target.is_file():
            yield Problem(said, "is not a regular file")
        elif section is not None and wants_group(section) and target.stat().st_size > MAX_MTFTP_SIZE:
            text = f"has {target.stat().st_size} octets, and multicast TFTP carries {MAX_MTFTP_SIZE} at most"
            yield Problem(said, f"{text}; say multicast = false, or make it smaller")


def image_sections(config: Config) -> dict[str, Section]:
    """Return the ``[[image]]`` of each image by its name; {} when a flag or the environment names the images."""
    if config.origins["image"].place in (BY_NAME["image"].flag, BY_NAME["image"].environment):
        return {}
    return {image_name(section): section for section in config.sections["image"]}


def aliases_of(section: Section | None) -> tuple[str, ...]:
    """Return the other names of an image."""
    return () if section is None else section.values.get("aliases", ())


def wants_group(section: Section) -> bool:
    """Return whether it is said that this image gets a group, so that it is an error when it cannot."""
    said = section.values
    return bool(said.get("multicast", "group" in said))


def relative_path(config: Config, image: ImageName) -> str:
    """Return the path of an image below the root, in the form that names in TFTP requests are brought to."""
    path = Path(image.path)
    if path.is_absolute():
        path = path.resolve().relative_to(config.root.resolve())
    return posixpath.normpath(path.as_posix())
