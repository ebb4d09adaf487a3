"""Another configuration, or other files, while the server runs: all of it is taken or nothing is.

Images are watched by what `stat` says about their paths.  A file that is being copied changes from second to second,
so the new content is taken once two looks in a row found the same.  It is read in another thread, and what the images
before it were stays open for as long as anything sends it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import trio

from mtftpd.core.effects import Effects
from mtftpd.core.groups import Groups
from mtftpd.core.service import BootService
from mtftpd.core.settings import Mode
from mtftpd.daemon.assembly import Assembly, assemble_aside, named_files
from mtftpd.daemon.config import Config, Sources, load
from mtftpd.daemon.journal import say
from mtftpd.daemon.option_table import BY_NAME, FIXED_WHILE_RUNNING
from mtftpd.daemon.problems import Problem, raise_if_any
from mtftpd.daemon.settings import bandwidth_for, rate_text, warnings_for
from mtftpd.daemon.store import Store
from mtftpd.errors import StartupError
from mtftpd.net.images import ImageStore
from mtftpd.net.interfaces import with_speed

Look = tuple[tuple[int, int, int, int] | None, ...]
"""Device, inode, size and time of change of every image, None for one that is not there."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a reload changes: the service, the open images, and where state is kept, if anywhere."""

    service: BootService
    store: ImageStore
    state: Store | None
    perform: Callable[[Effects], None]


class Reloader:
    """Holds the configuration in force and replaces it."""

    def __init__(self, sources: Sources, assembly: Assembly, parts: Parts) -> None:
        self.assembly = assembly
        self._sources = sources
        self._parts = parts
        self._served = look(assembly.config)
        self._last = self._served
        self._one_at_a_time = trio.Lock()

    async def reload(self) -> bool:
        """Read the configuration again and put it in force; on any error the old one stays, and False is returned."""
        async with self._one_at_a_time:
            return await self._reload()

    async def watch(self) -> None:
        """Look at the interface and the files of the images, about once a second; take new content when it settled."""
        async with self._one_at_a_time:
            self._watch_speed()
            await self._watch()
            self._close_unused()

    async def _reload(self) -> bool:
        seen = self._served
        try:
            # 10,000 nodes are half a second, in which nothing else is to wait.
            config = await trio.to_thread.run_sync(load, self._sources)
            raise_if_any(_fixed(self.assembly.config, config))
            seen = look(config)
            await self._replace(config)
        except StartupError as error:
            for line in str(error).splitlines():
                say(logging.ERROR, "reload-failed", text=f"{line} (the old configuration stays in force)")
            return False
        self._served = self._last = seen
        say(logging.INFO, "reloaded", (("images", len(self.assembly.catalogue.images)),))
        return True

    async def _watch(self) -> None:
        seen = look(self.assembly.config)
        settled, self._last = seen == self._last, seen
        if seen == self._served or not settled:
            return
        self._served = seen  # Whatever comes of it: without another change there is no other attempt.
        try:
            await self._replace(self.assembly.config)
        except StartupError as error:
            say(logging.ERROR, "image-not-taken", text=f"{error} (the images that were open stay in force)")
            return
        say(logging.INFO, "images-changed", (("images", len(self.assembly.catalogue.images)),))

    def _watch_speed(self) -> None:
        """Take another speed of the link: it may have had no carrier at the start, or another partner since."""
        config, settings = self.assembly.config, self.assembly.settings
        link = with_speed(settings.link)
        if link == settings.link:
            return
        settings = replace(settings, link=link, bandwidth=bandwidth_for(config, link))
        self._take(replace(self.assembly, settings=settings))
        say(logging.INFO, "link-speed", (("interface", link.name), ("rate", rate_text(config, link))))

    async def _replace(self, config: Config) -> None:
        service = self._parts.service
        assembly = await assemble_aside(config, self.assembly.settings.link, self._parts.store)
        self._take(assembly)
        tell_warnings(assembly, service.groups)
        if self._parts.state is not None:
            self._parts.state.save_digests(self._parts.store.digests)
            self._parts.state.save_groups(service.groups.assignments())
        self._close_unused()

    def _take(self, assembly: Assembly) -> None:
        """Put ``assembly`` in force; raises `BadConfig`, and then nothing has changed."""
        service = self._parts.service
        self._parts.perform(service.reconfigure(assembly.settings, assembly.catalogue, time.monotonic()))
        self.assembly = assembly

    def _close_unused(self) -> None:
        self._parts.store.close_retired(self._parts.service.images_in_use())


def tell_warnings(assembly: Assembly, groups: Groups) -> None:
    """Log what is allowed but probably not meant."""
    for warning in warnings_for(assembly.config, assembly.settings, assembly.catalogue, groups):
        say(logging.WARNING, "configuration", text=warning)


def look(config: Config) -> Look:
    """Return what the files of the images look like now."""
    return tuple(_look_at(os.path.join(config.root, path)) for path in named_files(config).values())


def _look_at(path: str) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _fixed(old: Config, new: Config) -> list[Problem]:
    """Return what a reload would have to change and cannot."""
    text = "cannot change while the server runs; restart it"
    changed = [name for name in FIXED_WHILE_RUNNING if _value(old, name) != _value(new, name)]
    if (old.mode is Mode.TFTP) != (new.mode is Mode.TFTP):
        changed.append("mode")
    problems = [Problem(new.said(name), text) for name in changed]
    if old.ports != new.ports and not {"client-port", "server-port"} & set(changed):
        problems.append(Problem(f"{new.file}: ports", text))
    return problems


def _value(config: Config, name: str) -> object:
    return getattr(config, BY_NAME[name].field)
