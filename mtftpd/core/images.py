"""An image as the core knows it: a name and numbers, never bytes."""

from __future__ import annotations

from dataclasses import dataclass

MTFTP_BLOCK_SIZE = 512
MAX_BLOCKS = 65_535
MAX_MTFTP_SIZE = (MAX_BLOCKS - 1) * MTFTP_BLOCK_SIZE + MTFTP_BLOCK_SIZE - 1
"""33,553,919 bytes: 65,534 full blocks and a short one; a listener cannot follow a roll-over (PXE 2.1, mtftp 3.5)."""


@dataclass(frozen=True, slots=True)
class Image:
    """One generation of one file, fixed from the moment that it was opened.

    ``key`` names the open descriptor for the shell and is never used twice; ``name`` is what reports show; ``size``
    is in bytes; ``digest`` is the SHA-256 in hex, or "" for a file that was opened for one unicast transfer.
    """

    key: int
    name: str
    size: int
    digest: str = ""

    def blocks(self, block_size: int) -> int:
        """Return the number of DATA packets: a full last block is followed by an empty one (RFC 1350 section 6)."""
        return self.size // block_size + 1
