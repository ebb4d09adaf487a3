"""Every test here needs root, network namespaces and other people's programs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.system)


def write_image(path: Path, size: int, seed: int = 1) -> bytes:
    """Write ``size`` seeded random bytes to a file and return them."""
    data = random.Random(seed).randbytes(size)
    path.write_bytes(data)
    return data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that the server serves."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder
