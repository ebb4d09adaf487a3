"""The page of state diagrams, and that it leaves nothing out."""

from __future__ import annotations

import re

import pytest

from mtftpd.core.mtftp import states as mtftp_states
from mtftpd.core.nodes import states as node_states
from tools.state_diagrams import PAGE, Arrow, Machine, machines, page
from tools.state_diagrams import _diagram as diagram


def test_the_page_is_that_of_the_tables() -> None:
    assert PAGE.read_text() == page(), "run python -m tools.state_diagrams"


@pytest.mark.parametrize("machine", machines(), ids=lambda machine: machine.title)
def test_every_state_can_be_reached_and_is_explained_or_named(machine: Machine) -> None:
    reached = set(machine.first)
    while more := {arrow.target for arrow in machine.arrows if arrow.origin in reached} - reached:
        reached |= more
    assert reached == machine.meanings.keys()


def test_the_session_of_a_group_is_drawn_whole() -> None:
    drawn = re.findall(r"^    (\w+) --> (\w+): (.+)$", page().partition("## One unicast")[0], re.MULTILINE)
    expected = {
        (origin.__name__, target.__name__, event.value)
        for origin, ways in mtftp_states.TABLE.items()
        for event, target in ways.items()
    }
    assert {(origin, target, event) for origin, target, events in drawn for event in events.split(" / ")} == expected


def test_all_evidence_about_a_node_is_told() -> None:
    life = page().partition("## The life of a node")[2]
    for evidence in node_states.MOVES:
        assert f"\n| {evidence.value} | " in life


def test_labels_cannot_break_a_diagram() -> None:
    arrows = [Arrow("A", "over; done: yes", "B"), Arrow("A", "again", "B"), Arrow("[*]", "", "A")]
    assert diagram(arrows).splitlines()[2:4] == ["    A --> B: over, done, yes / again", "    [*] --> A"]
