"""Who a client is: the strongest evidence wins, and the reason is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.quirks.evidence import Evidence, evidence_of
from mtftpd.quirks.matching import Step, identify
from mtftpd.quirks.profiles import EDK2_PARAMETERS, GRUB_PARAMETERS, PROFILES, UNKNOWN
from mtftpd.wire.bootp import BOOTREQUEST, DhcpMessage
from mtftpd.wire.datagram import HardwareAddress
from mtftpd.wire.options import Options

RASPBERRY = bytes.fromhex("b827eb010203")
INTEL = bytes.fromhex("02005e000001")


def client(options: dict[int, bytes], chaddr: bytes = INTEL) -> Evidence:
    return evidence_of(DhcpMessage(BOOTREQUEST, 1, chaddr + bytes(10), options=Options(options)))


EVERYTHING = {
    53: b"\1", 55: EDK2_PARAMETERS, 60: b"PXEClient:Arch:00000:UNDI:002001", 77: b"iPXE", 93: b"\0\0", 175: b"\1\1\1",
}  # fmt: skip
ME = HardwareAddress(1, RASPBERRY)


@pytest.mark.parametrize(
    ("taken_away", "overrides", "learnt", "expected", "step"),
    [
        ((), {ME: "becker-worst"}, {ME: "landesk-0.99"}, "becker-worst", Step.OVERRIDE),
        ((), {}, {ME: "landesk-0.99"}, "landesk-0.99", Step.LEARNT),
        ((), {ME: "no such profile"}, {}, "ipxe", Step.USER_CLASS),
        ((77,), {}, {}, "ipxe", Step.USER_CLASS),
        ((77, 175), {}, {}, "edk2-now", Step.PARAMETERS),
        ((77, 175, 55), {}, {}, "rpi3", Step.OUI),
    ],
)
def test_the_order_of_evidence(
    taken_away: tuple[int, ...],
    overrides: dict[HardwareAddress, str],
    learnt: dict[HardwareAddress, str],
    expected: str,
    step: Step,
) -> None:
    evidence = client({code: value for code, value in EVERYTHING.items() if code not in taken_away}, RASPBERRY)
    found = identify(evidence, overrides, learnt)
    assert (found.profile.id, found.step) == (expected, step)
    assert found.why


@pytest.mark.parametrize(
    ("options", "expected", "step"),
    [
        ({60: b"PXEClient:Arch:00000:UNDI:002001"}, "intel-bios", Step.ARCHITECTURE),
        ({60: b"PXEClient", 93: b"\0\6"}, "efi1-mtftp", Step.ARCHITECTURE),
        ({60: b"PXEClient", 93: b"\0\x09"}, "edk2-now", Step.ARCHITECTURE),
        ({60: b"PXEClient"}, "intel-bios", Step.DEFAULT),
        ({60: b"PXEClient", 93: b"\0\x63"}, "unknown", Step.DEFAULT),
        ({77: b"\4gPXE", 175: b"", 60: b"PXEClient"}, "gpxe", Step.USER_CLASS),
        ({60: b"U-Boot.armv7", 93: b"\0\x15"}, "u-boot", Step.USER_CLASS),
        ({55: GRUB_PARAMETERS}, "grub", Step.PARAMETERS),
        ({61: b"\xff" + bytes(18)}, "os-dhclient", Step.DEFAULT),
    ],
)
def test_programs_by_what_they_say(options: dict[int, bytes], expected: str, step: Step) -> None:
    found = identify(client({53: b"\1", **options}))
    assert (found.profile.id, found.step) == (expected, step)


def test_only_clients_that_may_be_intels_are_told_of_groups() -> None:
    told = {profile.id for profile in PROFILES.values() if profile.multicast}
    assert told == {"efi1-mtftp", "intel-bios", "landesk-0.99", "becker-worst", "rlx-3nic", "atftp-mtftp"}
    assert not UNKNOWN.multicast


def test_the_faults_of_a_profile_are_those_of_its_records() -> None:
    assert PROFILES["landesk-0.99"].quirks == ("Q81",)
    assert "Q13" in PROFILES["edk2-now"].quirks


def test_a_fingerprint_can_be_read_by_people() -> None:
    shown = str(client({60: b"PXEClient", 55: b"\1\3", 97: bytes(17)}).fingerprint)
    assert shown.startswith("vendor_class=PXEClient parameters=0103 max_message= ")
    assert shown.endswith("uuid_octets=17 hlen=6")


@given(st.dictionaries(st.sampled_from((53, 55, 57, 60, 77, 93, 94, 97, 175)), st.binary(max_size=40)))
def test_everybody_is_somebody_and_for_a_reason(options: dict[int, bytes]) -> None:
    evidence = client(options)
    found = identify(evidence)
    assert found.profile in (*PROFILES.values(), UNKNOWN)
    assert found.why
    assert identify(evidence) == found
