"""The architecture as a test: what may import what, and how large a piece of code may get."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mtftpd"
MODULES = sorted(PACKAGE.rglob("*.py"))

FLOORS = {
    "errors": 0, "wire": 0, "quirks": 0,
    "core": 1, "rom": 1,
    "net": 2, "sim": 2,
    "daemon": 3, "conformance": 3,
    "cli": 4, "__main__": 4, "__init__": 0,
}  # fmt: skip

NEVER = [
    ("core", "rom"),
    ("rom", "core"),
    ("conformance", "core"),
    ("rom", "net"),
    ("core", "net"),
    ("sim", "net"),
    ("net", "sim"),
]
"""The first may not import the second, whatever their floors: independent readings of the same documents."""

PURE = ("wire", "quirks", "core", "rom", "errors")
PACKAGES_OF_THE_CORE = ("link", "addresses", "learning", "nodes", "dhcp", "mtftp", "tftp")
"""Each may import from those before it, and all from the modules beside them, but for the whole server."""

ALLOWED_IN_PURE = {
    "__future__", "abc", "bisect", "collections", "construct", "copy", "dataclasses", "enum", "functools", "hashlib",
    "heapq", "io", "ipaddress", "itertools", "math", "mtftpd", "operator", "re", "string", "struct", "types", "typing",
    "urllib.parse", "uuid",
}  # fmt: skip
"""Nothing that has a clock, a socket, a file, a log or chance in it."""

ONLY_IN = {"netifaces": "net/interfaces.py", "click": "cli/"}

MAX_MODULE = 400
MAX_FUNCTION = 60
MAX_ARGUMENTS = 5

WAIVERS: dict[str, str] = {}
"""``module.py:name`` (or ``module.py``) with the reason why it may be larger than the limits."""


def part(path: Path) -> str:
    """Return the part of the package that a module belongs to: the folder, or the name of a module at the top."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """Name every module that is imported, wherever the statement stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(tree: ast.AST) -> Iterator[str]:
    """Name the parts of this package that a module imports."""
    for name in imports(tree):
        steps = name.split(".")
        if steps[0] == "mtftpd" and len(steps) > 1:
            yield steps[1] if steps[1] in FLOORS else "__init__"


def test_there_are_modules_of_every_floor() -> None:
    found = {FLOORS[part(path)] for path in MODULES}
    assert found == {0, 1, 2, 3, 4}


@pytest.fixture(params=MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def module(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_imports_go_down(module: Path) -> None:
    tree = ast.parse(module.read_text())
    here = part(module)
    assert here in FLOORS, f"give {here} a floor"
    for there in own_imports(tree):
        assert FLOORS[there] <= FLOORS[here], f"{here} is beneath {there}"
        assert (here, there) not in NEVER


def test_packages_of_the_core_have_an_order(module: Path) -> None:
    steps = module.relative_to(PACKAGE).parts
    if steps[0] != "core" or len(steps) < 3:
        return
    later = PACKAGES_OF_THE_CORE[PACKAGES_OF_THE_CORE.index(steps[1]) + 1 :]
    for name in imports(ast.parse(module.read_text())):
        there = name.split(".")[2:3] if name.startswith("mtftpd.core.") else []
        assert not {"service", *later} & set(there), f"{steps[1]} is beneath {name}"


def test_floors_0_and_1_are_pure(module: Path) -> None:
    if part(module) not in PURE:
        return
    tree = ast.parse(module.read_text())
    steps = [name.split(".") for name in imports(tree)]
    assert not [step for step in steps if step[0] not in ALLOWED_IN_PURE and ".".join(step[:2]) not in ALLOWED_IN_PURE]
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"open", "print", "input", "__import__", "exec", "eval"}


def test_virtual_time_is_the_only_time_of_a_simulation(module: Path) -> None:
    """Chance is seeded there, and nothing else may make two runs differ."""
    if part(module) != "sim":
        return
    steps = [name.split(".") for name in imports(ast.parse(module.read_text()))]
    allowed = ALLOWED_IN_PURE | {"random", "statistics", "tomllib", "zlib", "html", "base64"}
    assert not [step for step in steps if step[0] not in allowed]
    assert not [step for step in steps if step[0] == "random" and step != ["random", "Random"]]


def test_libraries_stay_behind_one_door(module: Path) -> None:
    name = module.relative_to(PACKAGE).as_posix()
    for imported in imports(ast.parse(module.read_text())):
        door = ONLY_IN.get(imported.split(".")[0])
        assert door is None or name.startswith(door), f"{imported} is for {door}"


def test_module_is_not_too_long(module: Path) -> None:
    name = module.relative_to(PACKAGE).as_posix()
    length = len(module.read_text().splitlines())
    assert length <= MAX_MODULE or name in WAIVERS


def test_functions_are_not_too_long_or_too_wide(module: Path) -> None:
    name = module.relative_to(PACKAGE).as_posix()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            too_long = node.end_lineno - node.lineno + 1 > MAX_FUNCTION
            assert not too_long or f"{name}:{node.name}" in WAIVERS, node.name
            if node.name == "__init__":
                given = node.args
                count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs) - 1
                assert count <= MAX_ARGUMENTS or f"{name}:{node.name}" in WAIVERS, f"line {node.lineno}"


def test_waivers_are_needed_and_explained() -> None:
    known = {path.relative_to(PACKAGE).as_posix() for path in MODULES}
    for waived, reason in WAIVERS.items():
        assert waived.split(":")[0] in known
        assert len(reason.split()) >= 5


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import time", ["time"]),
        ("def f():\n    from socket import socket", ["socket.socket"]),
        ("from mtftpd import core", ["mtftpd.core"]),
    ],
)
def test_the_reader_of_imports_sees(source: str, names: list[str]) -> None:
    assert list(imports(ast.parse(source))) == names
