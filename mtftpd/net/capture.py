"""Everything that the server sends and receives, as a pcapng file that any analyser opens.

Written where datagrams pass the sockets, so headers are made up: IPv4 and UDP without a link layer.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Final

from mtftpd.core.settings import Link
from mtftpd.errors import Unavailable
from mtftpd.wire import ethernet, pcapng_writer
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.frames import udp_frame
from mtftpd.wire.pcapng import Direction, Interface, LinkType

_NO_HARDWARE: Final = bytes(ethernet.ADDRESS_SIZE)
BUFFER: Final = 256 * 1024
"""Octets that are written to the disk together: some 450 blocks of 512."""


class Capture:
    """An open capture file.  Raises `Unavailable` when ``path`` cannot be written.

    A disk that fills up later ends the capture and nothing else; ``failure`` then says why.
    """

    def __init__(self, path: str | Path, link: Link) -> None:
        self._server = str(link.address)
        try:
            self._file = open(path, "wb", buffering=BUFFER)  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise Unavailable(f"--capture {path}: {error.strerror}; name a file that can be written") from error
        self.failure = ""
        self._write(pcapng_writer.header([Interface(LinkType.RAW, link.name)], "mtftpd"))
        self.flush()

    def datagram(self, source: Endpoint, destination: Endpoint, data: bytes) -> None:
        """Write one datagram with the time of now."""
        frame = udp_frame(_NO_HARDWARE, _NO_HARDWARE, source, destination, data)
        direction = Direction.OUTBOUND if source.address == self._server else Direction.INBOUND
        self._write(pcapng_writer.packet(time.time_ns(), frame[ethernet.HEADER_SIZE :], direction=direction))

    def flush(self) -> None:
        """Hand what was captured so far to the file."""
        self._write(b"")

    def close(self) -> None:
        """Write what is left and close the file."""
        self.flush()
        with contextlib.suppress(OSError):  # The disk is still full: ``failure`` has said so.
            self._file.close()

    def _write(self, block: bytes) -> None:
        if self.failure:
            return
        try:
            if block:
                self._file.write(block)
            else:
                self._file.flush()
        except OSError as error:
            self.failure = error.strerror or str(error)
