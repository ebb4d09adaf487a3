"""The conformance suite over the servers that Debian ships: it finds what is known of them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tools.peers import PEERS, TABLE, Report, all_judged

pytestmark = [pytest.mark.system, pytest.mark.long]

PATIENCE = 10.0
"""Seconds that a case waits for an answer: what is missing of a peer costs as many, and CI is a loaded machine."""

KNOWN = {
    "atftpd": {
        "RRQ-04": "fail",  # MTFTP blocks come from an ephemeral port, which EDK1 does not listen to
        "GRP-05": "fail",  # one block too many: 65,535 * 512 octets are let through
        "TFTP-09": "fail",  # a fixed time of 5 s between copies
        "TFTP-12": "fail",  # takes uploads unless it is told not to
        "TFTP-19": "fail",  # a repeated request is a second transfer
        "TFTP-28": "fail",  # follows the number of an ACK, and skips blocks
        "TFTP-03": "pass",
        "BLK-02": "pass",
    },
    "dnsmasq": {
        "DHCP-05": "pass",
        "MSG-04": "fail",  # secs of the request come back
        "TFTP-17": "fail",  # an ERROR to port 69 is answered with ERROR
        "TFTP-19": "fail",
        "TFTP-03": "pass",
        "DHCP-02": "pass",
    },
    "tftpd-hpa": {
        "TSZ-03": "fail",  # tsize is echoed when it is not 0
        "TFTP-19": "fail",
        "TFTP-03": "pass",
        "TFTP-12": "pass",
    },
    "ISC dhcpd": {
        "DHCP-05": "fail",  # option 97 is not echoed
        "MSG-04": "fail",
        "DHCP-03": "pass",
        "ADR-02": "pass",
    },
}
"""Findings that do not depend on time: what each server is known to do, by requirement."""


@pytest.fixture(scope="module")
def reports() -> Mapping[str, Report]:
    return all_judged(PATIENCE)


@pytest.mark.parametrize("name", PEERS)
def test_what_is_known_of_a_peer_is_found(name: str, reports: Mapping[str, Report]) -> None:
    found = reports[name]["requirements"]
    assert {id_: found.get(id_) for id_ in KNOWN[name]} == KNOWN[name]


@pytest.mark.parametrize("name", PEERS)
def test_the_table_says_what_is_known(name: str) -> None:
    lines = [line.strip("| ").split(" | ") for line in TABLE.read_text().splitlines() if line.startswith("|")]
    column = next(number for number, title in enumerate(lines[0]) if title.startswith(name))
    table = {cells[0]: cells[column].strip("*") for cells in lines if len(cells) == len(lines[0])}
    assert {id_: table[id_] for id_ in KNOWN[name]} == KNOWN[name]
