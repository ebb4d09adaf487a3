from __future__ import annotations

import tomllib
from contextlib import suppress
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.sim import topology_file
from mtftpd.sim.chance import Quality
from mtftpd.sim.topology import Kind, Snooping
from mtftpd.sim.topology_file import BadTopology, read_topology

EXAMPLE = dedent(str(topology_file.__doc__).split("::", 1)[1])


def test_the_example_of_the_documentation() -> None:
    topology = read_topology(EXAMPLE)
    rack, lab = topology.segments
    assert (topology.name, topology.rate, topology.queue) == ("two racks and the old hub", 1e9, 131072)
    assert (rack.kind, rack.rate, rack.uplink, rack.snooping) == (Kind.SWITCH, 1e8, 1e9, Snooping.NO_QUERIER)
    assert (rack.quality, rack.join_delay) == (Quality(loss=0.01), 0.5)
    assert (lab.kind, lab.share, lab.speed, lab.ring) == (Kind.HUB, 20, 2000, 8)


def test_what_is_left_out() -> None:
    topology = read_topology("[[segment]]\nrate = '10M'\n")
    assert (topology.name, topology.rate) == ("file", 1e7)
    assert topology.segments[0].name == "segment 1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"no \[\[segment\]\]"),
        ("segment = 3", r"no \[\[segment\]\]"),
        ("segment = [3]", "not a table"),
        ("x", "Expected '='"),
        ("color = 1\n[[segment]]", "color is not known; there are: name, rate, queue"),
        ("[[segment]]\ncolor = 1", "segment 1: color is not known"),
        ("[[segment]]\nkind = 'ring'", "'ring' is not one of switch, hub"),
        ("[[segment]]\nsnooping = true", "is not one of off, querier, no-querier"),
        ("[[segment]]\nloss = '99%'", "segment 1: loss: '99%' is not between"),
        ("[[segment]]\nring = 2.5", "2.5 is not a whole number from 1"),
        ("[[segment]]\nring = true", "True is not a whole number"),
        ("[[segment]]\nlatency = -1", "-1 is not a number from 0"),
        ("[[segment]]\nname = 7", "7 is not a text"),
        ("[[segment]]\nrate = 'fast'", "is not a rate in bit/s"),
        ("[[segment]]\n[[segment]]", "the server hangs on one of them only"),
        ("[[segment]]\nkind = 'hub'\n[[segment]]\nuplink = '1G'", "is a hub with the server on it"),
    ],
)
def test_errors_say_what_to_do(text: str, message: str) -> None:
    with pytest.raises(BadTopology, match=message):
        read_topology(text)


@given(st.text())
def test_any_text_is_a_topology_or_an_error(text: str) -> None:
    with suppress(BadTopology):
        assert read_topology(text).segments


VALUES = st.one_of(st.text(max_size=5), st.integers(-5, 5), st.floats(), st.booleans(), st.lists(st.integers()))


@given(st.dictionaries(st.sampled_from(sorted(topology_file._SEGMENT | topology_file._QUALITY)), VALUES))
def test_any_value_is_taken_or_refused(table: dict[str, object]) -> None:
    with suppress(BadTopology):
        assert topology_file._segment(table, "segment 1: ").name


def test_the_example_is_toml() -> None:
    assert len(tomllib.loads(EXAMPLE)["segment"]) == 2
