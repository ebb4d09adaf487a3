"""Image files: opened once beneath the root, read by position, watched for being overwritten.

Each open descriptor is one generation of one file: `Generation` is what the file looked like when it was opened.  A
file that is overwritten in place no longer matches and is never read again, so that no transfer mixes two contents.
A file that is replaced by another under the same name goes on being served from the descriptor, complete and old.
"""

from __future__ import annotations

import errno
import itertools
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mtftpd.core.images import Image
from mtftpd.core.settings import Catalogue
from mtftpd.errors import BadConfig, MtftpdError, Unavailable
from mtftpd.net.beneath import open_regular
from mtftpd.net.candidates import Candidate, Candidates, FileIdentity, Generation, Progress


class ImageChanged(MtftpdError):
    """The bytes of ``image`` can no longer be had: its file was overwritten or cut, or it was released."""

    def __init__(self, image: Image) -> None:
        super().__init__(f"{image.name}: the file changed while it was served")
        self.image = image


@dataclass(slots=True)
class _Open:
    image: Image
    descriptor: int
    generation: Generation
    path: str
    named: bool = False
    """Whether the catalogue holds it."""
    retired: bool = False
    """Whether an earlier catalogue held it, and perhaps somebody still reads it."""
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
        self.digests: dict[FileIdentity, str] = {}
        """Digests that need not be computed: those of the last catalogue, or of an earlier run (set by the owner)."""

    def close(self) -> None:
        """Close every descriptor; images of this store cannot be read afterwards."""
        for entry in list(self._open.values()):
            self._close(entry)
        os.close(self._directory)

    def __len__(self) -> int:
        return len(self._open)

    def catalogue(self, named: Mapping[str, str], progress: Progress | None = None) -> Catalogue:
        """Open and hash the files of ``named`` (name -> path, relative to the root) and pin them open, see `take`."""
        with self.open(named) as candidates:
            candidates.hash(progress or _silent)
            return self.take(candidates)

    def open(self, named: Mapping[str, str]) -> Candidates:
        """Open the files of ``named`` for a catalogue; what an earlier one holds need not be hashed again.

        Raises `BadConfig`.
        """
        candidates = Candidates()
        try:
            for name, path in named.items():
                candidates.add(self._open_candidate(name, path))
        except MtftpdError:
            candidates.close()
            raise
        return candidates

    def take(self, candidates: Candidates) -> Catalogue:
        """Make the files of ``candidates``, which have been hashed, the catalogue.

        A file that an earlier catalogue holds unchanged keeps its image.  What the earlier one held and this one
        does not stays open until `close_retired`, for whoever started with it.  Raises `Unavailable` when a file has
        changed meanwhile; the earlier catalogue is then still what it was.
        """
        for candidate in candidates:
            if not candidate.is_intact():
                raise Unavailable(
                    f"--image {candidate.name}={candidate.path}: the file is being written; "
                    "try again when it is complete"
                )
        entries = {candidate.generation: self._entry_of(candidate) for candidate in candidates}
        paths: dict[str, Image] = {}
        for name, candidate in candidates.by_name.items():
            entry = entries[candidate.generation]
            paths[name] = paths[entry.path] = entry.image
        self._pin({entry.image.key for entry in entries.values()})
        self.digests = {each.identity: each.digest for each in candidates if each.identity is not None}
        return Catalogue(tuple(entry.image for entry in entries.values()), paths)

    def close_retired(self, in_use: Collection[int]) -> list[Image]:
        """Close the images of earlier catalogues whose keys are not ``in_use``, and return them."""
        unused = [entry for key, entry in self._open.items() if entry.retired and key not in in_use]
        for entry in unused:
            self._close(entry)
        return [entry.image for entry in unused]

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
        """Close the file of ``image`` unless a catalogue holds it or held it; return whether it was closed."""
        entry = self._open.get(image.key)
        if entry is None or entry.named or entry.retired:
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

    def _open_candidate(self, name: str, path: str) -> Candidate:
        relative = self._relative(path)
        try:
            descriptor = open_regular(self._directory, relative)
        except OSError as error:
            raise BadConfig(f"--image {name}={path}: {self._why(error)}") from error
        status = os.fstat(descriptor)
        generation, identity = Generation.of(status), FileIdentity.of(status)
        known = self._by_generation.get(generation)
        kept = self.digests.get(identity, "")
        digest = known.image.digest if known is not None else kept
        # What an open image is known by is not enough for another run: its times may have been set back.
        will_do = bool(kept) or (known is None and identity.is_settled(time.time()))
        return Candidate(name, relative, descriptor, generation, digest, identity if will_do else None)

    def _entry_of(self, candidate: Candidate) -> _Open:
        generation = candidate.generation
        known = self._by_generation.get(generation)
        if known is not None and known.image.digest:
            return known
        image = Image(next(self._keys), candidate.name, generation.size, candidate.digest)
        return self._add(candidate.give(), image, generation, candidate.path)

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

    def _pin(self, pinned: Collection[int]) -> None:
        for key, entry in self._open.items():
            was_named, entry.named = entry.named, key in pinned
            entry.retired = not entry.named and (entry.retired or was_named)

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
