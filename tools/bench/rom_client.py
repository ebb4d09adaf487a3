"""One simulated ROM over real sockets in its own network namespace: ``python -m tools.bench.rom_client``.

Boots once from eth0, which has no address yet, and prints one JSON line: what it got, when, and how.  Before that it
says that it is ready and waits for a line, since the start of Python takes longer than many a boot.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import time
from ipaddress import IPv4Interface
from pathlib import Path

from mtftpd.net.rom_sockets import Attachment, Observer, RomSockets
from mtftpd.net.virtual_links import VirtualLinks
from mtftpd.rom.actions import ImageMemory, Phase, TakeAddress
from mtftpd.rom.node import Node
from mtftpd.rom.profiles import Identity
from mtftpd.sim.roms import rom
from mtftpd.wire.datagram import HardwareAddress

CARD = "eth0"


def main() -> None:
    """Boot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rom", default="spec")
    parser.add_argument("--limit", type=float, default=120.0, metavar="SECONDS")
    chosen = parser.parse_args()
    hardware = bytes.fromhex(Path(f"/sys/class/net/{CARD}/address").read_text().strip().replace(":", ""))
    chance = random.Random(hardware)
    identity = Identity(HardwareAddress(1, hardware), chance.randbytes(16), chance.getrandbits(32), 2070)
    links, memory = VirtualLinks(), ImageMemory()

    def configure(taken: TakeAddress) -> None:
        links.add_address(CARD, IPv4Interface(f"{taken.address}/{taken.prefix}"))

    node = Node(identity, rom(chosen.rom), memory)
    observer = Observer(on_phase=lambda entered: None, on_progress=lambda: None)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    with links:
        RomSockets(node, Attachment(CARD, configure=configure), observer).run(began + chosen.limit)
    booted = node.phase is Phase.DONE
    result = {
        "booted": booted,
        "seconds": time.monotonic() - began,
        "sha256": hashlib.sha256(memory.image(node.length)).hexdigest() if booted else "",
        "fallback": node.fallback,
        "overflowed": observer.traffic.overflowed,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
