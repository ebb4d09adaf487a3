"""Image files: opened once beneath the root, read by position, watched for being overwritten.

Each open descriptor is one generation of one file: `Generation` is what the file looked like when it was opened.  A
file that is overwritten in place no longer matches and is never read again, so that no transfer mixes two contents.
A file that is replaced by another under the same name goes on being served from the descriptor, complete and old.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from mtftpd.core.images import Image
from mtftpd.core.settings import Catalogue
from mtftpd.errors import BadConfig, MtftpdError, Unavailable
from mtftpd.net.beneath import open_regular

HASH_CHUNK: Final = 1024 * 1024

Progress = Callable[[str, int, int], None]
"""Told the name of an image, the octets hashed so far and its size."""


class ImageChanged(MtftpdError):
    """The bytes of ``image`` can no longer be had: its file was overwritten or cut, or it was released."""

    def __init__(self, image: Image) -> None:
        super().__init__(f"{image.name}: the file changed while it was served")
        self.image = image


class Generation(NamedTuple):
    """What tells one content of one file from another, in so far as the file system knows; times in nanoseconds."""

    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, status: os.stat_result) -> Generation:
        """Return what this status says."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(slots=True)
class _Open:
    image: Image
    descriptor: int
    generation: Generation
    path: str
    named: bool = False
    changed: bool = False

    def is_intact(self) -> bool:
        return Generation.of(os.fstat(self.descriptor)) == self.generation


class ImageStore:
    """The files beneath ``root`` that are open now.

    Raises `BadConfig` when the root is not a directory that can be read.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.abspath(root)
        try:
            self._directory = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise BadConfig(f"--root {root}: {error.strerror}; name a directory that can be read") from error
        self._keys = itertools.count(1)
        self._open: dict[int, _Open] = {}
        self._by_generation: dict[Generation, _Open] = {}
        self._retired: list[_Open] = []

    def close(self) -> None:
        """Close every descriptor; images of this store cannot be read afterwards."""
        for entry in list(self._open.values()):
            self._close(entry)
        os.close(self._directory)

    def __len__(self) -> int:
        return len(self._open)

    def catalogue(self, named: Mapping[str, str], progress: Progress | None = None) -> Catalogue:
        """Open and hash the files of ``named`` (name -> path, relative to the root) and pin them open.

        A file that an earlier catalogue holds unchanged keeps its image.  What the earlier one held and this one
        does not stays open until the next call, for the transfers that started with it.  Raises `BadConfig`; the
        earlier catalogue is then still what it was.
        """
        paths: dict[str, Image] = {}
        pinned: dict[int, _Open] = {}
        before = set(self._open)
        try:
            for name, path in named.items():
                entry = self._load(name, path, progress or _silent)
                pinned[entry.image.key] = entry
                paths[name] = paths[entry.path] = entry.image
        except MtftpdError:
            for key in set(self._open) - before:
                self._close(self._open[key])
            raise
        self._pin(pinned)
        return Catalogue(tuple(entry.image for entry in pinned.values()), paths)

    def lookup(self, name: str) -> Image | None:
        """Open the regular file ``name`` beneath the root; None when there is none that may be read.

        Whoever asks for the same unchanged file shares one image.
        """
        try:
            descriptor = open_regular(self._directory, name)
        except (OSError, UnicodeEncodeError):
            return None
        generation = Generation.of(os.fstat(descriptor))
        known = self._by_generation.get(generation)
        if known is not None:
            os.close(descriptor)
            return known.image
        return self._add(descriptor, Image(next(self._keys), name, generation.size), generation, name).image

    def release(self, image: Image) -> bool:
        """Close the file of ``image`` unless the catalogue holds it; return whether it was closed."""
        entry = self._open.get(image.key)
        if entry is None or entry.named:
            return False
        self._close(entry)
        return True

    def read(self, image: Image, buffers: Sequence[memoryview], offset: int) -> None:
        """Fill ``buffers`` with the bytes of ``image`` from ``offset`` on, all of them.

        Raises `ImageChanged` when the file is not, or not any longer, what it was when it was opened.
        """
        entry = self._open.get(image.key)
        if entry is None or entry.changed:
            raise ImageChanged(image)
        try:
            got = os.preadv(entry.descriptor, buffers, offset) if buffers else 0
            # Looked at after the read: whatever was written before it is seen.
            intact = got == sum(map(len, buffers)) and entry.is_intact()
        except OSError:
            intact = False
        if not intact:
            self._spoil(entry)
            raise ImageChanged(image)

    def changed(self) -> list[Image]:
        """Return the open images that were overwritten or cut since they were opened; each is returned once."""
        found = [entry for entry in self._open.values() if not entry.changed and not entry.is_intact()]
        for entry in found:
            self._spoil(entry)
        return [entry.image for entry in found]

    def replaced(self) -> list[str]:
        """Return the paths of the catalogue that lead to another content now than the one that is served."""
        return [entry.path for entry in self._open.values() if entry.named and not self._is_current(entry)]

    def _is_current(self, entry: _Open) -> bool:
        try:
            descriptor = open_regular(self._directory, entry.path)
        except OSError:
            return False
        try:
            return Generation.of(os.fstat(descriptor)) == entry.generation
        finally:
            os.close(descriptor)

    def _load(self, name: str, path: str, progress: Progress) -> _Open:
        relative = self._relative(path)
        try:
            descriptor = open_regular(self._directory, relative)
        except OSError as error:
            raise BadConfig(f"--image {name}={path}: {self._why(error)}") from error
        generation = Generation.of(os.fstat(descriptor))
        known = self._by_generation.get(generation)
        if known is not None and known.image.digest:
            os.close(descriptor)
            return known
        digest = _digest(descriptor, name, generation.size, progress)
        entry = self._add(descriptor, Image(next(self._keys), name, generation.size, digest), generation, relative)
        if not entry.is_intact():
            self._close(entry)
            raise Unavailable(f"--image {name}={path}: the file is being written; try again when it is complete")
        return entry

    def _relative(self, path: str) -> str:
        given = PurePosixPath(path)
        return str(given.relative_to(self.root)) if given.is_relative_to(self.root) else str(given)

    def _why(self, error: OSError) -> str:
        if error.errno == errno.EXDEV:
            return f"leads out of --root {self.root}; move the file beneath it or choose another root"
        if error.errno == errno.ENOSYS:
            return "this kernel lacks openat2(2); Linux 5.6 or later is needed"
        return f"{error.strerror} beneath --root {self.root}; name a regular file relative to the root"

    def _add(self, descriptor: int, image: Image, generation: Generation, path: str) -> _Open:
        entry = _Open(image, descriptor, generation, path)
        self._open[image.key] = self._by_generation[generation] = entry
        return entry

    def _pin(self, pinned: Mapping[int, _Open]) -> None:
        for entry in self._retired:
            if entry.image.key not in pinned:
                self._close(entry)
        self._retired = [entry for key, entry in self._open.items() if entry.named and key not in pinned]
        for entry in pinned.values():
            entry.named = True

    def _spoil(self, entry: _Open) -> None:
        entry.changed = True
        self._forget(entry)

    def _forget(self, entry: _Open) -> None:
        if self._by_generation.get(entry.generation) is entry:
            del self._by_generation[entry.generation]

    def _close(self, entry: _Open) -> None:
        self._forget(entry)
        del self._open[entry.image.key]
        os.close(entry.descriptor)


def _silent(_name: str, _done: int, _size: int) -> None:
    """Tell nobody."""


def _digest(descriptor: int, name: str, size: int, progress: Progress) -> str:
    hashing = hashlib.sha256()
    done = 0
    while chunk := os.pread(descriptor, HASH_CHUNK, done):
        hashing.update(chunk)
        done += len(chunk)
        progress(name, done, size)
    return hashing.hexdigest()
