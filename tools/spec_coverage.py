"""Is every requirement judged by something?  ``python -m tools.spec_coverage`` says what is not, and fails then.

A MUST or MUST NOT of a server needs a conformance case, or ``untestable`` with the reason why no case can see it; that
of a client a test of the simulated ROMs, a case of the clinic, or the reason.  Besides: a case names requirements that
exist, the lists ``cases`` of ``specs/`` say what the cases say (``--write`` makes it so), and every test that is named
exists.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click

from mtftpd.conformance.registry import all_cases
from mtftpd.conformance.requirements import Actor, Level, Requirement, Specification, read

CHECKOUT = Path(__file__).parents[1]
SPECS = CHECKOUT / "specs"
LINE = 120

Cases = Mapping[str, Sequence[str]]
"""The ids of requirements that each case names."""


def mistakes(specification: Specification, cases: Cases, root: Path = CHECKOUT) -> list[str]:
    """Return a line for each name, of a case, a requirement or a test, that is wrong; ``root`` has the tests."""
    return [*_unknown(specification, cases), *_stale(specification, cases), *_missing_tests(specification, root)]


def uncovered(specification: Specification) -> list[str]:
    """Return a line for each requirement that binds and that nothing judges."""
    return [
        f"{_where(row)}: {row.level.value} of {row.actor.value} without a case: {row.statement}"
        for row in specification.requirements.values()
        if row.level.binds and not is_covered(row)
    ]


def is_covered(row: Requirement) -> bool:
    """Return whether something judges ``row``, or it says why nothing can."""
    return bool(row.cases or row.untestable or (row.tests and not row.actor.is_server))


def table(specification: Specification) -> dict[str, dict[str, tuple[int, int]]]:
    """Return, by actor and level, how many rows are judged by a case or a test, and how many there are."""
    counted: dict[str, dict[str, tuple[int, int]]] = {}
    for row in specification.requirements.values():
        levels = counted.setdefault(row.actor.value, {level.value: (0, 0) for level in Level})
        judged, rows = levels[row.level.value]
        levels[row.level.value] = (judged + bool(row.cases or row.tests), rows + 1)
    return {actor.value: counted[actor.value] for actor in Actor if actor.value in counted}


def with_cases(text: str, cases: Cases) -> str:
    """Return a file of requirements with the lists ``cases`` as the cases have them."""
    head, *blocks = text.split("[[requirement]]\n")
    naming = _by_requirement(cases)
    return "[[requirement]]\n".join((head, *(_block_with_cases(block, naming) for block in blocks)))


def _block_with_cases(block: str, naming: Mapping[str, Sequence[str]]) -> str:
    found = re.search(r'^id = "(.+)"$', block, re.MULTILINE)
    names = naming.get(found[1], ()) if found is not None else ()
    without = re.sub(r"^cases = \[[^\]]*\]\n", "", block, flags=re.MULTILINE)
    if not names:
        return without
    body = without.rstrip("\n")
    line = f"cases = [{', '.join(json.dumps(name) for name in names)}]"
    if len(line) > LINE:
        line = "cases = [\n" + "".join(f"    {json.dumps(name)},\n" for name in names) + "]"
    return f"{body}\n{line}{without[len(body) :]}"


def _by_requirement(cases: Cases) -> dict[str, list[str]]:
    naming: dict[str, list[str]] = {}
    for name, ids in sorted(cases.items()):
        for each in ids:
            naming.setdefault(each, []).append(name)
    return naming


def _unknown(specification: Specification, cases: Cases) -> Iterator[str]:
    for name, ids in cases.items():
        if not ids:
            yield f"case {name} names no requirement"
        new = (each for each in ids if each not in specification.requirements)
        yield from (f"case {name} names {each}, which is no requirement" for each in new)


def _stale(specification: Specification, cases: Cases) -> Iterator[str]:
    naming = _by_requirement(cases)
    for row in specification.requirements.values():
        names = naming.get(row.id, [])
        if sorted(row.cases) != names:
            yield f"{_where(row)}: cases should be {', '.join(names) or 'none'}; run with --write"


def _missing_tests(specification: Specification, root: Path) -> Iterator[str]:
    for row in specification.requirements.values():
        for test in row.tests:
            path, _, name = test.partition("::")
            if name not in _tests_in(root / path):
                yield f"{_where(row)}: there is no test {test}"


@cache
def _tests_in(path: Path) -> Collection[str]:
    """Return the names of the tests of a module, those in classes with the name of the class before them."""
    if not path.is_file():
        return ()
    return frozenset(_names(ast.parse(path.read_text()).body, ""))


def _names(body: Sequence[ast.stmt], before: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _names(node.body, f"{before}{node.name}::")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield before + node.name


def _where(row: Requirement) -> str:
    return f"specs/{row.suite}.toml:{row.line}: {row.id}"


def registered() -> Cases:
    """Return the cases that there are."""
    return {case.name: case.ids for case in all_cases()}


def _rows(counted: Mapping[str, Mapping[str, tuple[int, int]]]) -> Iterator[str]:
    yield "".join(f"{cell:>10}" for cell in ("", *(level.value for level in Level)))
    for actor, levels in counted.items():
        cells = (f"{judged}/{rows}" if rows else "-" for judged, rows in levels.values())
        yield "".join(f"{cell:>10}" for cell in (actor, *cells))


def _report(specification: Specification, wrong: Sequence[str]) -> dict[str, Any]:
    return {
        "requirements": len(specification.requirements),
        "judged": table(specification),
        "without": [row.id for row in specification.requirements.values() if row.level.binds and not is_covered(row)],
        "problems": list(wrong),
    }


@click.command(
    epilog="Examples:\n\n  python -m tools.spec_coverage\n\n  python -m tools.spec_coverage --write && git diff specs"
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--write", is_flag=True, help="First bring the lists of cases in specs/ up to date.")
def main(as_json: bool, write: bool) -> None:
    """Tell which requirements of specs/ are judged by a conformance case or a test, and fail when a MUST is not.

    The table counts rows by actor and level: judged/all. Exit status: 0 nothing is wrong, 1 something is.
    """
    cases = registered()
    if write:
        for path in sorted(SPECS.glob("*.toml")):
            text = path.read_text()
            if (new := with_cases(text, cases)) != text:
                path.write_text(new)
                click.echo(f"written: specs/{path.name}", err=True)
    specification = read(SPECS)
    wrong = mistakes(specification, cases) + uncovered(specification)
    if as_json:
        click.echo(json.dumps(_report(specification, wrong), indent=2))
    else:
        click.echo("\n".join((*_rows(table(specification)), *wrong)))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
