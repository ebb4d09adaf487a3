"""One line for each node: the columns that ``status`` and ``host list`` share."""

from __future__ import annotations

from typing import Any

from mtftpd.cli.control import age, progress, rate

TITLES = ("NODE", "ADDRESS", "STATE", "AGE", "STAGE", "TRY", "FILE", "BLOCK", "RATE", "REASON")
MAX_REASON = 70
"""Characters of a reason."""


def row_of(node: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of one node; a state that is only inferred has an asterisk, "done?" says so itself.

    Interfaces that called although another one of the node boots are named behind the reason.
    """
    state = node["state"]
    if node["inferred"] and not state.endswith("?"):
        state += "*"
    reason = node["reason"][:MAX_REASON]
    if node["wrong_nics"]:
        reason += f"; wrong NIC {', '.join(node['wrong_nics'])}"
    return (
        node["hardware"] or "-", node["address"] or "-", state, age(node["age"]), node["stage"], str(node["attempt"]),
        node["file"], progress(node), rate(node["rate"]), reason,
    )  # fmt: skip
