"""The cases: functions with a name, the ids of the requirements that they judge, and what they need of a target.

A case is ``async def name(lab: Lab) -> None`` in a module of `mtftpd.conformance.cases`.  Its docstring says in one
line what a target does that passes.  The name of the function is the name of the case.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mtftpd.conformance.findings import Feature
from mtftpd.conformance.requirements import SUITES, Requirement, specification
from mtftpd.errors import BadConfig

if TYPE_CHECKING:
    from mtftpd.conformance.lab import Lab

Function = Callable[["Lab"], Awaitable[None]]

_CASES: Final = "mtftpd.conformance.cases"


EVERYTHING: Final = "everything"
"""Of `Case.alone`: the case runs when all others have ended."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case; ``alone`` names something of which only one case at a time may make use, "" when there is nothing.

    `EVERYTHING` is for those that no other client may come near.
    """

    name: str
    suite: str
    ids: tuple[str, ...]
    title: str
    needs: frozenset[Feature]
    alone: str
    function: Function

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """The rows of ``specs/`` that the case judges."""
        known = specification().requirements
        return tuple(known[each] for each in self.ids)

    @property
    def binds(self) -> bool:
        """Whether failing it breaks a MUST or a MUST NOT."""
        return any(requirement.level.binds for requirement in self.requirements)


class Suite:
    """The cases of one protocol, which all need ``needs``."""

    def __init__(self, name: str, *needs: Feature, alone: str = "") -> None:
        self.name = name
        self._needs = frozenset(needs)
        self._alone = alone
        self.cases: list[Case] = []

    def case(
        self, *ids: str, needs: Iterable[Feature] = (), alone: str | None = None
    ) -> Callable[[Function], Function]:
        """Make a function a case that judges ``ids``; ``needs`` are those of the suite and these."""

        def register(function: Function) -> Function:
            title = (function.__doc__ or "").partition("\n")[0].strip()
            name = getattr(function, "__name__", "")
            here = self._alone if alone is None else alone
            self.cases.append(Case(name, self.name, ids, title, self._needs | set(needs), here, function))
            return function

        return register


dhcp = Suite("dhcp", Feature.FRAMES, Feature.DHCP)
pxe = Suite("pxe", Feature.FRAMES, Feature.DHCP, Feature.PXE)
mtftp = Suite("mtftp", Feature.MTFTP, alone="group")
tftp = Suite("tftp", Feature.TFTP)

_REGISTERED: Final = (dhcp, pxe, mtftp, tftp)


def all_cases() -> tuple[Case, ...]:
    """Return every case, in the order of the suites and, in a suite, of the names of the modules."""
    package = importlib.import_module(_CASES)
    for module in sorted(each.name for each in pkgutil.iter_modules(package.__path__)):
        importlib.import_module(f"{_CASES}.{module}")
    return tuple(case for suite in _REGISTERED for case in suite.cases)


def selected(suites: Sequence[str], chosen: Sequence[str]) -> tuple[Case, ...]:
    """Return the cases of ``suites`` that ``chosen`` names by their own name or by that of a requirement; all if none.

    Raises `BadConfig` for a name that nothing has.
    """
    cases = all_cases()
    wrong = [each for each in suites if each not in SUITES]
    if wrong:
        raise BadConfig(f"--suite {','.join(wrong)}: there is no such suite; there are: {', '.join(SUITES)}")
    known = {name for case in cases for name in (case.name, *case.ids)}
    missing = [each for each in chosen if each not in known]
    if missing:
        raise BadConfig(
            f"--select {' '.join(missing)}: no case and no requirement with a case has that name; see them with --list"
        )
    return tuple(
        case
        for case in cases
        if case.suite in suites and (not chosen or case.name in chosen or not set(chosen).isdisjoint(case.ids))
    )
