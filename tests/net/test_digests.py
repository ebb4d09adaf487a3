"""Digests that are kept from one run to the next: never for a file that may have changed."""

from __future__ import annotations

import hashlib
import os
from contextlib import closing
from pathlib import Path

import pytest

from mtftpd.net import candidates
from mtftpd.net.candidates import FileIdentity
from mtftpd.net.images import ImageStore

NAMED = {"one": "one", "two": "two"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files that are as good as old."""
    monkeypatch.setattr(candidates, "SETTLED_SECONDS", 0.0)
    (tmp_path / "one").write_bytes(b"1" * 1000)
    (tmp_path / "two").write_bytes(b"2" * 1000)
    return tmp_path


def run(root: Path, digests: dict[FileIdentity, str]) -> tuple[list[str], dict[str, str], dict[FileIdentity, str]]:
    """Return what a server with these digests reads at its start, the digests of its images, and what it keeps."""
    read: list[str] = []
    with closing(ImageStore(root)) as store:
        store.digests = digests
        catalogue = store.catalogue(NAMED, lambda name, _done, _size: read.append(name))
        return read, {image.name: image.digest for image in catalogue.images}, store.digests


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_has_not_changed_is_not_read_again(root: Path) -> None:
    read, digests, kept = run(root, {})
    assert read == ["one", "two"]
    assert digests == {name: sha256(root / name) for name in NAMED}
    assert run(root, kept) == ([], digests, kept)


def test_a_file_whose_time_was_set_back_is_read_again(root: Path) -> None:
    _, _, kept = run(root, {})
    before = (root / "one").stat()
    with (root / "one").open("r+b") as stream:
        stream.write(b"x")
    os.utime(root / "one", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (root / "one").stat().st_mtime_ns == before.st_mtime_ns
    read, digests, _ = run(root, kept)
    assert read == ["one"]
    assert digests["one"] == sha256(root / "one")


def test_what_is_not_served_any_more_is_forgotten(root: Path) -> None:
    _, _, kept = run(root, {FileIdentity(1, 2, 3, 4, 5): "ab"})
    assert len(kept) == 2


def test_a_file_that_is_younger_than_a_tick_of_its_clock_is_not_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "SETTLED_SECONDS", 1e9)
    assert run(root, {})[2] == {}


def test_a_file_that_was_touched_while_it_was_read_is_not_kept(root: Path) -> None:
    def touch(name: str, _done: int, _size: int) -> None:
        os.chmod(root / name, 0o600)

    with closing(ImageStore(root)) as store:
        store.catalogue(NAMED, touch)
        assert store.digests == {}


def test_what_an_open_image_is_known_by_is_not_enough_for_another_run(root: Path) -> None:
    """Its inode and times are those of the running server's descriptor; whether they were set back is not known."""
    with closing(ImageStore(root)) as store:
        store.catalogue(NAMED)
        os.chmod(root / "one", 0o600)
        store.catalogue(NAMED)
        assert list(store.digests.values()) == [sha256(root / "two")]
