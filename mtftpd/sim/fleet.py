"""The machines of a scenario before they are plugged in: which ROM each has, and the addresses of its interfaces."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from mtftpd.core.node_settings import Inventory, NodeEntry
from mtftpd.rom.profiles import SPEC, RomProfile
from mtftpd.sim.roms import rom as rom_called
from mtftpd.sim.scenario import Scenario, dealt
from mtftpd.wire.datagram import HardwareAddress


def hardware_of(number: int, oui: bytes = SPEC.oui) -> HardwareAddress:
    """Return the Ethernet address of interface ``number`` of all, from 1; by default a locally administered one."""
    return HardwareAddress(1, oui + number.to_bytes(3, "big"))


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface; ``number`` counts those of all machines, from 1, ``profile`` is what runs on it."""

    number: int
    hardware: HardwareAddress
    profile: RomProfile


@dataclass(frozen=True, slots=True)
class Chassis:
    """One machine with its interfaces, whose addresses lie side by side, and the one that it boots from."""

    number: int
    rom: str
    interfaces: tuple[Interface, ...]
    boots: Interface


def fleet_of(scenario: Scenario) -> tuple[Chassis, ...]:
    """Return the machines of ``scenario``, in the order in which they are switched on."""
    fleet: list[Chassis] = []
    first = 1
    for rom in dealt(scenario.roms, scenario.nodes, Random(f"{scenario.seed}/roms")):
        profile = rom_called(rom)
        interfaces = tuple(
            Interface(number, hardware_of(number, profile.oui), each)
            for number, each in enumerate(profile.interfaces(), first)
        )
        fleet.append(Chassis(len(fleet) + 1, rom, interfaces, interfaces[profile.boots_from - 1]))
        first += len(interfaces)
    return tuple(fleet)


def inventory_of(scenario: Scenario) -> Inventory:
    """Return what the server is told of machines with several interfaces."""
    if scenario.other_nics is None:
        return Inventory()
    return Inventory(
        tuple(
            NodeEntry(
                hardware=tuple(each.hardware for each in chassis.interfaces),
                bootable=chassis.boots.hardware,
                other_nics=scenario.other_nics,
            )
            for chassis in fleet_of(scenario)
            if len(chassis.interfaces) > 1
        )
    )
