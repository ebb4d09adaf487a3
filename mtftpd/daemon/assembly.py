"""Everything that the service is made of, put together from a configuration; ``serve``, ``check`` and reload use it."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from mtftpd.core.addresses.address_book import AddressBook
from mtftpd.core.dhcp.boot_plan import Planner
from mtftpd.core.groups import Groups
from mtftpd.core.settings import Catalogue, Link, Settings
from mtftpd.daemon.config import Config, aliases_of, image_sections, relative_path
from mtftpd.daemon.settings import settings_for
from mtftpd.errors import BadConfig
from mtftpd.net import interfaces
from mtftpd.net.candidates import Progress
from mtftpd.net.images import ImageStore


@dataclass(frozen=True, slots=True)
class Assembly:
    """One configuration, validated against the link and the files that it names."""

    config: Config
    settings: Settings
    catalogue: Catalogue


def find_link(config: Config) -> Link:
    """Return the link that was named, or the only one there is; otherwise `BadConfig` names the candidates."""
    if config.interface is not None:
        return interfaces.find(config.interface)
    candidates = interfaces.candidates()
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise BadConfig(
            "no interface but loopback is up and has an IPv4 address; bring one up, or name one with --interface"
        )
    listed = ", ".join(f"{link.name} ({link.address}/{link.network.prefixlen})" for link in candidates)
    raise BadConfig(f"{len(candidates)} interfaces could be served; choose one with --interface: {listed}")


def named_files(config: Config) -> dict[str, str]:
    """Return the images: each of their names -> path below the root."""
    sections = image_sections(config)
    return {
        name: relative_path(config, image)
        for image in config.image
        for name in (image.name, *aliases_of(sections.get(image.name)))
    }


def assemble(config: Config, link: Link, store: ImageStore, progress: Progress | None = None) -> Assembly:
    """Validate ``config`` against ``link``, then open its images; `BadConfig` leaves the store as it was."""
    settings = _checked(config, link)
    return Assembly(config, settings, store.catalogue(named_files(config), progress))


async def assemble_aside(config: Config, link: Link, store: ImageStore) -> Assembly:
    """Do what `assemble` does in another thread; cancelled, it ends after a chunk of the images."""
    settings = await trio.to_thread.run_sync(_checked, config, link)
    with store.open(named_files(config)) as candidates:
        await trio.to_thread.run_sync(candidates.hash, _stop_when_cancelled)
        return Assembly(config, settings, store.take(candidates))


def _checked(config: Config, link: Link) -> Settings:
    settings = settings_for(config, link)
    # These raise for what cannot be put on the wire, before the store has changed.
    Planner(settings, Catalogue(), Groups(settings, Catalogue()))
    AddressBook(settings)
    return settings


def _stop_when_cancelled(_name: str, _done: int, _size: int) -> None:
    trio.from_thread.check_cancelled()
