"""Whatever names a requirement names one that exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mtftpd.conformance.requirements import specification

CHECKOUT = Path(__file__).parents[1]
FOLDERS = ("mtftpd", "tests", "tools", "specs")
KINDS = {".py", ".md", ".toml"}


def cited(text: str) -> Iterator[str]:
    """Yield everything that looks like an id of a known family."""
    families = "|".join(specification().families)
    yield from re.findall(rf"(?<![\w-])(?:{families})-[0-9]{{2}}(?![\w-])", text)


def texts() -> Iterator[tuple[str, str]]:
    for path in sorted(CHECKOUT.glob("*.md")):
        yield path.name, path.read_text()
    for folder in FOLDERS:
        for path in sorted((CHECKOUT / folder).rglob("*")):
            if path.suffix in KINDS:
                yield path.relative_to(CHECKOUT).as_posix(), path.read_text()


def test_only_requirements_that_exist_are_cited() -> None:
    known = specification().requirements
    assert not [f"{name}: {each}" for name, text in texts() for each in cited(text) if each not in known]


def test_many_are_cited_and_found() -> None:
    found = {each for name, text in texts() if name.startswith("mtftpd/core/") for each in cited(text)}
    assert {"RRQ-09", "ACK-07", "FBK-05"} <= found


def test_what_looks_like_one() -> None:
    unknown = "RRQ" + "-99"
    assert list(cited(f"rows DAT-01, {unknown} and (O43-02); not DAT-1, MAT-01, XRRQ-01, RRQ-011 or PXE-E16")) == [
        "DAT-01", unknown, "O43-02",
    ]  # fmt: skip
