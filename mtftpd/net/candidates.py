"""Files that are to become the images of a catalogue: opened first, then read once for their digests.

Nothing here belongs to the store of images yet, so the reading, 0.6 s per GiB, may be done in another thread.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, NamedTuple

from mtftpd.errors import Unavailable

HASH_CHUNK: Final = 1024 * 1024
SETTLED_SECONDS: Final = 2.0
"""A file that was changed more recently may change again within the same time stamp: FAT has grains of 2 s."""

Progress = Callable[[str, int, int], None]
"""Told the name of an image, the octets hashed so far and its size."""


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


class FileIdentity(NamedTuple):
    """What stands for the content of a file from one run to the next: `Generation`, and the time that nobody can set.

    Whoever writes to a file and sets its time back (rsync, cp -p) changes that one all the same (st_ctime).
    """

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        """Return what this status says."""
        return cls(*Generation.of(status), status.st_ctime_ns)

    def is_settled(self, now: float) -> bool:
        """Return whether a change at ``now`` (wall time) would show: the times have the grain of a tick or worse."""
        return now - self.changed / 1e9 >= SETTLED_SECONDS


@dataclass(slots=True)
class Candidate:
    """One open file, ``path`` beneath the root; ``digest`` is the SHA-256 in hex, "" as long as nobody knows it.

    ``identity`` is None when the digest cannot be kept for another run.  ``descriptor`` is -1 once the file is closed
    or somebody else's to close.
    """

    name: str
    path: str
    descriptor: int
    generation: Generation
    digest: str = ""
    identity: FileIdentity | None = None

    def is_intact(self) -> bool:
        """Return whether the file is still what it was when it was opened."""
        return Generation.of(os.fstat(self.descriptor)) == self.generation

    def hash(self, progress: Progress) -> None:
        """Read the file and work its digest out.  Raises `Unavailable`, and whatever ``progress`` raises."""
        hashing = hashlib.sha256()
        done = 0
        while chunk := self._read(done):
            hashing.update(chunk)
            done += len(chunk)
            progress(self.name, done, self.generation.size)
        self.digest = hashing.hexdigest()
        if self.identity != FileIdentity.of(os.fstat(self.descriptor)):
            self.identity = None

    def _read(self, offset: int) -> bytes:
        try:
            return os.pread(self.descriptor, HASH_CHUNK, offset)
        except OSError as error:
            raise Unavailable(f"--image {self.name}={self.path}: {error.strerror}; check its file system") from error

    def give(self) -> int:
        """Return the descriptor, which the caller closes from now on."""
        given, self.descriptor = self.descriptor, -1
        return given

    def close(self) -> None:
        """Close the file, if it is still open here."""
        if self.descriptor >= 0:
            os.close(self.give())


class Candidates:
    """The files of one catalogue by the names they will have; two names of one file share a candidate.

    A context manager that closes, at its end, every file that nobody has taken over.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, Candidate] = {}
        self._by_generation: dict[Generation, Candidate] = {}

    def __enter__(self) -> Candidates:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._by_generation.values())

    def add(self, candidate: Candidate) -> None:
        """Take a file that was opened; a second descriptor of the same file is closed."""
        first = self._by_generation.setdefault(candidate.generation, candidate)
        if first is not candidate:
            candidate.close()
        self.by_name[candidate.name] = first

    def close(self) -> None:
        """Close every file that nobody has taken over."""
        for candidate in self:
            candidate.close()

    def hash(self, progress: Progress) -> None:
        """Read the files whose digest is not known, see `Candidate.hash`; may run in another thread."""
        for candidate in self:
            if not candidate.digest:
                candidate.hash(progress)
