"""Records of nodes as a former run left them, from what was written down of their attempts."""

from __future__ import annotations

from collections.abc import Iterable

from mtftpd.core.nodes.attempts import Attempt, NodeKey
from mtftpd.core.nodes.records import Node, Transition
from mtftpd.core.nodes.states import INFERRED, NodeState


def former_nodes(attempts: Iterable[Attempt]) -> list[Node]:
    """Return the nodes of ``attempts``, the one that moved longest ago first."""
    by_node: dict[NodeKey, list[Attempt]] = {}
    for attempt in attempts:
        by_node.setdefault(attempt.node, []).append(attempt)
    nodes = [_node(sorted(some, key=lambda each: each.number)) for some in by_node.values()]
    return sorted(nodes, key=lambda node: node.since)


def _node(attempts: list[Attempt]) -> Node:
    *past, last = attempts
    # Of a pass that it listened to it may have missed the end.
    state = NodeState.LISTEN if last.state is NodeState.PASSIVE else last.state
    node = Node(
        key=last.node,
        hardware=None if isinstance(last.node, str) else last.node,
        address=last.address,
        state=state,
        since=last.since,
        reason=last.reason,
        attempt=last.number,
        round=last.round,
        stage=last.stage,
        rom=last.rom,
        file=last.file,
        group=last.group,
        asked_at=last.since,
        began=last.began,
        begun=last.number,
    )
    node.past.extend(each.as_past() for each in past)
    node.history.append(Transition(last.since, state, last.reason, last.packet, last.inferred or state in INFERRED))
    return node
