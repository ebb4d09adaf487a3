"""The DHCP and PXE client as properties: its table, and whatever it is sent."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from mtftpd.rom.actions import NOTHING
from mtftpd.rom.dhcp import TRANSITIONS, Event, State
from mtftpd.rom.profiles import EDK1, DhcpProfile
from mtftpd.wire import bootp
from mtftpd.wire.bootp import DhcpMessage
from mtftpd.wire.datagram import Datagram, Endpoint
from mtftpd.wire.pxe import MtftpTags, PxeOptions
from tests.rom.dhcp_client import ACK, ALL, NAK, OFFER, menu, powered
from tests.rom.wire_peer import DIRECT, HARDWARE, PLAIN_DHCP, SERVER, STATION, TAGS, dhcp_sent, from_server, reply


def test_every_state_is_reached_and_every_event_used() -> None:
    assert {state for events in TRANSITIONS.values() for state in events.values()} == set(State)
    assert {event for events in TRANSITIONS.values() for event in events} == set(Event)


@st.composite
def replies(draw: st.DrawFn) -> DhcpMessage:
    tags = draw(st.sampled_from([None, DIRECT, PxeOptions(mtftp=MtftpTags(TAGS.group, 1, 2, 3, 0)), menu(0), menu(2)]))
    options = draw(st.sampled_from([{}, {60: b"PXEClient"}, {54: b"\x0a\0\0\2"}, {67: b""}]))
    kind = draw(st.sampled_from([OFFER, ACK, NAK]))
    yiaddr = IPv4Address(draw(st.sampled_from(["0.0.0.0", STATION, "10.0.0.8"])))
    xid = draw(st.integers(0x1000, 0x1003))
    return replace(reply(kind, options, pxe_options=tags), yiaddr=yiaddr, xid=xid)


@given(
    st.sampled_from([PLAIN_DHCP, EDK1.dhcp]),
    st.lists(st.one_of(replies(), st.floats(0.1, 40.0), st.binary(max_size=300)), max_size=40),
)
def test_whatever_comes(profile: DhcpProfile, script: list[DhcpMessage | float | bytes]) -> None:
    client, _ = powered(profile)
    now = 0.0
    for item in script:
        if isinstance(item, float):
            now += item
            actions = client.tick(now)
        elif isinstance(item, bytes):
            actions = client.receive(Datagram(68, Endpoint(SERVER, 4011), ALL, item), now)
            assert actions == NOTHING
        else:
            actions = client.receive(from_server(item, Endpoint(SERVER, 4011)), now)
        for _, _, message in dhcp_sent(actions):
            assert message.op == bootp.BOOTREQUEST
            assert message.hardware == HARDWARE
        assert client.over == (client.state in (State.BOUND, State.FAILED)) == (client.next_deadline() is None)
        assert (client.plan is not None) == (client.state is State.BOUND)
        if client.plan is not None:
            assert client.plan.boot_file
