"""``specs/real-roms.md`` has every probe, and agrees with what was measured before there was a clinic."""

from __future__ import annotations

import pytest

from mtftpd.conformance.clinic.findings import named
from mtftpd.conformance.clinic.probes import PROBES
from mtftpd.rom.firmwares import FIRMWARES
from tests.conformance.clinic_world import World
from tools.real_roms import BY_ITSELF, HEAD, TABLE, cell, columns

MEASURED = {
    "iPXE": {
        "lockstep": "takes the whole file as master, 12 ACKs",  # 11 blocks, and block 1 twice
        "group-first": "acknowledges",
        "other-port": "hears that port alone, and not the group [locks_first_port]",
        "group-error": "ends the boot [error_is_fatal]",
        "group-silent": "2 opens, then port 69 after 0.81 s",
        "group-only": "hears the group",
        "tail": "goes to port 69 [no_second_open]",
        "back": "bears it",
    },
    "OVMF": {
        "careful": "asks for the file and does not take it",  # tag 6 alone: it goes to port 69, with options
        "options": "takes the options that it asks for [needs_options]",
        "no-43": "takes it",
        BY_ITSELF: "[asks_4011] [ends_size_probe] [window4]",
        "group-only": "goes to port 69 [no_multicast]",
        "bare-tags": "does not take the OFFER [reject_bare_43_1_5]",
        "no-60": "takes it",
    },
}
"""By hand, with a server made for it: what each mode of a server does to a ROM."""


SIMULATED = {
    "iPXE": (
        "ipxe-mtftp",
        {
            "error-reply": "takes the whole file",  # newer ones ask for the size first, and end that with an ERROR
            "group-silent": "2 opens, then port 69 after 0.75 s",  # what its timers say; 0.06 s are the machine's
            "group-error": "goes to port 69",
            "tail": "does not open again [no_second_open]",  # whoever has seen the last block may boot it with holes
            "no-siaddr": "takes it",
        },
    ),
    "OVMF": (
        "edk2-now",
        {
            "careful": "boots",  # a server that grants no options is none of ours
            "options": "takes the options that it asks for",
            "no-43": "does not take the OFFER [need_43_6]",  # when nobody answers it on port 4011
            "group-only": "does not take an OFFER with tags 1 to 5 [reject_43_1_5]",  # as older ones do
            "unicast": "takes it",
        },
    ),
}
"""Real ROM -> the simulated one, and the probes that show another thing of it."""


@pytest.mark.parametrize("rom", MEASURED)
def test_the_clinic_finds_what_was_measured_by_hand(rom: str) -> None:
    found = columns()[rom]
    assert {probe: found[probe] for probe in MEASURED[rom]} == MEASURED[rom]


@pytest.mark.parametrize("rom", SIMULATED)
def test_simulated_roms_are_like_the_real_ones_but_for_what_is_known(rom: str) -> None:
    name, differs = SIMULATED[rom]
    chart, real = World(FIRMWARES[name]).run(), columns()[rom]
    shown = {probe: cell(chart, probe) for probe in chart.outcomes}
    assert {probe: said for probe, said in shown.items() if said != real[probe]} == differs


def test_the_table_has_every_probe_as_it_is_now() -> None:
    text = TABLE.read_text()
    assert text.startswith(HEAD)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    table = [(cells[0], cells[1]) for cells in rows if len(cells) == 4][2:-1]
    assert table == [(probe.id, probe.about) for probe in PROBES]


def test_findings_in_brackets_are_those_of_the_clinic() -> None:
    for cells in columns().values():
        for text in cells.values():
            for word in text.split():
                if word.startswith("[") and word.endswith("]") and word != "[[node]]":
                    named(word.strip("[]"))
