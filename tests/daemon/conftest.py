"""A configuration from flags alone, whatever the machine that runs the tests has, and a bench for the pump."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mtftpd.daemon import journal
from mtftpd.daemon.config import Config, Sources, load
from mtftpd.net import interfaces
from mtftpd.net.channels import Channels, Listening
from mtftpd.net.images import ImageStore
from tests.daemon.pump_harness import ANY_PORTS, Bench, Records

MakeConfig = Callable[..., Config]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "nbp").write_bytes(b"n" * 1000)
    (folder / "other").write_bytes(b"o" * 2000)
    return folder


@pytest.fixture
def make_config(root: Path) -> MakeConfig:
    """Load flags given as name=texts; the root is a folder with the files ``nbp`` and ``other``."""

    def make(**flags: str | tuple[str, ...]) -> Config:
        return load(sources(root, **flags))

    return make


def sources(root: Path, **flags: str | tuple[str, ...]) -> Sources:
    """Return sources with these flags and nothing else."""
    typed = {"root": str(root), **flags}
    texts = {n.replace("_", "-"): (t,) if isinstance(t, str) else t for n, t in typed.items()}
    return Sources(texts, {}, None, root / "no-such-file")


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """Put handlers and level back that a test changes."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), journal.LOGGER.level
    yield root
    root.handlers[:] = handlers
    journal.LOGGER.setLevel(level)


@pytest.fixture
def bench(root: Path) -> Iterator[Bench]:
    """A pump on loopback and any ports, for the files in ``root``."""
    link = interfaces.find("lo")
    channels, store = Channels.open(Listening(link, ANY_PORTS)), ImageStore(root)
    yield Bench(link, channels, store, Records())
    channels.close()
    store.close()
