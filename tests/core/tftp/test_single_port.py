"""A transfer that stays on port 69: no socket is opened, and what comes and goes is that of port 69 (quirk Q69)."""

from __future__ import annotations

from mtftpd.core.effects import CloseTransfer, Drop, DropReason, OpenTransfer, Send, SendRun, Service
from mtftpd.core.images import Image
from mtftpd.core.tftp.single_port import SinglePort
from mtftpd.wire.datagram import Datagram, Endpoint

PEER, OTHER = Endpoint("10.0.0.7", 2070), Endpoint("10.0.0.8", 2070)
SERVER = Endpoint("10.0.0.1", 69)
IMAGE = Image(1, "nbp", 1000, "11" * 32)
RRQ, ACK = b"\0\1nbp\0octet\0", b"\0\4\0\1"


def run(socket: int, peer: Endpoint) -> SendRun:
    return SendRun(socket, peer, IMAGE, 1, 1, 512)


def single() -> SinglePort:
    port = SinglePort(lambda address, now: address == PEER.address)
    port.outward((OpenTransfer(1000, PEER), OpenTransfer(1001, OTHER)), 0.0)
    return port


def test_what_a_transfer_sends_leaves_from_port_69() -> None:
    port = single()
    others = (run(1001, OTHER), Drop(DropReason.STALE_ACK, PEER))
    effects = port.outward((run(1000, PEER), Send(1000, PEER, b"x"), *others), 0.0)
    assert effects == (run(Service.TFTP, PEER), Send(Service.TFTP, PEER, b"x"), *others)


def test_no_socket_is_opened_or_closed_for_it() -> None:
    port = SinglePort(lambda address, now: address == PEER.address)
    assert port.outward((OpenTransfer(1000, PEER), run(1000, PEER)), 0.0) == (run(Service.TFTP, PEER),)
    assert port.outward((OpenTransfer(1001, OTHER), CloseTransfer(1000)), 0.0) == (OpenTransfer(1001, OTHER),)
    assert port.outward((CloseTransfer(1001),), 0.0) == (CloseTransfer(1001),)


def test_what_comes_to_port_69_is_of_the_transfer_unless_it_is_a_request() -> None:
    port = single()
    for data, socket in ((ACK, 1000), (RRQ, Service.TFTP)):
        assert port.inward(Datagram(Service.TFTP, PEER, SERVER, data)).socket == socket
    for datagram in (Datagram(Service.TFTP, OTHER, SERVER, ACK), Datagram(1001, PEER, SERVER, ACK)):
        assert port.inward(datagram) is datagram


def test_the_newest_transfer_of_a_port_is_the_one_that_is_meant() -> None:
    port = single()
    port.outward((OpenTransfer(1002, PEER),), 0.0)
    port.outward((CloseTransfer(1000),), 0.0)
    assert port.inward(Datagram(Service.TFTP, PEER, SERVER, ACK)).socket == 1002
    port.outward((CloseTransfer(1002),), 0.0)
    assert port.inward(Datagram(Service.TFTP, PEER, SERVER, ACK)).socket == Service.TFTP
