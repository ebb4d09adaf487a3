"""``serve`` with sections for single nodes, as a process: their addresses and files, and a reload while one loads."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address
from pathlib import Path

from mtftpd.wire.bootp import MessageType
from tests.cli.server_process import serving
from tests.cli.test_serve_state import SERVER, client_of
from tests.patience import PATIENCE

OWN, OTHER = IPv4Address("127.1.0.77"), IPv4Address("127.1.0.5")
BLOCK = 512


def section(number: int, address: IPv4Address) -> str:
    return f'[[node]]\nhardware = "02:00:00:00:00:0{number}"\naddress = "{address}"\nboot-file = "own{number}"\n'


def test_addresses_of_single_nodes_and_a_reload_while_one_loads(tmp_path: Path) -> None:
    content = bytes(range(256)) * 6
    with serving(tmp_path, "--mode", "dhcp", "--range", "127.1.0.1-127.1.0.9") as server, client_of(server) as client:
        file = tmp_path / "m.toml"
        plain = file.read_text()
        (tmp_path / "root" / "own1").write_bytes(content)
        file.write_text(plain + section(1, OWN))
        server.reload()
        assert client.boot(1) == OWN
        assert client.boot(2) == IPv4Address("127.1.0.1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rom:
            rom.bind((str(OWN), 0))
            rom.settimeout(PATIENCE)
            rom.sendto(b"\0\1own1\0octet\0", (str(SERVER), server.tftp))
            block, source = rom.recvfrom(2048)
            file.write_text(plain + section(1, OTHER) + section(2, OWN))
            server.reload()
            blocks = {block[2:4]: block[4:]}  # by number: a server that waits long for an ACK sends a block again
            while len(block) == BLOCK + 4:
                rom.sendto(b"\0\4" + block[2:4], source)
                block = rom.recv(2048)
                blocks[block[2:4]] = block[4:]
            rom.sendto(b"\0\4" + block[2:4], source)
        assert b"".join(blocks[number] for number in sorted(blocks)) == content
        assert client.boot(2) == IPv4Address("127.1.0.1"), "the other one has not given it back yet"
        assert client.boot(1) == OTHER
        assert client.boot(2) == OWN
        client.ask(3, MessageType.DISCOVER, {50: OTHER.packed})
        assert client.hear()[2] not in (OWN, OTHER)
        file.write_text(plain + section(1, OWN) + section(2, OWN))
        server.reload()
        assert client.boot(2) == OWN, "of a wrong file nothing is taken"
        assert any("is node 02:00:00:00:00:01's already" in str(event) for event in server.events())
