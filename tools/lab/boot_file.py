"""A boot file for BIOS machines that sums its own bytes and prints the sum: proof of what arrived in the guest."""

from __future__ import annotations

import random
import struct
import tempfile
from pathlib import Path

from tools.lab.segment import run

SOURCE = Path(__file__).with_name("nbp.S")


def make(path: Path, size: int, seed: int = 1) -> bytes:
    """Assemble the boot file, fill it up to ``size`` bytes with noise and return the line that it will print."""
    with tempfile.TemporaryDirectory() as folder:
        run("as", "--32", "-o", f"{folder}/nbp.o", str(SOURCE))
        run(
            "ld",
            "-m",
            "elf_i386",
            "-Ttext=0",
            "--oformat=binary",
            "-e",
            "0",
            "-o",
            f"{folder}/nbp",
            f"{folder}/nbp.o",
        )
        code = Path(folder, "nbp").read_bytes()
    image = bytearray(code + random.Random(seed).randbytes(max(0, size - len(code))))
    image[4:8] = struct.pack("<I", len(image))
    path.write_bytes(image)
    return b"NBP sum=%08x len=%08x" % (sum(image) & 0xFFFFFFFF, len(image))
