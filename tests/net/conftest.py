from collections.abc import Iterator
from pathlib import Path

import pytest

from mtftpd.core.settings import Link
from mtftpd.net import interfaces
from mtftpd.net.images import ImageStore


@pytest.fixture
def loopback() -> Link:
    return interfaces.find("lo")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def store(root: Path) -> Iterator[ImageStore]:
    opened = ImageStore(root)
    yield opened
    opened.close()
