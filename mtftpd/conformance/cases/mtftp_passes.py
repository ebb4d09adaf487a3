"""One pass of a session by PXE 2.1: the families RRQ, DAT and ACK of specs/mtftp.toml."""

from __future__ import annotations

from mtftpd.conformance.lab import Lab
from mtftpd.conformance.registry import mtftp as suite
from mtftpd.conformance.verdicts import Inconclusive, check, fail
from mtftpd.wire import tftp
from mtftpd.wire.datagram import Endpoint


@suite.case("RRQ-02")
async def an_open_is_answered_alone_and_to_the_group(lab: Lab) -> None:
    """DATA 1 goes to the port of the opener, and the same DATA 1 to the group and client port."""
    async with lab.mtftp() as client:
        client.open()
        single = await client.unicast(tftp.Data, 1)
        copy = await client.multicast(1)
        check(single.packet, "destination", str(single.packet.destination), str(client.own.local))
        group = Endpoint(client.session.group, client.session.client_port)
        check(copy.packet, "destination", str(copy.packet.destination), str(group))
        check(copy.packet, "DATA 1 of the group", copy.packet.data, single.packet.data)


@suite.case("RRQ-03")
async def the_opener_hears_before_the_group(lab: Lab) -> None:
    """The unicast copy of DATA 1 leaves before the group's."""
    async with lab.mtftp() as client:
        single, copy = await client.become_master()
        check(copy.packet, "group copy after the unicast copy", copy.packet.time >= single.packet.time, True)


@suite.case("RRQ-04")
async def everything_comes_from_the_server_port(lab: Lab) -> None:
    """Both copies of DATA 1 and DATA 2 come from the address and port that were asked."""
    async with lab.mtftp() as client:
        single, copy = await client.become_master()
        check(single.packet, "source of the unicast copy", str(single.packet.source), str(client.server))
        check(copy.packet, "source of the group copy", str(copy.packet.source), str(client.server))
        client.ack(1)
        second = await client.multicast(2)
        check(second.packet, "source of DATA 2", str(second.packet.source), str(client.server))


@suite.case("RRQ-05")
async def an_open_during_a_pass_is_ignored(lab: Lab) -> None:
    """While a pass runs, the RRQ of another host gets no answer at all."""
    async with lab.other_host() as host, lab.mtftp() as master, lab.mtftp(host) as other:
        await master.become_master()
        master.ack(1)
        await master.multicast(2)
        other.open()
        await other.own.silence(lab.target.quiet / 2, "an RRQ while a pass runs")


@suite.case("RRQ-09", "FBK-05")
async def an_unknown_file_is_met_with_silence(lab: Lab) -> None:
    """An open for a file that has no session draws no ERROR."""
    async with lab.mtftp() as client:
        client.open("there-is-no-such-file")
        await client.own.silence(lab.target.quiet, "an open for a file that does not exist")


@suite.case("DAT-01", "DAT-02", "DAT-03", "DAT-04", "DAT-06", "DAT-11", "END-01", "FBK-01")
async def a_pass_has_every_block_once_in_order(lab: Lab) -> None:
    """DATA 2 to the last go to the group alone, in order, 512 octets each, and are the file."""
    async with lab.mtftp() as client:
        single, _ = await client.become_master()
        content = single.value.payload + await client.finish()
        image = next((each for each in lab.found.images if each.name == client.session.name), None)
        if image is None:
            raise Inconclusive(f"{client.session.name} cannot be read by TFTP, so its content is not known")
        check(single.packet, "octets of the pass", len(content), image.size)
        check(single.packet, "the content is that of TFTP", content == image.content, True)
        await client.own.silence(lab.target.quiet, "blocks behind the first", lambda packet: packet == single.packet)


@suite.case("DAT-07")
async def nothing_runs_ahead_of_the_master(lab: Lab) -> None:
    """Without ACK 1 there is no DATA 2."""
    async with lab.mtftp() as client:
        await client.become_master()
        early = await client.group.until(
            lambda packet: packet if packet.data[2:4] != b"\0\1" else None, min(lab.target.quiet, 0.4)
        )
        if early is not None:
            raise fail("block before ACK 1", "DATA 1 again, or nothing", early.summary, early)


@suite.case("ACK-07", "END-04")
async def a_stray_ack_draws_nothing(lab: Lab) -> None:
    """An ACK and an ERROR from nobody's port get neither an ERROR nor an ICMP message."""
    async with lab.mtftp() as client:
        client.ack(7)
        client.send(tftp.Error(0, "stray"))
        await client.own.silence(lab.target.quiet, "a stray ACK and ERROR")
