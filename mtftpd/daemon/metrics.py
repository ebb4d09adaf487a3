"""``--metrics ADDRESS:PORT``: the counters in the text format of Prometheus (version 0.0.4) over HTTP.

Labels are states, kinds, reasons and groups, which the configuration bounds; never a node.  The responder knows one
resource and closes every connection, so it needs of HTTP/1.x no more than the first line of the request.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import trio

from mtftpd.core.nodes.states import NodeState
from mtftpd.daemon.journal import say
from mtftpd.daemon.plain import plain
from mtftpd.daemon.values import Listen
from mtftpd.errors import Unavailable

MAX_REQUEST = 8_192
"""Octets of a request with its headers; with `MAX_CONNECTIONS` that is 64 KiB."""
MAX_CONNECTIONS = 8
SECONDS = 5.0
"""How long one connection may take from beginning to end."""

Snapshot = Callable[[], Mapping[str, Any]]


class Metrics:
    """Listens from the start; ``snapshot`` is the answer of the command ``status``."""

    def __init__(self, listen: Listen, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._busy = 0
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind((str(listen.address), listen.port))
            self._listener.listen(MAX_CONNECTIONS)
        except OSError as error:
            self._listener.close()
            raise Unavailable(f"--metrics {listen}: {error.strerror}; choose another address or port") from None
        self.port: int = self._listener.getsockname()[1]

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    async def serve(self) -> None:
        """Answer until cancelled."""
        with trio.socket.from_stdlib_socket(self._listener) as listener:
            async with trio.open_nursery() as nursery:
                while True:
                    try:
                        connection, _ = await listener.accept()
                    except OSError as error:  # Out of descriptors: those of transfers come back.
                        say(logging.WARNING, "metrics-trouble", text=str(error))
                        await trio.sleep(1)
                        continue
                    if self._busy >= MAX_CONNECTIONS:
                        connection.close()
                        continue
                    self._busy += 1
                    nursery.start_soon(self._converse, connection)

    async def _converse(self, connection: trio.socket.SocketType) -> None:
        try:
            with trio.move_on_after(SECONDS):
                stream = trio.SocketStream(connection)
                async with stream:
                    await stream.send_all(self._answer(await _request_line(stream)))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # Whoever asked went away.
        finally:
            connection.close()
            self._busy -= 1

    def _answer(self, line: bytes) -> bytes:
        words = line.split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _response("400 Bad Request", "not an HTTP/1.x request\n")
        if words[0] not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", "only GET and HEAD\n", "Allow: GET, HEAD\r\n")
        if words[1].split(b"?")[0] != b"/metrics":
            return _response("404 Not Found", "the metrics are at /metrics\n")
        return _response("200 OK", exposition(self._snapshot()), is_head=words[0] == b"HEAD")


async def _request_line(stream: trio.SocketStream) -> bytes:
    """Return the first line once all headers are there; b"" when they never are."""
    received = b""
    while b"\r\n\r\n" not in received and b"\n\n" not in received:
        more = await stream.receive_some(MAX_REQUEST)
        received += more
        if not more or len(received) > MAX_REQUEST:
            return b""
    return received.split(b"\n", 1)[0].rstrip(b"\r")


def _response(status: str, text: str, headers: str = "", *, is_head: bool = False) -> bytes:
    body = text.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n{headers}Connection: close\r\n\r\n"
    )
    return head.encode() + (b"" if is_head else body)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, type and help, where its values are in the snapshot, and the label of a table."""

    name: str
    kind: str
    help: str
    path: str
    label: str = ""


FAMILIES = (
    Family("uptime_seconds", "gauge", "Since the server started.", "uptime"),
    Family("nodes", "gauge", "Nodes by the state of their boot.", "nodes.states", "state"),
    Family("alarms", "gauge", "Alarms that are not over.", "nodes.alarm_counts", "kind"),
    Family("dhcp_received_total", "counter", "DHCP and PXE messages.", "dhcp.received"),
    Family("leases", "gauge", "Leases by state.", "dhcp.leases", "state"),
    Family("neighbour_entries", "gauge", "Entries of ours in the kernel's neighbour table.", "arp.owned"),
    Family("tftp_requests_total", "counter", "Requests on port 69.", "tftp.requests"),
    Family("tftp_done_total", "counter", "Transfers that were completed.", "tftp.done"),
    Family("tftp_failed_total", "counter", "Transfers that failed.", "tftp.failed"),
    Family("tftp_refused_total", "counter", "Requests that got an ERROR.", "tftp.refused"),
    Family(
        "multicast_option_done_total",
        "counter",
        "Clients with option multicast that have everything.",
        "multicast_option.done",
    ),
    Family(
        "multicast_option_failed_total",
        "counter",
        "Clients with option multicast that failed.",
        "multicast_option.failed",
    ),
    Family(
        "multicast_option_clients", "gauge", "Clients in transfers with option multicast.", "multicast_option.clients"
    ),
    Family("tftp_blocks_total", "counter", "DATA packets of transfers that have ended.", "tftp.blocks"),
    Family("tftp_retransmitted_total", "counter", "Of those, repeated ones.", "tftp.retransmitted"),
    Family("tftp_transfers", "gauge", "Transfers that are running.", "tftp.transfers"),
    Family("link_rate_bits", "gauge", "Limit of what is sent, in bit/s; 0 without one.", "budget.rate"),
    Family("link_octets_total", "counter", "Octets of time on the wire, where there is a limit.", "budget.sent"),
    Family("link_waiting_octets", "gauge", "Octets of blocks that wait for their turn.", "budget.waiting"),
    Family("admission_waiting", "gauge", "Clients whose first packet waits for room.", "budget.queue"),
    Family("admission_held_total", "counter", "Clients whose first packet had to wait.", "budget.held"),
    Family("admission_overdue_total", "counter", "Of those, who waited to the end.", "budget.overdue"),
    Family("datagrams_received_total", "counter", "UDP payloads read.", "traffic.received"),
    Family("octets_received_total", "counter", "Octets of them.", "traffic.received_octets"),
    Family("dhcp_waiting", "gauge", "DHCP messages that were read and are not answered yet.", "traffic.waiting"),
    Family("datagrams_sent_total", "counter", "UDP payloads sent.", "traffic.sent"),
    Family("octets_sent_total", "counter", "Octets of them.", "traffic.sent_octets"),
    Family("datagrams_lost_total", "counter", "Datagrams that could not leave.", "traffic.lost"),
    Family("datagrams_overflowed_total", "counter", "Datagrams that came too fast.", "traffic.overflowed"),
    Family("drops_total", "counter", "Packets that got no answer.", "traffic.drops", "reason"),
    Family("reports_total", "counter", "Events by kind.", "reports", "kind"),
)
GROUP_FAMILIES = (
    Family("group_passes_total", "counter", "Passes that were begun.", "passes"),
    Family("group_blocks_total", "counter", "Packets to the group.", "sent"),
    Family("group_repeats_total", "counter", "Of those, repeated ones.", "repeats"),
    Family("group_masters_lost_total", "counter", "Masters that left before the end.", "masters_lost"),
    Family("group_fallbacks_total", "counter", "Openers that turned to unicast.", "fallbacks"),
    Family("group_block", "gauge", "The newest block of the pass that is running, or 0.", "block"),
)


def exposition(snapshot: Mapping[str, Any]) -> str:
    """Return the text for Prometheus."""
    values = plain(snapshot)
    lines: list[str] = []
    for family in FAMILIES:
        lines += _lines(family, _samples(family, _at(values, family.path)))
    groups = values["mtftp"]["groups"]
    for family in GROUP_FAMILIES:
        lines += _lines(family, [(f'{{group="{group["group"]}"}}', group[family.path]) for group in groups])
    return "\n".join(lines) + "\n"


def _at(values: Any, path: str) -> Any:
    for step in path.split("."):
        values = values[step]
    return values


def _samples(family: Family, value: Any) -> Iterator[tuple[str, int | float]]:
    if isinstance(value, dict):
        # A state that nobody is in is a zero, not a gap in the graph.
        table = {**dict.fromkeys((state.value for state in NodeState), 0), **value} if family.name == "nodes" else value
        yield from ((f'{{{family.label}="{_escaped(name)}"}}', count) for name, count in sorted(table.items()))
    else:
        yield "", len(value) if isinstance(value, list) else value


def _lines(family: Family, samples: Any) -> list[str]:
    name = f"mtftpd_{family.name}"
    head = [f"# HELP {name} {family.help}", f"# TYPE {name} {family.kind}"]
    return head + [f"{name}{labels} {value}" for labels, value in samples]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
