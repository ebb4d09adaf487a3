"""One small file of the state folder, replaced as a whole: after a crash it holds the old content or the new one."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from mtftpd.daemon.journal import say
from mtftpd.errors import Unavailable


class StateFile:
    """The file ``name`` in ``folder``, which is made when it is missing."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"--state {folder}: cannot be made ({error.strerror}); name another folder") from None

    def read(self) -> bytes | None:
        """Return the content, None without a file."""
        return read(self.path.parent, self.path.name)

    def replace(self, content: bytes) -> None:
        """Put ``content`` on the disk (fsync), in one step.  Raises `Unavailable`."""
        fresh = self.path.with_suffix(".new")
        try:
            with fresh.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            raise Unavailable(
                f"--state {self.path.parent}: {self.path.name} cannot be written ({error.strerror}); "
                "free some space or name another folder"
            ) from None

    def set_aside(self, reason: str, consequence: str) -> None:
        """Keep a file that cannot be used under another name, and say so."""
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.corrupt-{number}")).exists():
            number += 1
        self.path.replace(aside)
        say(
            logging.WARNING,
            "state-set-aside",
            (("file", str(self.path)), ("kept_as", str(aside)), ("reason", reason)),
            text=consequence,
        )


def read(folder: Path, name: str) -> bytes | None:
    """Return the content of a state file, None without one; raises `Unavailable` and makes nothing."""
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"--state {folder}: {name} cannot be read ({error.strerror}); check its owner") from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
