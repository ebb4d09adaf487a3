"""One question and its answer: the last step of every reply, where it is encoded, aimed and reported."""

from __future__ import annotations

from dataclasses import dataclass

from mtftpd.core.boot_plan import BootPlan
from mtftpd.core.clients import Client
from mtftpd.core.delivery import Delivery, Route, reachable
from mtftpd.core.effects import Drop, DropReason, Effects, Report, ReportKind, Send
from mtftpd.core.left_out import LeftOut
from mtftpd.core.offered_files import OfferedFiles
from mtftpd.core.replies import encode, largest
from mtftpd.core.settings import Settings
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.datagram import Datagram


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has been read: where it came in, what it says, who sent it and when (monotonic seconds)."""

    datagram: Datagram
    request: DhcpMessage
    client: Client
    now: float

    def drop(self, reason: DropReason, detail: str = "") -> Effects:
        """Return the one effect of not answering; the detail begins with the hardware address."""
        who = str(self.client.hardware)
        return (Drop(reason, self.datagram.source, f"{who}: {detail}" if detail else who),)


class Outbox:
    """Turns replies into effects, and remembers which boot file went to which address."""

    def __init__(self, settings: Settings, files: OfferedFiles) -> None:
        self._settings = settings
        self._files = files
        self._left_out = LeftOut(settings)

    def send(
        self, call: Call, reply: DhcpMessage, route: Route, kind: ReportKind, plan: BootPlan | None = None
    ) -> Effects:
        """Return the effects of answering ``call`` with ``reply``: a `Send` and a `Report`, or why not."""
        if route.delivery in (Delivery.CIADDR, Delivery.SOURCE) and not reachable(
            self._settings, route.destination.address
        ):
            return call.drop(DropReason.OFF_LINK, f"no reply to {route.destination.address}")
        reply = self._left_out.message(reply, call.datagram.socket)
        route = self._left_out.route(route)
        data = encode(reply, largest(call.request, self._settings.link.mtu), self._left_out.layout)
        if data is None:
            return call.drop(DropReason.TOO_LARGE)
        address = str(reply.yiaddr) if int(reply.yiaddr) else route.address
        if plan is not None and plan.name and address:
            self._files.tell(address, plan.name)
        send = Send(call.datagram.socket, route.destination, data, route.hardware)
        return send, Report(kind, address, call.client.hardware, _detail(call.client, route, plan))


def _detail(client: Client, route: Route, plan: BootPlan | None) -> tuple[tuple[str, str | int], ...]:
    detail: list[tuple[str, str | int]] = [
        ("client", "ipxe" if client.is_ipxe else client.kind.value),
        ("architecture", client.architecture),
        ("rom", client.rom.profile.id),
        ("delivery", route.delivery.value),
    ]
    if plan is not None:
        detail.append(("file", plan.file or "menu"))
        if plan.group:
            detail.append(("group", plan.group))
    return tuple(detail)
