"""When the judgement of a boot counts: a machine that is switched off in the middle looks like one that has died.

Rules
1. What is judged while the boot goes on counts, and so does what is judged when it has taken a whole file.
2. What is judged of any other boot because it ended counts when a second boot has ended in the same way.
3. After `MAX_BOOTS` of one probe the last one counts: a machine that ends differently each time must be let go.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from mtftpd.conformance.clinic.findings import Finding
from mtftpd.conformance.clinic.judges import Judgement
from mtftpd.conformance.clinic.probes import Probe
from mtftpd.conformance.clinic.visit import Visit

ENOUGH: Final = 2
"""Boots that must end in the same way."""
MAX_BOOTS: Final = 5
"""Boots of one probe that may end in different ways."""


class Verdicts:
    """What has been judged of boots that ended before they had taken a file."""

    def __init__(self) -> None:
        self._ends: dict[str, Counter[tuple[tuple[Finding, ...], bool | None]]] = {}

    def reach(self, probe: Probe, visit: Visit, ended: bool) -> Judgement | None:
        """Return what ``visit`` has shown, or None when nothing can be said yet, or not for sure."""
        judgement = probe.judge(visit, ended)
        if not ended:
            return judgement
        judgement = judgement or Judgement("could not be tried")
        if visit.finished or visit.group_finished:
            return judgement
        ends = self._ends.setdefault(probe.id, Counter())
        ends[judgement.findings, judgement.mode] += 1
        sure = ends[judgement.findings, judgement.mode] >= ENOUGH or ends.total() >= MAX_BOOTS
        return judgement if sure else None
