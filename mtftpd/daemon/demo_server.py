"""The server process of a demo: ``mtftpd serve`` on the demo's network, with a configuration file of its own."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from mtftpd.daemon.demo_scene import Scene
from mtftpd.errors import StartupError, Unavailable

GROUP: Final = "239.1.1.1"
IMAGE_NAME: Final = "demo.img"
LISTEN_SECONDS: Final = 1
"""T4 = T5: the shortest wait that a ROM can be told of; a cluster would rather take 2."""
_ANSWER_SECONDS: Final = 5.0


def write_configuration(folder: Path, image: Path, scene: Scene, more: Mapping[str, Any], sections: str) -> Path:
    """Write the TOML file for a server of ``image`` on ``scene`` and return its path.

    ``more`` are other values, ``sections`` is TOML to be written behind everything else.
    """
    values: dict[str, Any] = {
        "interface": scene.interface,
        "mode": "dhcp",
        "range": scene.addresses,
        "group": GROUP,
        "timeout-seconds": LISTEN_SECONDS,
        "client-port": scene.ports.mtftp_client,
        "server-port": scene.ports.mtftp_server,
        "root": str(image.parent),
        "image": [f"{IMAGE_NAME}={image.name}"],
        "boot-file": IMAGE_NAME,
        "control": str(control_socket(folder)),
        "log-format": "json",
        **more,
    }
    ports = asdict(scene.ports)
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    lines += ["", "[ports]"]
    for name in ("dhcp_server", "dhcp_client", "pxe", "tftp", "mtftp_ipxe"):
        lines.append(f"{name.replace('_', '-')} = {ports[name]}")
    path = folder / "demo.toml"
    path.write_text("\n".join((*lines, sections)) + "\n", encoding="utf-8")
    return path


def control_socket(folder: Path) -> Path:
    """Return where the server of the demo answers questions."""
    return folder / "control"


def log_file(folder: Path) -> Path:
    """Return where the server of the demo logs to."""
    return folder / "server.log"


def run_server(configuration: Path, log: Path) -> int:
    """Serve until told to stop; return the exit status.  Everything that is logged goes to ``log``."""
    from mtftpd.daemon.config import Sources
    from mtftpd.daemon.serve import serve

    with log.open("ab", buffering=0) as stream:
        os.dup2(stream.fileno(), 2)
    try:
        return serve(Sources(config=configuration))
    except StartupError as error:
        print(error, file=sys.stderr, flush=True)  # noqa: T201 - to the log file
        return error.exit_code


def ask_status(folder: Path) -> dict[str, Any] | None:
    """Return the status of the server, or None as long as it does not listen yet.

    Raises `Unavailable` when it listens and does not answer.
    """
    return ask(folder, "status")


def ask(folder: Path, command: str) -> dict[str, Any] | None:
    """Return the answer to one command of the control socket; see `ask_status`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_ANSWER_SECONDS)
        try:
            asking.connect(str(control_socket(folder)))
        except (FileNotFoundError, ConnectionRefusedError, PermissionError):
            # The socket appears without any rights and gets them a moment later.
            return None
        asking.sendall(json.dumps({"command": command}).encode() + b"\n")
        with asking.makefile("rb") as answers:
            try:
                answer = json.loads(answers.readline())
            except (TimeoutError, ValueError) as error:
                raise Unavailable(f"the server of the demo does not answer its control socket: {error}") from None
    assert isinstance(answer, dict)
    return answer
