"""The command line of the demo; what it shows is tested with the real demo in ``tests/daemon``."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from mtftpd.cli.demo import command
from mtftpd.cli.demo_view import summary
from mtftpd.daemon.demo_results import NodeRecord, summarise


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--loss", "much"], "'much' is no percentage; write 1% or 0.5%"),
        (["--loss", "51%"], "51% is not between 0% and 50%"),
        (["--loss", "-1"], "-1 is not between 0% and 50%"),
        (["--nodes", "0"], "0 is not in the range 1<=x<=1000"),
        (["--rom", "ipxe"], "'ipxe' is not one of 'spec', 'edk1'"),
    ],
)
def test_wrong_usage(arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert complaint in result.output


def test_help_has_two_examples() -> None:
    help_text = CliRunner().invoke(command, ["--help"]).output
    assert help_text.count("  mtftpd demo") == 2
    assert "Nothing leaves this machine." in help_text


STATUS = {
    "mtftp": {"groups": [{"passes": 2, "sent": 30, "repeats": 1}, {"passes": 0, "sent": 0, "repeats": 0}]},
    "tftp": {"blocks": 11},
    "traffic": {"overflowed": 1},
}


def ended(number: int, **told: object) -> NodeRecord:
    record = NodeRecord(number)
    record.take({"event": "attached", "node": number})
    record.take({"event": "phase", "phase": "listen", "detail": "", "address": f"10.0.0.{number}"})
    record.take({"event": "progress", "octets": 5000})
    record.take({"event": "phase", "phase": told["phase"], "detail": told.pop("detail"), "address": ""})
    record.take({"event": "end", "time": 100.0 + number, **told})
    return record


def test_the_summary_counts_what_the_nodes_said() -> None:
    records = [
        ended(1, phase="done", detail="multicast", octets=6144, sha256="aa", lost_in=2, lost_out=1, overflowed=3),
        ended(2, phase="done", detail="multicast", octets=6144, sha256="bb"),
        ended(3, phase="failed", detail="no offer", fallback="no answer to the opens"),
        NodeRecord(4),
    ]
    records[3].fail("its process ended with status 1")
    assert records[0].address == "10.0.0.1"
    result = summarise(records, STATUS, digest="aa", size=6144, started=100.0)
    assert (result.ok, result.booted, result.verified, result.listened) == (False, 2, 1, 2)
    assert (result.first_seconds, result.seconds) == (1.0, 2.0)
    assert (result.ideal_blocks, result.multicast_blocks, result.unicast_blocks) == (13, 30, 11)
    assert (result.lost_datagrams, result.overflowed) == (3, 4)
    assert result.fallbacks == {"no answer to the opens": 1}
    assert result.failures == {
        "no offer": 1,
        "its process ended with status 1": 1,
        "the image is not the one that was served": 1,
    }
    text = summary(result)
    assert "2 of 4 nodes booted; 1 images verified" in text
    assert "multicast blocks sent: 30 in 2 passes, ideal 13 in one (2.31 x)" in text
    assert "failed: 1 x no offer" in text
