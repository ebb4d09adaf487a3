"""The table ``menu`` of the configuration file, at the top or in a section."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import msgspec

from mtftpd.core.node_settings import Menu, MenuItem
from mtftpd.daemon.toml_lines import KeyPath

T = TypeVar("T")

_PATH_IN_MESSAGE = re.compile(r" - at `\$(.*)`")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


class MenuItemTable(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """One ``[[menu.item]]``."""

    type: Annotated[int, msgspec.Meta(ge=0, le=65_535)]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    boot_file: Annotated[str, msgspec.Meta(max_length=127)] = ""


class MenuTable(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """The table ``[menu]``: the PXE boot menu (PXE 2.1 tags 8 to 10)."""

    item: Annotated[tuple[MenuItemTable, ...], msgspec.Meta(min_length=1)]
    prompt: Annotated[str, msgspec.Meta(max_length=80)] = Menu(()).prompt
    timeout: Annotated[int, msgspec.Meta(ge=0, le=255)] = Menu(()).timeout


class WrongTableError(ValueError):
    """A value in a table is wrong; ``steps`` lead from the table to it."""

    def __init__(self, message: str) -> None:
        at = _PATH_IN_MESSAGE.search(message)
        self.steps: KeyPath = tuple(
            int(step[2]) if step[2] else step[1] for step in _STEP.finditer(at[1] if at else "")
        )
        self.text = _PATH_IN_MESSAGE.sub("", message)
        super().__init__(f"{self.name.lstrip('.')}: {self.text}" if self.steps else self.text)

    @property
    def name(self) -> str:
        """The steps as they are written behind the name of the table."""
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.steps)


def convert(raw: Any, kind: type[T]) -> T:
    """Return ``raw`` as what it should be; raises `WrongTableError`."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise WrongTableError(str(error)) from None


def read_menu(raw: Any) -> Menu:
    """Return the menu that a table says; raises `WrongTableError`."""
    table = convert(raw, MenuTable)
    if not any(item.type for item in table.item):
        raise WrongTableError("has no item with a type other than 0 (local boot): add one, or drop the menu")
    return Menu(
        tuple(MenuItem(item.type, item.text, item.boot_file) for item in table.item), table.prompt, table.timeout
    )
