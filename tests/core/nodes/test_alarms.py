"""Each alarm: what raises it, that it is told once and counted, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mtftpd.core.effects import Effects, Report, ReportKind, Service
from mtftpd.core.images import MAX_MTFTP_SIZE, Image
from mtftpd.core.learning.audiences import QUERY_SECONDS
from mtftpd.core.nodes import alarms as module
from mtftpd.core.nodes.alarms import MAX_ALARMS, QUIET, AlarmKind, Alarms
from mtftpd.core.nodes.watch import LATE_SECONDS
from mtftpd.core.service import BootService
from mtftpd.core.settings import Catalogue, Multicast, Settings
from mtftpd.wire import tftp
from mtftpd.wire.bootp import MessageType
from tests.core.dhcp.dhcp_lab import BIOS_ROM, DHCP, IPXE, MAC, SERVER, SYSTEM, TWO_IMAGES
from tests.core.nodes.node_lab import Lab

STANDING = frozenset({AlarmKind.IMAGE_TOO_LARGE, AlarmKind.SERVER_ADDRESS, AlarmKind.ALIASING})


@pytest.fixture
def lab() -> Lab:
    return Lab()


def told(effects: Effects, kind: ReportKind) -> list[str]:
    return [str(dict(each.detail)["alarm"]) for each in effects if isinstance(each, Report) and each.kind is kind]


def foreign_server(lab: Lab) -> None:
    lab.dhcp(MessageType.REQUEST, {**BIOS_ROM, 54: IPv4Address("10.0.0.2").packed, 50: IPv4Address("10.0.0.9").packed})


def duplicate_uuid(lab: Lab) -> None:
    for number, mac in enumerate((MAC, bytes.fromhex("02aabbccddee"))):
        lab.dhcp(MessageType.DISCOVER, {**BIOS_ROM, 97: b"\0" + b"\7" * 16}, mac=mac, xid=number)


def same_xid(lab: Lab) -> None:
    for number, mac in enumerate((MAC, bytes.fromhex("02aabbccddee"))):
        lab.dhcp(MessageType.DISCOVER, {**BIOS_ROM, 97: b"\0" + bytes((number + 1,)) * 16}, mac=mac, xid=5)


def unknown_open(lab: Lab) -> None:
    lab.ask("secret.img", Service.MTFTP)


def silent(lab: Lab) -> None:
    lab.boot()
    lab.sleep(14.0)


def late_start(lab: Lab) -> None:
    lab.dhcp(MessageType.DISCOVER, secs=LATE_SECONDS)


def many_lost(lab: Lab) -> None:
    """Two nodes are told of the group and take the file from port 69."""
    for number in (1, 2):
        lab.boot(mac=bytes((2, 0, 0, 0, 0, number)), xid=number)
        (address,) = {each.address for each in lab.reports() if each.kind is ReportKind.DHCP_ACKED}
        socket = lab.ask("nbp", address=address)
        lab.acknowledge(socket, TWO_IMAGES.paths["nbp"].blocks(512), address=address)


def no_querier(lab: Lab) -> None:
    lab.service.fallback.querier.listen(lab.now - QUERY_SECONDS)
    for number in (1, 2):
        lab.boot(mac=bytes((2, 0, 0, 0, 0, number)), xid=number)
        (address,) = {each.address for each in lab.reports() if each.kind is ReportKind.DHCP_ACKED}
        for _ in range(3):
            lab.open(address)
            lab.packet(Service.MTFTP, tftp.build(tftp.Ack(1)), address=address, port=1799)
            lab.sleep(20.0)


RAISED = {
    AlarmKind.FOREIGN_SERVER: foreign_server,
    AlarmKind.DUPLICATE_UUID: duplicate_uuid,
    AlarmKind.SAME_XID: same_xid,
    AlarmKind.UNKNOWN_FILE: unknown_open,
    AlarmKind.SILENT: silent,
    AlarmKind.LATE_START: late_start,
    AlarmKind.PASS_LOST: many_lost,
    AlarmKind.NO_QUERIER: no_querier,
}


REPEATED = frozenset({AlarmKind.FOREIGN_SERVER, AlarmKind.DUPLICATE_UUID, AlarmKind.SAME_XID, AlarmKind.UNKNOWN_FILE})
"""What happens again while it goes on; a resting group does not fail again, and a node that starts again is new."""


def test_every_alarm_is_here() -> None:
    assert set(AlarmKind) == set(RAISED) | STANDING
    assert set(QUIET) == set(RAISED)


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.value)
def test_it_is_raised_once_counted_and_over_when_it_does_not_happen_again(lab: Lab, kind: AlarmKind) -> None:
    for times in (1, 2):
        RAISED[kind](lab)
        (found,) = [each for each in lab.service.nodes.statistics().alarms if each.kind is kind]
        assert found.count >= times or kind not in REPEATED
    assert found.text
    assert found.last <= lab.now
    lab.sleep(QUIET[kind] + 1)
    assert kind not in lab.alarms()


def test_the_end_is_told(lab: Lab) -> None:
    foreign_server(lab)
    lab.now += QUIET[AlarmKind.FOREIGN_SERVER]
    effects = lab.service.tick(lab.now)
    assert told(effects, ReportKind.ALARM_OVER) == ["foreign-dhcp-server"]


def test_a_silent_node_that_speaks_again_ends_its_alarm(lab: Lab) -> None:
    silent(lab)
    assert AlarmKind.SILENT in lab.alarms()
    lab.dhcp(MessageType.DISCOVER, xid=8)
    assert AlarmKind.SILENT not in lab.alarms()
    assert told(lab.effects, ReportKind.ALARM_OVER) == ["silent-after-ack"]


@pytest.mark.parametrize(("options", "secs"), [(BIOS_ROM, LATE_SECONDS - 1), (IPXE, 200), (SYSTEM, 200)])
def test_who_is_not_late(lab: Lab, options: dict[int, bytes], secs: int) -> None:
    lab.dhcp(MessageType.DISCOVER, options, secs=secs)
    assert lab.alarms() == []


def test_a_second_discover_is_not_the_first(lab: Lab) -> None:
    lab.dhcp(MessageType.DISCOVER, secs=0)
    lab.dhcp(MessageType.DISCOVER, secs=LATE_SECONDS)
    assert lab.alarms() == []


def service(settings: Settings, *images: Image) -> BootService:
    return BootService(settings, Catalogue(images, {image.name: image for image in images}))


def test_a_configuration_has_its_alarms_from_start_to_change() -> None:
    small = Image(1, "nbp", 1000, "11" * 32)
    large = Image(2, "large", MAX_MTFTP_SIZE + 1, "22" * 32)
    high = replace(DHCP, link=replace(DHCP.link, address=IPv4Address("10.0.0.224")))
    server = service(high, small, large)
    assert told(server.started(0.0), ReportKind.ALARM) == [
        "server-address-like-multicast",
        "image-too-large-for-multicast",
    ]
    effects = server.reconfigure(high, server.catalogue, 1.0)
    assert told(effects, ReportKind.ALARM) == told(effects, ReportKind.ALARM_OVER) == []
    effects = server.reconfigure(DHCP, Catalogue((small,), {"nbp": small}), 2.0)
    assert told(effects, ReportKind.ALARM_OVER) == ["server-address-like-multicast", "image-too-large-for-multicast"]
    assert server.nodes.statistics().alarms == ()


def test_groups_alias_while_the_former_one_is_still_sent_to() -> None:
    lab = Lab()
    lab.open()
    settings = replace(lab.settings, multicast=Multicast(IPv4Address("238.1.1.1")))
    lab.effects = lab.service.reconfigure(settings, TWO_IMAGES, lab.now)
    assert told(lab.effects, ReportKind.ALARM) == ["aliasing-groups"]
    (alarm,) = lab.service.nodes.statistics().alarms
    assert alarm.subject == "238.1.1.1 239.1.1.1"
    lab.sleep(10.0)
    assert lab.alarms() == []


def test_what_stands_is_kept_when_others_are_forgotten() -> None:
    alarms = Alarms()
    alarms.stand(AlarmKind.SERVER_ADDRESS, {str(SERVER): ""}, 0.0)
    for number in range(MAX_ALARMS + 5):
        alarms.raise_alarm(AlarmKind.SILENT, str(number), "", number)
    subjects = [alarm.subject for alarm in alarms.statistics()]
    assert subjects == [str(SERVER), *(str(number) for number in range(6, MAX_ALARMS + 5))]
    assert told(tuple(alarms.reports), ReportKind.ALARM_OVER) == [AlarmKind.SILENT.value] * 6, "each begins and ends"
    alarms.over(AlarmKind.SILENT, "0")
    alarms.stand(AlarmKind.SERVER_ADDRESS, {str(n): "" for n in range(MAX_ALARMS + 2)}, 0.0)
    assert len(alarms.statistics()) == MAX_ALARMS


def test_identifiers_that_are_compared_are_bounded(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SEEN", 2)
    same_xid(lab)
    for number in range(1, 4):
        lab.dhcp(MessageType.DISCOVER, mac=bytes((2, 0, 0, 0, 9, number)), xid=100 + number)
    lab.dhcp(MessageType.DISCOVER, mac=bytes((2, 0, 0, 0, 9, 9)), xid=5)
    (alarm,) = [each for each in lab.service.nodes.statistics().alarms if each.kind is AlarmKind.SAME_XID]
    assert alarm.count == 1, "who had 5 first is forgotten"
