from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtftpd.daemon.toml_lines import KeyPath, Lines

TEXT = '''\
# A comment
group = "239.1.1.1"
"quoted key" = 1
a.b = 2

[menu]   # the menu
prompt = """
timeout = 3
"""
[[menu.item]]
text = "one"
[[menu.item]]
text = "two"  # not """ a fence
type = 1

[menu.deep.er]
x = \'\'\'one line\'\'\'
y = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("group",), 2),
        (("quoted key",), 3),
        (("a", "b"), 4),
        (("menu",), 6),
        (("menu", "prompt"), 7),
        (("menu", "item", 0), 10),
        (("menu", "item", 0, "text"), 11),
        (("menu", "item", 1, "text"), 13),
        (("menu", "item", 1, "type"), 14),
        (("menu", "deep", "er", "y"), 18),
        (("menu", "timeout"), 6),
        (("nothing",), None),
    ],
)
def test_finds_the_line(path: KeyPath, line: int | None) -> None:
    tomllib.loads(TEXT)
    assert Lines(TEXT).of(path) == line


KEY = st.text("abcdefgh-_0123456789", min_size=1, max_size=6)
VALUE = st.one_of(st.integers(), st.booleans(), st.text("ab #=[]", max_size=8))


def written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)


@given(tree=st.dictionaries(KEY, st.dictionaries(KEY, VALUE, max_size=4), max_size=4))
def test_agrees_with_what_was_written(tree: dict[str, dict[str, Any]]) -> None:
    lines: list[str] = []
    places: dict[KeyPath, int] = {}
    for table, values in tree.items():
        lines.append(f"[{table}]")
        places[(table,)] = len(lines)
        for key, value in values.items():
            lines.append(f"{key} = {written(value)}")
            places[(table, key)] = len(lines)
    text = "\n".join(lines)
    assert tomllib.loads(text) == tree
    assert {path: Lines(text).of(path) for path in places} == places
