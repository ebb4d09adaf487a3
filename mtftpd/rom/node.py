"""One simulated ROM from power-on to an image in memory: DHCP, then multicast or unicast TFTP, then unicast at last.

The order is that of PXE 2.1 figure 2-2: whatever goes wrong with the multicast download, port 69 has the same file.
What was loaded may be a system that asks for an address of its own.
A node drives one machine at a time and speaks to the outside in the values of `mtftpd.rom.actions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mtftpd.quirks.vocabulary import Mutation
from mtftpd.rom.actions import NO_ADDRESS, NOTHING, Actions, Enter, Machine, Memory, Phase, TakeAddress
from mtftpd.rom.blocks import BLOCK_SIZE
from mtftpd.rom.dhcp import BootPlan, Dhcp
from mtftpd.rom.ipxe import IPXE_PORT, URI, PolledListener
from mtftpd.rom.mtftp import Mtftp, Ticket
from mtftpd.rom.profiles import Identity, RomPorts, RomProfile
from mtftpd.rom.tftp import Source, Tftp
from mtftpd.wire.datagram import Datagram, Endpoint

MEMORY_LIMIT: Final = 1 << 30
"""The largest image in octets; a stray block 65,535 may claim 32 MiB of it, unicast with roll-over the rest."""

HOST: Final = 32
"""The prefix of an address whose network does not matter."""
NOT_BOOTABLE: Final = "no boot from this interface"
"""Why a node ends that is an interface of a machine which boots from another one."""


class Node:
    """A node; ``phase`` says where it is, ``length`` how long the image in memory is once it is done."""

    def __init__(
        self,
        identity: Identity,
        profile: RomProfile,
        memory: Memory,
        ports: RomPorts | None = None,
        told: BootPlan | None = None,
    ) -> None:
        """``told`` is what its user says to a program that needs no DHCP, such as atftp."""
        self.phase = Phase.OFF
        self.length = 0
        self.fallback = ""
        self.dhcp: Dhcp | None = None
        self.mtftp: Mtftp | PolledListener | None = None
        self.tftp: Tftp | None = None
        self.system: Dhcp | None = None
        self._way = ""
        self._identity = identity
        self._profile = profile
        self._memory = memory
        self._ports = ports or RomPorts()
        self._told = told
        self._machine: Machine | None = None
        self._next_port = identity.port

    @property
    def plan(self) -> BootPlan | None:
        """What DHCP, or the user, said, as far as it has been said."""
        return self.dhcp.plan if self.dhcp else self._told

    def power_on(self, now: float) -> Actions:
        """Start from nothing; also the way back from `Phase.FAILED`."""
        self.length = 0
        self.fallback = ""
        self.mtftp = self.tftp = self.system = None
        if self._told is not None:
            address = TakeAddress(str(self._told.address), HOST)
            return self._entered((address, *self._begin_download(self._told, now)))
        self._machine = self.dhcp = Dhcp(self._identity, self._profile.dhcp, self._ports)
        return self._entered(self.dhcp.start(now))

    def receive(self, datagram: Datagram, now: float) -> Actions:
        """Take a datagram; a node that is off, done or dead takes none."""
        machine = self._machine
        if machine is None:
            return NOTHING
        actions = machine.receive(datagram, now)
        return self._after(machine, actions, now) if actions else NOTHING

    def quiet_until(self, block: int) -> int:
        """Return up to where blocks behind ``block`` from the group may be handed over by `hear_run`; 0 for none."""
        listener = self.mtftp
        return 0 if listener is None or listener.over else listener.quiet_until(block)

    def hear_run(self, first: int, packets: Sequence[bytes], now: float) -> None:
        """Take the full blocks from ``first`` on as `receive` would one by one, for a fraction of its work."""
        listener, write = self.mtftp, self._memory.write
        assert listener is not None

        def store(offset: int, octets: int) -> None:
            for place, packet in zip(range(offset, offset + octets, BLOCK_SIZE), packets, strict=True):
                write(place, packet)

        listener.hear_run(first, first + len(packets) - 1, store, now)

    def tick(self, now: float) -> Actions:
        """Do what is due at ``now``."""
        machine = self._machine
        if machine is None:
            return NOTHING
        actions = machine.tick(now)
        return self._after(machine, actions, now) if actions else NOTHING

    def next_deadline(self) -> float | None:
        """Return when `tick` must be called, or None."""
        return None if self._machine is None else self._machine.next_deadline()

    def conflict(self, now: float) -> Actions:
        """Take notice that somebody else uses the address; only a node that has just got it declines it."""
        if self.dhcp is None or self._machine is None:
            return NOTHING
        stopped = NOTHING if self._machine is self.dhcp else self._machine.stop()
        declined = self.dhcp.conflict(now)
        self._machine = self.dhcp
        self.mtftp = self.tftp = None
        return self._entered((*stopped, *declined))

    # -- from machine to machine ----------------------------------------------------------------------------------

    def _after(self, machine: Machine, actions: Actions, now: float) -> Actions:
        if not machine.over:
            return self._entered(actions)
        if machine is self.dhcp:
            plan = self.dhcp.plan
            following = self._end(Phase.FAILED, self.dhcp.reason) if plan is None else self._begin_download(plan, now)
        elif machine is self.mtftp:
            following = self._after_multicast(self.mtftp, now)
        elif machine is self.system:
            following = self._after_system(self.system)
        else:
            following = self._after_unicast(now)
        return self._entered((*actions, *following))

    def _begin_download(self, plan: BootPlan, now: float) -> Actions:
        profile, group = self._profile.mtftp, self._profile.multicast_group
        if not self._profile.boots:
            return self._end(Phase.FAILED, NOT_BOOTABLE)
        if group is not None and (uri := URI.fullmatch(plan.boot_file)):
            return self._listen(plan, group, int(uri["port"] or IPXE_PORT), (0.0, 0.0), now)
        if plan.mtftp is None or profile is None:
            return self._begin_unicast(plan, now)
        if profile.probes_first and plan.blocks is None:
            return self._begin_unicast(plan, now, only_probe=True)
        return self._begin_multicast(plan, now)

    def _begin_multicast(self, plan: BootPlan, now: float) -> Actions:
        tags = plan.mtftp
        assert tags is not None, "only a plan with a group leads here"
        group = Endpoint(str(tags.group), tags.client_port)
        return self._listen(plan, group, tags.server_port, (float(tags.timeout), float(tags.delay)), now)

    def _listen(
        self, plan: BootPlan, group: Endpoint, server_port: int, waits: tuple[float, float], now: float
    ) -> Actions:
        profile = self._profile.mtftp
        assert profile is not None, "only a ROM that has multicast leads here"
        listen, transmit = waits
        ticket = Ticket(
            station=str(plan.address),
            server=str(plan.server),
            server_port=server_port,
            group=group,
            boot_file=self._path(plan),
            listen=listen,
            transmit=transmit,
            port=self._identity.port if profile.own_port else 0,
        )
        client = PolledListener if profile.polled else Mtftp
        self._machine = self.mtftp = client(ticket, profile, self._memory, MEMORY_LIMIT)
        return self.mtftp.start(now)

    def _begin_unicast(self, plan: BootPlan, now: float, *, only_probe: bool = False) -> Actions:
        source = Source(
            Endpoint(str(plan.server), self._ports.tftp), self._path(plan), str(plan.address), self._next_port
        )
        limit = MEMORY_LIMIT
        if plan.blocks is not None and Mutation.BUFFER_OF_13 in self._profile.faults:
            limit = plan.blocks * BLOCK_SIZE
        self._machine = self.tftp = Tftp(source, self._profile.tftp, self._memory, limit, only_probe=only_probe)
        return self.tftp.start(now)

    def _path(self, plan: BootPlan) -> bytes:
        """Return what to ask for: only iPXE takes a URI for one."""
        uri = URI.fullmatch(plan.boot_file) if self._profile.multicast_group else None
        return uri["path"] if uri else plan.boot_file

    def _after_multicast(self, mtftp: Mtftp | PolledListener, now: float) -> Actions:
        if mtftp.complete:
            self.length = mtftp.blocks.length
            return self._loaded("multicast", now)
        self.fallback = mtftp.reason
        if Mutation.NO_FALLBACK in self._profile.faults:
            return self._end(Phase.FAILED, mtftp.reason)
        assert self.plan is not None, "a multicast download has a plan"
        return self._begin_unicast(self.plan, now)

    def _after_unicast(self, now: float) -> Actions:
        tftp, plan = self.tftp, self.plan
        assert tftp is not None, "some machine is over"
        assert plan is not None, "a transfer has a plan"
        self._next_port = tftp.port + 1
        if tftp.only_probe:
            return self._begin_multicast(plan, now)
        if not tftp.complete:
            return self._end(Phase.FAILED, tftp.reason)
        self.length = tftp.length
        return self._loaded("unicast", now)

    def _loaded(self, way: str, now: float) -> Actions:
        if self._profile.system is None:
            return self._end(Phase.DONE, way)
        self._way = way
        self._machine = self.system = Dhcp(self._identity, self._profile.system, self._ports)
        return TakeAddress(NO_ADDRESS, 0), *self.system.start(now)

    def _after_system(self, system: Dhcp) -> Actions:
        if system.plan is None:
            return self._end(Phase.FAILED, f"the system got no address: {system.reason}")
        if self.plan is None or system.plan.address != self.plan.address:
            return self._end(Phase.FAILED, "the system got another address")
        return self._end(Phase.DONE, self._way)

    def _end(self, phase: Phase, detail: str) -> Actions:
        self._machine = None
        return (Enter(phase, detail),)

    def _entered(self, actions: Actions) -> Actions:
        for action in actions:
            if isinstance(action, Enter):
                self.phase = action.phase
        return actions
