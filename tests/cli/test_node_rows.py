"""The line of one node."""

from __future__ import annotations

from mtftpd.cli.node_rows import MAX_REASON, TITLES, row_of


def node(**more: object) -> dict[str, object]:
    return {
        "hardware": "02:00:00:00:00:0a", "address": "10.0.0.9", "state": "acked", "inferred": False, "age": 1.0,
        "stage": "rom", "attempt": 1, "file": "nbp", "block": 0, "blocks": 0, "kind": "", "rate": 0, "reason": "why",
        "wrong_nics": [], **more,
    }  # fmt: skip


def test_a_line_has_a_cell_for_each_title() -> None:
    row = row_of(node())
    assert len(row) == len(TITLES)
    assert (row[2], row[-1]) == ("acked", "why")


def test_what_is_inferred_is_marked() -> None:
    assert row_of(node(inferred=True))[2] == "acked*"
    assert row_of(node(inferred=True, state="done?"))[2] == "done?"


def test_interfaces_that_do_not_boot_are_named_behind_a_long_reason_too() -> None:
    row = row_of(node(reason="x" * 200, wrong_nics=["02:00:00:00:00:08", "02:00:00:00:00:09"]))
    assert row[-1] == "x" * MAX_REASON + "; wrong NIC 02:00:00:00:00:08, 02:00:00:00:00:09"
