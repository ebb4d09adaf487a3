"""The clinic as a machine: datagrams and the time in, effects out; one probe for each boot of the patient.

Rules
1. The first machine that asks to boot is the patient, or the one that was named; all its interfaces have its UUID.
2. A DISCOVER begins a boot when its interface went on since its last one, or counts its seconds anew.  What was seen of
   the boot before is judged then at the latest.
3. Once a boot has been judged it is answered with care, so that the machine comes to an end that it knows.
4. Everything that is found is in the chart, which is saved whenever a boot has been judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Final

from mtftpd.conformance.clinic import effects, intake, judges, replies
from mtftpd.conformance.clinic.chart import OPTIONS, Chart, Outcome
from mtftpd.conformance.clinic.downloads import PAUSE, STRANGER_HEARD, Download
from mtftpd.conformance.clinic.effects import Effects, Send
from mtftpd.conformance.clinic.findings import Trait
from mtftpd.conformance.clinic.long_download import begin
from mtftpd.conformance.clinic.outgoing import Outgoing
from mtftpd.conformance.clinic.probes import PROBES, Probe, to_do
from mtftpd.conformance.clinic.sessions import GroupSession
from mtftpd.conformance.clinic.styles import Session, Style, Tags, Transfer, Trouble
from mtftpd.conformance.clinic.verdicts import Verdicts
from mtftpd.conformance.clinic.visit import AT_ONCE, Acknowledgement, Read, Visit
from mtftpd.errors import Malformed
from mtftpd.wire import arp, bootp, text, tftp
from mtftpd.wire.bootp import DhcpMessage, MessageType
from mtftpd.wire.datagram import Datagram, Endpoint, HardwareAddress

QUIET: Final = 120.0
"""Seconds without a packet after which a machine is not coming back by itself: more than any firmware waits."""
RESTART: Final = 2.0
"""Seconds after a NAK in which a DISCOVER is an answer to it."""
MAX_DOWNLOADS: Final = 32
"""Transfers of one boot that are remembered: some ROMs take a new port for each request."""
_BROADCAST: Final = "255.255.255.255"
_NO_ADDRESS: Final = IPv4Address(0)


class Examination:
    """The examination of one patient whose ``chart`` may hold earlier boots; ``hardware`` says who it is."""

    def __init__(
        self,
        practice: effects.Practice,
        chart: Chart,
        image: bytes,
        probes: Iterable[Probe] = PROBES,
        hardware: bytes = b"",
    ) -> None:
        self.chart = chart
        self.visit: Visit | None = None
        self.discharged = False
        self._practice = practice
        self._image = image
        self._probes = tuple(probes)
        self._wanted = hardware
        self._probe: Probe | None = None
        self._downloads: dict[Endpoint, Download] = {}
        self._session: GroupSession | None = None
        self._verdicts = Verdicts()
        self._quiet = float("inf")
        self._out = Outgoing(practice, chart)

    # -- the interface --------------------------------------------------------------------------------------------

    def remaining(self) -> tuple[Probe, ...]:
        """Return the probes that are still to be made, as far as that is known now."""
        return to_do(self.chart, self._probes)

    def serve_image(self, image: bytes) -> None:
        """Serve another file from now on: which one is right shows in the first DISCOVER."""
        self._image = image

    def next_deadline(self) -> float | None:
        """Return when `tick` must be called, or None."""
        times = [self._quiet if self.visit is not None else None, self._out.next_deadline()]
        return min((when for when in times if when is not None), default=None)

    def tick(self, now: float) -> Effects:
        """Do what is due."""
        while self._out.reaches_reminder(now):
            self._resume(now)
        if self.visit is not None and now >= self._quiet:
            self._end_visit(now)
        return self._effects(now)

    def receive(self, datagram: Datagram, now: float) -> Effects:
        """Take a datagram; what is malformed, or not of the patient, gets no answer."""
        try:
            if datagram.socket in (effects.DHCP_SERVER, effects.PXE):
                self._hear_dhcp(bootp.parse_untrusted(datagram.data), datagram, now)
            elif self.visit is not None and datagram.source.address in map(str, self._practice.addresses):
                self._hear_tftp(tftp.parse_untrusted(datagram.data), datagram, now)
        except Malformed:
            return ()
        return self._effects(now)

    def hear_arp(self, data: bytes, now: float) -> Effects:
        """Take an ARP packet; the patient's answers to us count."""
        try:
            packet = arp.parse_untrusted(data)
        except Malformed:
            return ()
        visit, ours = self.visit, packet.target_address == self._practice.address
        if visit is None or packet.operation != arp.Operation.REPLY or not ours:
            return ()
        if packet.sender_hardware in self.chart.hardware:
            visit.arp_answered += 1
            visit.note(f"< ARP {packet.sender_address} is at {packet.sender_hardware.hex(':')}", now)
            self._judge(now)
        return self._effects(now)

    # -- DHCP -----------------------------------------------------------------------------------------------------

    def _hear_dhcp(self, message: DhcpMessage, datagram: Datagram, now: float) -> None:
        kind = message.message_type
        room = len(self._practice.addresses) - 1
        if message.op != bootp.BOOTREQUEST or not intake.is_patient(self.chart, message, self._wanted, room):
            return
        if not intake.boots(message):
            self._serve_system(message, now)
            return
        if kind == MessageType.DISCOVER:
            self._discovered(message, now)
        visit = self.visit
        if visit is None:
            return
        self._note(datagram, now)
        if kind == MessageType.DISCOVER:
            self._offer(message, now)
        elif kind == MessageType.REQUEST and datagram.socket == effects.PXE:
            self._answer_4011(message, datagram.source, now)
        elif kind == MessageType.REQUEST and message.options.address(54) == self._practice.address:
            self._acknowledge(message, now)

    def _discovered(self, message: DhcpMessage, now: float) -> None:
        visit, octets = self.visit, message.hardware.octets
        if visit is not None and (octets in visit.progressed or message.secs < visit.seconds.get(octets, 0)):
            visit.restarted = visit.naked is not None and now - visit.naked < RESTART
            self._end_visit(now)
        intake.see_discover(self.chart, message)
        if self.visit is None and not self.discharged:
            self._begin_visit(now)
        if self.visit is not None:
            self.visit.discovers[octets] += 1
            self.visit.seconds[octets] = message.secs
            self._judge(now)

    def _address(self, message: DhcpMessage) -> IPv4Address:
        return self._practice.addresses[self.chart.hardware.index(message.hardware.octets)]

    def _offer(self, message: DhcpMessage, now: float) -> None:
        visit = self._present()
        style = self._style().reply
        if style.foreign_first and not visit.decided:
            stranger = replies.for_a_stranger(message)
            foreign = self._practice.addresses[-1]
            self._reply(message, self._build(stranger, MessageType.OFFER, foreign), now)
        offer = self._build(message, MessageType.OFFER, self._address(message))
        for _ in range(style.copies):
            self._reply(message, offer, now, style.delay)

    def _acknowledge(self, message: DhcpMessage, now: float) -> None:
        visit, style = self._present(), self._style().reply
        octets = message.hardware.octets
        asked = message.options.address(50) or message.ciaddr
        visit.requests.append(str(asked))
        self._went_on(octets)
        mine = self._address(message)
        if asked == self._practice.addresses[-1]:
            visit.foreign = True
            mine = asked
        if style.nak_first and visit.naked is None:
            visit.naked = now
            self._reply(message, replies.build_nak(message, self._practice), now)
        for _ in range(style.copies):
            self._reply(message, self._build(message, MessageType.ACK, mine), now)

    def _went_on(self, octets: bytes) -> None:
        visit = self._present()
        if octets not in visit.progressed:
            visit.progressed.add(octets)
            visit.discovers_needed = visit.discovers_needed or visit.discovers[octets]

    def _answer_4011(self, message: DhcpMessage, source: Endpoint, now: float) -> None:
        visit = self._present()
        visit.asked_4011 += 1
        if self._style().reply.tags is Tags.NONE and 60 not in self._style().reply.without:
            self.chart.findings.add(Trait.ASKS_4011)
        data = self._build(message, MessageType.ACK, _NO_ADDRESS)
        self._out.send(Send(effects.PXE, source, data), now)

    def _serve_system(self, message: DhcpMessage, now: float) -> None:
        """Give the system that was booted the address of its firmware."""
        if message.hardware.octets not in self.chart.hardware:
            return
        self.chart.findings.add(Trait.SYSTEM_ASKS)
        kinds = {MessageType.DISCOVER: MessageType.OFFER, MessageType.REQUEST: MessageType.ACK}
        kind = kinds.get(MessageType(message.message_type or 0)) if message.message_type else None
        if kind is not None:
            plain = replies.build_reply(message, kind, self.chart.careful(), self._practice, self._address(message))
            self._reply(message, plain, now)

    def _build(self, message: DhcpMessage, kind: MessageType, address: IPv4Address) -> bytes:
        return replies.build_reply(message, kind, self._style().reply, self._practice, address)

    def _reply(self, message: DhcpMessage, data: bytes, now: float, delay: float = 0.0) -> None:
        client = Endpoint(_BROADCAST, effects.DHCP_CLIENT)
        hardware: HardwareAddress | None = None
        if self.visit is not None and self._style().reply.by_unicast:
            client, hardware = Endpoint(str(self._address(message)), effects.DHCP_CLIENT), message.hardware
        self._out.send(Send(effects.DHCP_SERVER, client, data, hardware), now, delay)

    # -- TFTP and MTFTP -------------------------------------------------------------------------------------------

    def _hear_tftp(self, packet: tftp.Packet, datagram: Datagram, now: float) -> None:
        source = datagram.source
        self._note(datagram, now)
        for octets, address in zip(self.chart.hardware, self._practice.addresses, strict=False):
            if str(address) == source.address:
                self._went_on(octets)
        match packet:
            case tftp.Request(opcode=tftp.Opcode.RRQ):
                read = Read(now, datagram.socket, source, packet.filename, packet.mode, dict(packet.options))
                if read.port in effects.GROUP_PORTS:
                    self._opened(read, now)
                else:
                    self._asked(read, now)
            case tftp.Ack():
                self._acked(Acknowledgement(now, datagram.socket, packet.number), source, now)
            case tftp.Error():
                self._failed(packet, source, now)
        self._judge(now)

    def _asked(self, read: Read, now: float) -> None:
        visit = self._present()
        intake.see_read(self.chart, visit, read)
        last = self._downloads.get(visit.reads[-1].source) if visit.reads else None
        if last is not None and last.over and last.began_with_size and visit.errors:
            self.chart.findings.add(Trait.ENDS_SIZE_PROBE)
        visit.reads.append(read)
        visit.unanswered += 1
        visit.gave_up = False
        download = self._downloads.get(read.source)
        if download is not None and not download.over and download.read.options == read.options:
            self._out.fire(download.again(now), now)
            return
        if len(self._downloads) < MAX_DOWNLOADS:
            download = self._downloads[read.source] = begin(read, self._style().transfer, self._image, visit)
            self._out.fire(download.start(now), now)
        self._ask_arp(read.source.address, now)

    def _acked(self, ack: Acknowledgement, source: Endpoint, now: float) -> None:
        visit = self._present()
        visit.unanswered = 0
        download = self._downloads.get(source)
        if download is not None:
            visit.acks.append(ack)
            self._out.fire(download.acknowledge(ack.number, now), now)
            trouble = self._style().transfer.trouble
            self._ask_arp(source.address, now)
            if download.over and self._style().transfer.asks_arp:
                self._out.remind(now + AT_ONCE)  # The last answers may be on their way.
            if ack.number == 2 and trouble in (Trouble.PAUSE, Trouble.STRANGER):
                self._out.remind(now + (PAUSE if trouble is Trouble.PAUSE else STRANGER_HEARD))
        elif self._session is not None:
            visit.group_acks.append(ack)
            self._out.fire(self._session.acknowledge(source, ack.number, now), now)

    def _ask_arp(self, address: str, now: float) -> None:
        visit = self._present()
        if self._style().transfer.asks_arp and visit.arp_asked < judges.ARP_REQUESTS:
            visit.arp_asked += 1
            self._out.ask_arp(address, now)

    def _opened(self, read: Read, now: float) -> None:
        visit = self._present()
        visit.opens.append(read)
        if visit.style.session is Session.SILENT or visit.style.reply.tags not in (Tags.GROUP, Tags.BARE):
            return
        if self._session is None:
            self._session = GroupSession(visit.style.session, self._image, visit)
        self._out.fire(self._session.open(read, now), now)
        if visit.style.session is Session.SECOND_ONLY and len(visit.opens) == 1:
            self._out.remind(now + AT_ONCE)

    def _failed(self, error: tftp.Error, source: Endpoint, now: float) -> None:
        visit = self._present()
        visit.errors.append((now, error.code))
        visit.gave_up = True
        visit.unanswered = 0
        download = self._downloads.get(source)
        if download is not None:
            download.over = True
            if self._style().transfer.error_to_error:
                self._out.send(Send(download.port, source, tftp.build(tftp.Error(0, "in answer to yours"))), now)

    def _resume(self, now: float) -> None:
        """Go on with what a probe has held back."""
        visit = self.visit
        if visit is None:
            return
        if visit.style.session is Session.SECOND_ONLY and self._session is not None:
            if not visit.group_acks:
                self._out.fire(self._session.second_only(), now)
            return
        visit.pause_ended = True
        for download in tuple(self._downloads.values()):
            self._out.fire(download.resume(now), now)
        self._judge(now)

    # -- boots ----------------------------------------------------------------------------------------------------

    def _begin_visit(self, now: float) -> None:
        remaining = self.remaining()
        if not remaining:
            self._discharge()
            return
        self._probe = remaining[0]
        self.chart.boots += 1
        self.visit = Visit(self._probe.id, self._probe.style(self.chart), now, self._practice.boot_file)
        self._downloads = {}
        self._session = None
        self._out.begin(self.visit)
        self._out.tell(effects.Say(f"boot {self.chart.boots}: {self._probe.id}: {self._probe.about}"))

    def _end_visit(self, now: float) -> None:
        visit = self._present()
        self._judge(now, ended=True)
        intake.see_end(self.chart, visit)
        self.visit = None
        self._out.begin(None)
        self._out.tell(effects.Save())
        if not self.remaining():
            self._discharge()

    def _judge(self, now: float, *, ended: bool = False) -> None:
        visit, probe = self._present(), self._probe
        if visit.decided or probe is None:
            return
        judgement = self._verdicts.reach(probe, visit, ended)
        if judgement is None and ended:
            self._out.tell(effects.Say("        ended before it took a file: once more, to be sure"))
        elif judgement is not None:
            outcome = Outcome(probe.id, judgement.said, judgement.findings, tuple(visit.lines))
            self._settle(outcome, judgement.mode)

    def _settle(self, outcome: Outcome, mode: bool | None) -> None:
        visit = self._present()
        visit.decided = True
        if outcome.probe == OPTIONS and not outcome.findings and not self.chart.modes.get("careful", True):
            helped = visit.acknowledged(0) and not self.chart.cure
            outcome = replace(outcome, findings=(Trait.NEEDS_OPTIONS,) if helped else ())
        self.chart.record(outcome, mode)
        if outcome.probe == "group-silent" and visit.opens and visit.fell_back is not None:
            self.chart.patience = visit.fell_back.when - visit.opens[0].when
        found = "".join(f" [{each.value}]" for each in outcome.findings)
        self._out.tell(effects.Say(f"        {outcome.said}{found}"), effects.Save())

    def _discharge(self) -> None:
        if not self.discharged:
            self.discharged = True
            self._out.tell(effects.Discharge())

    def _style(self) -> Style:
        """Return what is answered with now: what the probe wants, or care once it has been judged."""
        visit = self.visit
        if visit is not None and not visit.decided:
            return visit.style
        return Style(self.chart.careful(), Transfer(grants=self.chart.needs_options))

    def _present(self) -> Visit:
        assert self.visit is not None, "only a boot leads here"
        return self.visit

    # -- out ------------------------------------------------------------------------------------------------------

    def _note(self, datagram: Datagram, now: float) -> None:
        what = text.summary(datagram.data, datagram.source.port, datagram.destination.port)
        self._present().note(f"< {datagram.source} {what}", now)

    def _effects(self, now: float) -> Effects:
        visit = self.visit
        if visit is not None and visit.decided and visit.finished and not self.remaining():
            self._end_visit(now)  # There is no other boot to wait for.
        out = self._out.take()
        if self.visit is not None and out:
            self._quiet = now + QUIET
        return out
