"""What a reply of DHCP is like without a work-around: the other side of ``Settings.without``, for messages and routes.

The work-arounds themselves are where replies are made, and are always done; what is switched off is undone here, the
way in which servers without it behave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

from mtftpd.core import option_codes as code
from mtftpd.core.dhcp.delivery import LIMITED_BROADCAST, Delivery, Route
from mtftpd.core.effects import Service
from mtftpd.core.node_settings import NodeSettings
from mtftpd.core.settings import Link
from mtftpd.quirks.vocabulary import ServerAction
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.options import CAREFUL, Layout, Options

_NOWHERE = IPv4Address(0)


def _without(*codes: int) -> Callable[[DhcpMessage], DhcpMessage]:
    return lambda reply: replace(reply, options=reply.options.without(*codes))


def _only_server_identifier(reply: DhcpMessage) -> DhcpMessage:
    return replace(reply, siaddr=_NOWHERE, options=reply.options.without(code.TFTP_SERVER_NAME))


def _numeric_order(reply: DhcpMessage) -> DhcpMessage:
    return replace(reply, options=Options(sorted(reply.options.items())))


def _constant_boot_file_size(reply: DhcpMessage) -> DhcpMessage:
    """Give everybody the size of a small loader, as a line of a configuration that was copied around does."""
    return replace(reply, options=reply.options.with_(code.BOOT_FILE_SIZE, b"\0\1"))


_MESSAGES: dict[ServerAction, Callable[[DhcpMessage], DhcpMessage]] = {
    ServerAction.ADD_58_59: _without(code.RENEWAL_TIME, code.REBINDING_TIME),
    ServerAction.ECHO_60: _without(code.VENDOR_CLASS),
    ServerAction.ECHO_97: _without(code.MACHINE_IDENTIFIER),
    ServerAction.BOTH_NAMES: _without(code.BOOT_FILE),
    ServerAction.SAME_ADDRESS_EVERYWHERE: _only_server_identifier,
    ServerAction.OMIT_13: _constant_boot_file_size,
    ServerAction.ONE_ROUTER: _without(code.ROUTER),
    ServerAction.OPT_ORDER: _numeric_order,
}


class LeftOut:
    """Undoes what is switched off for one client; with nothing switched off it returns what it is given."""

    def __init__(self, settings: NodeSettings, link: Link) -> None:
        self._settings = settings
        self._link = link

    @property
    def layout(self) -> Layout:
        """How the options of a reply are laid out."""
        if not self._settings.without:
            return CAREFUL
        return Layout(
            pads_boot_file=self._settings.does(ServerAction.PAD_AFTER_67),
            sorts_first=self._settings.does(ServerAction.OPT_ORDER),
            fills_up=self._settings.does(ServerAction.MIN_300),
        )

    def message(self, reply: DhcpMessage, socket: int) -> DhcpMessage:
        """Return ``reply``, the answer to a request that came in on ``socket``."""
        if not self._settings.without:
            return reply
        for action, undo in _MESSAGES.items():
            if not self._settings.does(action):
                reply = undo(reply)
        if socket == Service.PXE and not self._settings.does(ServerAction.ACK_ON_4011):
            reply = replace(reply, options=reply.options.with_(code.MESSAGE_TYPE, bytes((MessageType.OFFER,))))
        return reply

    def route(self, route: Route) -> Route:
        """Return where the reply goes."""
        if not self._settings.without:
            return route
        if route.delivery is Delivery.UNICAST and not self._settings.does(ServerAction.UNICAST_L2):
            route = Route(Delivery.BROADCAST, Endpoint(LIMITED_BROADCAST, route.destination.port))
        if route.delivery is Delivery.BROADCAST and not self._settings.does(ServerAction.LIMITED_BROADCAST):
            directed = str(self._link.network.broadcast_address)
            route = Route(Delivery.BROADCAST, Endpoint(directed, route.destination.port))
        return route
