"""Write ``specs/quirks.md`` from the records: ``python -m tools.quirk_table`` from the top of the checkout."""

from __future__ import annotations

from pathlib import Path

from mtftpd.quirks.records import Quirk, by_number
from tests.quirks.scenes import SCENES

TABLE = Path(__file__).parents[1] / "specs" / "quirks.md"

_HEAD = """# Quirks and their work-arounds

Made by `python -m tools.quirk_table` from `mtftpd/quirks/`; do not edit. The test named in the last column boots a
simulated ROM with the faults of its row and must fail to boot it while the work-around is switched off; its twin,
`test_boots_with_the_work_around` with the same parameter, boots it. Both are in `tests/quirks/test_pairs.py`.
What is not here is in [quirks-left-out.md](quirks-left-out.md).

| id | what is seen | work-around | faults of the ROM | `test_fails_without` |
|---|---|---|---|---|
"""


def table() -> str:
    """Return the whole page."""
    return _HEAD + "".join(_row(number, quirk) for number, quirk in by_number().items())


def _row(number: str, quirk: Quirk) -> str:
    actions = ", ".join(f"`{action.value}`" for action in quirk.actions)
    faults = ", ".join(f"`{fault.value}`" for fault in quirk.mutations) or "any ROM"
    tests = ", ".join(f"`{scene}`" for scene in SCENES if scene.quirk == number)
    return f"| {number} `{quirk.id}` | {quirk.symptom} | {actions} | {faults} | {tests} |\n"


if __name__ == "__main__":
    TABLE.write_text(table())
