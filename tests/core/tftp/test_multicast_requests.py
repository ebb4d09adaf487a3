"""Option multicast on port 69 (RFC 2090): who is granted which group, and what bounds it, changes it or stops it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mtftpd.core.effects import ReportKind, Send, SendRun, Service
from mtftpd.core.node_settings import Scope, Subnet
from mtftpd.core.nodes.states import NodeState
from mtftpd.core.service import BootService
from mtftpd.core.settings import Bandwidth, Catalogue, Multicast, Settings
from mtftpd.core.tftp.multicast_service import MAX_OF_ADDRESS, MulticastService
from mtftpd.core.tftp.negotiation import Limits
from mtftpd.core.tftp.transfer import Asked
from mtftpd.wire.datagram import Endpoint
from mtftpd.wire.tftp import Error, parse_untrusted
from tests.core.tftp.tftp_multicast_lab import (
    BLOCKS,
    CATALOGUE,
    IMAGE,
    MULTICAST,
    NETWORK,
    OTHER,
    Desk,
    blocks,
    calls,
    client,
    configured,
    ends,
    granted,
    kinds_of,
)


def test_the_first_client_is_master_and_the_second_is_not() -> None:
    desk = Desk()
    first = granted(desk.asks(client(1)))["multicast"].split(",")
    second = granted(desk.asks(client(2)))["multicast"].split(",")
    assert IPv4Address(first[0]).is_multicast
    assert (first[1], first[2]) == ("1758", "1")
    assert second == [*first[:2], "0"]


def test_options_are_granted_in_the_order_asked_and_without_those_that_make_no_sense() -> None:
    asked = (("tsize", "0"), ("windowsize", "8"), ("multicast", ""), ("rollover", "0"), ("blksize", "9000"))
    options = granted(Desk().asks(client(1), asked))
    assert list(options) == ["tsize", "multicast", "blksize"]
    assert (options["tsize"], options["blksize"]) == (str(IMAGE.size), "1468")


def test_another_block_size_is_another_group() -> None:
    desk = Desk()
    desk.asks(client(1))
    other = granted(desk.asks(client(2), (*MULTICAST, ("blksize", "600"))))
    assert other["multicast"].endswith(",1")
    assert len(desk.service.statistics().multicast.transfers) == 2


def test_blocks_go_from_port_69_to_the_group() -> None:
    desk = Desk()
    address = granted(desk.asks(client(1)))["multicast"].split(",")[0]
    assert desk.acks(client(1), 0) == (SendRun(Service.TFTP, Endpoint(address, 1758), IMAGE, 1, 1, 512),)


def test_whoever_did_not_ask_for_it_gets_unicast() -> None:
    desk = Desk()
    assert "multicast" not in granted(desk.asks(client(1), (("blksize", "600"),)))


UNICAST = [
    pytest.param(configured(multicast=Multicast()), "node", id="no groups"),
    pytest.param(
        configured(multicast=Multicast(IPv4Address("239.1.1.1"), unicast=frozenset({"node"}))), "node", id="image"
    ),
    pytest.param(configured(subnets=(Subnet(NETWORK, scope=Scope(multicast=False)),)), "node", id="subnet"),
]


@pytest.mark.parametrize(("given_settings", "name"), UNICAST)
def test_where_multicast_is_off_the_option_is_left_out(given_settings: Settings, name: str) -> None:
    desk = Desk(BootService(given_settings, CATALOGUE))
    options = granted(desk.asks(client(1), (*MULTICAST, ("blksize", "600")), name))
    assert options == {"blksize": "600"}


def test_a_client_that_asks_for_something_else_has_started_over() -> None:
    desk = Desk()
    desk.asks(client(1))
    effects = desk.asks(client(1), MULTICAST, "other")
    assert ends(effects) == [("10.0.1.1", "client started over")]
    effects = desk.asks(client(1), (("blksize", "600"),), "other")
    assert ends(effects) == [("10.0.1.1", "client started over")]
    assert granted(effects) == {"blksize": "600"}
    assert desk.service.statistics().multicast.clients == 0


def test_an_address_has_only_so_many_clients() -> None:
    desk = Desk()
    for port in range(MAX_OF_ADDRESS):
        desk.asks(client(1, 2_000 + port))
    effects = desk.asks(client(1, 3_000))
    assert ends(effects) == [("10.0.1.1", "client asked again from another port")]
    assert desk.service.statistics().multicast.clients == MAX_OF_ADDRESS


def test_who_makes_room_may_have_been_the_last_of_the_transfer_that_is_asked_for() -> None:
    desk = Desk()
    desk.asks(client(1, 2_000))
    for port in range(1, MAX_OF_ADDRESS):
        desk.asks(client(1, 2_000 + port), (*MULTICAST, ("blksize", "600")))
    assert calls(desk.asks(client(1, 3_000))) == ["10.0.1.1"]
    assert blocks(desk.acks(client(1, 3_000), 0)) == [1]
    assert len(desk.service.statistics().multicast.transfers) == 2


@pytest.mark.parametrize("limit", ["MAX_MEMBERS", "MAX_TRANSFERS"])
def test_beyond_the_limits_there_is_unicast(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"mtftpd.core.tftp.multicast_service.{limit}", 1)
    desk = Desk()
    desk.asks(client(1))
    assert "multicast" not in granted(desk.asks(client(2), (*MULTICAST, ("blksize", "600")), "other"))


def test_two_contents_never_share_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """One collision in a million: the later content is unicast."""
    monkeypatch.setattr("mtftpd.core.tftp.groups.SPAN", 1)
    desk = Desk()
    desk.asks(client(1), (*MULTICAST, ("blksize", "600")))
    assert granted(desk.asks(client(2), (*MULTICAST, ("blksize", "600")), "other")) == {"blksize": "600"}


def test_a_changed_file_ends_it_for_all_and_nothing_begins_before_a_reload() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))
    assert IMAGE.key in desk.service.images_in_use()
    effects = desk.service.image_changed(IMAGE, desk.now)
    assert [end for _, end in ends(effects)] == ["file changed on the server"] * 2
    assert [parse_untrusted(effect.data) for effect in effects if isinstance(effect, Send)] == [
        Error(0, "file changed on the server")
    ] * 2
    assert granted(desk.asks(client(3), (*MULTICAST, ("blksize", "600")))) == {"blksize": "600"}
    newer = replace(IMAGE, key=9)
    desk.service.reconfigure(configured(), Catalogue((newer,), {"node": newer}), desk.now)
    assert granted(desk.asks(client(4)))["multicast"].endswith(",1")


def test_an_operator_may_stop_one() -> None:
    desk = Desk()
    group = ":".join(granted(desk.asks(client(1)))["multicast"].split(",")[:2])
    assert desk.service.stop_pass("239.9.9.9:1758", desk.now) == ()
    assert ends(desk.service.stop_pass(group, desk.now)) == [("10.0.1.1", "stopped by the operator")]


def test_a_node_is_not_done_before_it_says_so() -> None:
    desk = Desk()
    desk.asks(client(1))
    desk.asks(client(2))

    def states() -> dict[str, NodeState]:
        return {node.address: node.state for node in desk.service.nodes.nodes()}

    assert desk.service.nodes.find("10.0.1.2") is not None
    desk.acks(client(1), BLOCKS)
    assert states() == {"10.0.1.1": NodeState.DONE, "10.0.1.2": NodeState.UNICAST}
    desk.waits(30)
    assert states()["10.0.1.2"] is NodeState.STALLED


def test_blocks_pass_the_budget_of_the_link() -> None:
    desk = Desk(BootService(configured(bandwidth=Bandwidth(1_000.0)), CATALOGUE))
    desk.asks(client(1))
    desk.acks(client(1), 0)
    desk.waits(20)
    assert desk.service.budget.statistics().sent >= 512
    assert desk.service.statistics().multicast.transfers[0].sent > 1
    assert desk.service.budget.statistics().suppressed > 0


def test_a_client_is_fetching_until_it_has_left() -> None:
    """Its neighbour entry is kept that long (quirk Q63)."""
    table = MulticastService(configured(), CATALOGUE, lambda _address: True)
    request = Asked(client(1), "node", MULTICAST, 1)
    effects, is_taken = table.open(request, IMAGE, Limits(1468), 0.0)
    assert is_taken
    assert table.is_fetching("10.0.1.1")
    assert not table.is_fetching("10.0.1.2")
    assert kinds_of(table.open(request, OTHER, Limits(1468), 1.0)[0])[0] is ReportKind.TFTP_FAILED
    assert granted(effects)["multicast"].endswith(",1")
