"""Virtual machines that boot from the network: SeaBIOS with the iPXE ROM, and OVMF with its own PXE client."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tools.lab.segment import Segment, stop

FAILED = rb"No bootable device|no more network devices|No more network devices|PXE-E\d\d|Boot failed"
OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
OVMF_VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd"


@dataclass(slots=True)
class Guest:
    """One machine: where its serial console is written to, and its process."""

    serial: Path
    process: subprocess.Popen[bytes]

    def console(self) -> bytes:
        """Return what it has printed so far."""
        return self.serial.read_bytes()

    @property
    def gave_up(self) -> bool:
        """Whether its firmware has said that it cannot boot."""
        return re.search(FAILED, self.console()) is not None

    def wait_for(self, pattern: bytes, seconds: float) -> re.Match[bytes]:
        """Wait until the console matches; a failure message of the firmware or the timeout is an AssertionError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            text = self.console()
            if found := re.search(pattern, text):
                return found
            if self.gave_up or self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"the guest did not print {pattern!r}:\n{self.console().decode('latin-1')}")

    def stop(self) -> None:
        """Switch it off."""
        stop(self.process)


def boot(segment: Segment, number: int, folder: Path, *, firmware: str) -> Guest:
    """Switch on guest ``number`` (its tap is tapN) with ``firmware`` "bios" (iPXE ROM) or "uefi" (OVMF's own PXE)."""
    serial = folder / f"guest{number}.serial"
    serial.write_bytes(b"")
    command = [
        "qemu-system-x86_64", "-accel", "tcg", "-display", "none", "-monitor", "none", "-nodefaults", "-no-reboot",
        "-serial", f"file:{serial}", "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
        "-uuid", f"00112233-4455-6677-8899-{number:012x}",
        "-netdev", f"tap,id=n0,ifname=tap{number},script=no,downscript=no",
    ]  # fmt: skip
    nic = f"virtio-net-pci,netdev=n0,mac=52:54:00:78:00:{number:02x},bootindex=1"
    if firmware == "bios":
        command += ["-machine", "pc,graphics=off", "-m", "64", "-device", nic]
    else:
        variables = folder / f"guest{number}.vars.fd"
        shutil.copy(OVMF_VARIABLES, variables)
        command += [
            "-machine", "q35", "-m", "256", "-device", f"{nic},romfile=",
            "-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}",
            "-drive", f"if=pflash,format=raw,file={variables}",
            "-object", "rng-random,id=r0,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=r0",
        ]  # fmt: skip
    with (folder / f"guest{number}.err").open("wb") as errors:
        process = segment.start(segment.switch, *command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
    return Guest(serial, process)
