"""Port 4011 and boot server discovery: the family DSC of specs/pxe.toml."""

from __future__ import annotations

from mtftpd.conformance.findings import Feature
from mtftpd.conformance.lab import Lab
from mtftpd.conformance.pxe_client import PxeQuestion
from mtftpd.conformance.registry import pxe
from mtftpd.conformance.verdicts import check
from mtftpd.wire.options import SERVER_IDENTIFIER


@pxe.case("DHCP-08", needs=[Feature.PORT_4011])
async def port_4011_answers_to_the_port_of_the_question(lab: Lab) -> None:
    """The ACK has no address, names and comes from the address that was asked, and goes where it was asked from."""
    async with lab.dhcp() as client:
        if Feature.LEASES in lab.found.features:
            await client.lease()
        question = PxeQuestion(lab, client)
        try:
            ack = await question.ask()
            check(ack.packet, "yiaddr", str(ack.value.yiaddr), "0.0.0.0")
            check(ack.packet, "option 54", str(ack.value.options.address(SERVER_IDENTIFIER)), question.server.address)
            check(ack.packet, "source", str(ack.packet.source), str(question.server))
            check(ack.packet, "destination", str(ack.packet.destination), str(question.mailbox.local))
        finally:
            question.close()
