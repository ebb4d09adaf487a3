"""One line for each node: the columns that ``status`` and ``host list`` share."""

from __future__ import annotations

from typing import Any

from mtftpd.cli.control import age, progress, rate

TITLES = ("NODE", "ADDRESS", "STATE", "AGE", "STAGE", "TRY", "FILE", "BLOCK", "RATE", "REASON")
MAX_REASON = 70
"""Characters of the last column."""


def row_of(node: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of one node; a state that is only inferred has an asterisk, "done?" says so itself."""
    state = node["state"]
    if node["inferred"] and not state.endswith("?"):
        state += "*"
    return (
        node["hardware"] or "-", node["address"] or "-", state, age(node["age"]), node["stage"], str(node["attempt"]),
        node["file"], progress(node), rate(node["rate"]), node["reason"][:MAX_REASON],
    )  # fmt: skip
