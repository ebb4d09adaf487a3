"""From a configuration and an interface to what the core is told, with the checks that need both."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from mtftpd.core.groups import UNICAST_ONLY, Groups, path_of
from mtftpd.core.images import MTFTP_BLOCK_SIZE
from mtftpd.core.link.wire_time import LINKS, link_of
from mtftpd.core.node_settings import Boot
from mtftpd.core.settings import Addressing, Bandwidth, Catalogue, Link, Mode, Multicast, Settings
from mtftpd.daemon.config import Config, image_sections
from mtftpd.daemon.inventory import problems_on
from mtftpd.daemon.problems import Problem, raise_if_any
from mtftpd.daemon.values import is_uri

_LAST_OCTET_OF_OLD_GPXE = 224


def boot_file(config: Config) -> str:
    """Return the default boot file: the one that was named, else the only image, else ""."""
    if config.boot_file is not None:
        return config.boot_file
    return config.image[0].name if len(config.image) == 1 else ""


def settings_for(config: Config, link: Link) -> Settings:
    """Return the settings of the service on this link; values that do not fit the link are one `BadConfig`."""
    raise_if_any(_problems(config, link))
    architectures = tuple((number, entry.boot_file) for entry in config.boot_file_for for number in entry.numbers)
    return Settings(
        link=link,
        mode=config.mode,
        ports=config.ports,
        boot=Boot(boot_file(config), architectures, config.menu),
        addressing=Addressing(
            first=config.range.first if config.range else None,
            last=config.range.last if config.range else None,
            router=config.router,
            lease_seconds=config.lease_time,
            serve_all=config.serve_all,
            dns=config.dns,
            ntp=config.ntp,
            domain=config.domain or "",
        ),
        multicast=_multicast(config),
        bandwidth=bandwidth_for(config, link),
        allowed=config.allow,
        rollover=config.rollover,
        faithful=config.faithful,
        without=frozenset(config.without),
        subnets=config.subnets,
        inventory=config.inventory,
    )


def _multicast(config: Config) -> Multicast:
    sections = image_sections(config)
    bases = tuple((name, each.values["group"]) for name, each in sections.items() if "group" in each.values)
    unicast = frozenset(name for name, each in sections.items() if not each.values.get("multicast", True))
    paces = tuple((name, each.values["pace"]) for name, each in sections.items() if "pace" in each.values)
    return Multicast(config.group, config.timeout_seconds, config.ttl, bases, unicast, paces)


def bandwidth_for(config: Config, link: Link) -> Bandwidth:
    """Return what may be sent: as configured, else by the speed that the interface reports, else without a limit."""
    reported = link_of(link.speed, half_duplex=link.half_duplex) if link.speed else None
    kind = config.link or reported
    rate = config.rate if config.rate is not None else kind.default_rate if kind is not None else 0.0
    said = {name: each.values["weight"] for name, each in image_sections(config).items() if "weight" in each.values}
    said |= {entry.name: entry.weight for entry in config.weight}
    return Bandwidth(rate, kind or LINKS["switch-1g"], {name: float(number) for name, number in said.items()})


def rate_text(config: Config, link: Link) -> str:
    """Return the limit in words, with the reason where it is a default."""
    bandwidth = bandwidth_for(config, link)
    if not bandwidth.rate:
        return "none" if config.rate is not None else f"none: {link.name} does not say how fast it is"
    text = f"{bandwidth.rate / 1e6:g} Mbit/s"
    if config.rate is not None:
        return text
    kind = bandwidth.link
    return f"{text}, {bandwidth.rate / kind.speed:.0%} of {kind.name} {kind.speed / 1e6:g} Mbit/s"


def _problems(config: Config, link: Link) -> Iterator[Problem]:
    network = link.network
    yield from problems_on(link, config.sections)
    if config.range is not None and config.mode is Mode.DHCP:
        said = config.said("range")
        if any(each.network == network and each.first is not None for each in config.subnets):
            yield Problem(said, f"the [[subnet]] {network} has a range of its own; drop one of the two")
        for end in (config.range.first, config.range.last):
            if end not in network:
                yield Problem(said, f"{end} is not in {network}, the network of {link.name}; choose addresses in it")
            elif network.prefixlen < 31 and end in (network.network_address, network.broadcast_address):
                yield Problem(said, f"{end} is no address for a host in {network}; leave it out")
        if config.range.first <= link.address <= config.range.last:
            yield Problem(said, f"contains {link.address}, the address of this server; leave it out")
    if config.router is not None and config.router not in network:
        yield Problem(
            config.said("router"), f"is not in {network}, the network of {link.name}; clients cannot reach it"
        )


def warnings_for(config: Config, settings: Settings, catalogue: Catalogue, groups: Groups) -> Iterator[str]:
    """Say what is allowed but probably not meant, one line each."""
    link = settings.link
    if int(link.address) & 0xFF >= _LAST_OCTET_OF_OLD_GPXE:
        yield (
            f"the last octet of {link.address} is {_LAST_OCTET_OF_OLD_GPXE} or more: gPXE from before May 2008 sends "
            f"its frames to a multicast address then; give {link.name} a lower address if such ROMs are to boot"
        )
    yield from _warnings_about_images(config, catalogue)
    for image in catalogue.images:
        if image.size < MTFTP_BLOCK_SIZE:
            yield (
                f"image {image.name} has {image.size} bytes: Intel's EFI client refuses blocks of less than"
                f" {MTFTP_BLOCK_SIZE}, and asks for blocks as long as the file; pad it"
            )
    for image, reason in groups.refused:
        if reason == UNICAST_ONLY:
            continue
        yield f"image {image.name} gets no multicast group: {reason}"
    yield from _warnings_about_boot_files(settings, catalogue)
    if config.mode is not Mode.DHCP:
        for name in ("range", "router"):
            if config.origins[name].texts:
                yield f"{config.said(name)} has no effect without --mode dhcp"
        yield from _warnings_about_sections(config)


def _warnings_about_sections(config: Config) -> Iterator[str]:
    """Say which sections have no effect, because somebody else gives out the addresses."""
    if config.mode is Mode.TFTP and any(config.sections[kind] for kind in ("subnet", "group", "node")):
        yield "sections have no effect with --mode tftp, except those of images: without DHCP nobody knows the nodes"
        return
    for kind, key in (("subnet", "range"), ("node", "address")):
        said = [section for section in config.sections[kind] if key in section.values]
        if said:
            yield f"{key} of {said[0]} (from {config.sections.place(said[0], key)}) has no effect without --mode dhcp"


def _warnings_about_images(config: Config, catalogue: Catalogue) -> Iterator[str]:
    known = {image.name for image in catalogue.images}
    for entry in config.weight:
        if entry.name not in known:
            yield f"--weight {entry}: there is no --image {entry.name}"
    if not catalogue.images:
        yield "no --image: every file below the root can be fetched by TFTP, but nothing is sent by multicast"
    elif config.group is None:
        yield "no --group: images have no multicast group of their own; add --group 239.1.1.1"


def _warnings_about_boot_files(settings: Settings, catalogue: Catalogue) -> Iterator[str]:
    boot = settings.boot
    if settings.mode is not Mode.TFTP and not (boot.default or boot.by_architecture or boot.menu):
        yield "no --boot-file and not exactly one --image: clients are told no file to boot"
    if not is_uri(boot.default):
        return
    uri = urlsplit(boot.default)
    if uri.scheme == "mtftp":
        name = path_of(boot.default)
        if name not in catalogue.paths:
            yield f"--boot-file {boot.default}: {name} is no --image, so iPXE falls back to unicast TFTP"
        if uri.hostname != str(settings.link.address):
            yield f"--boot-file {boot.default}: the host is not {settings.link.address}, the address of this server"
