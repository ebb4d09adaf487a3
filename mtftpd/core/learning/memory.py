"""What is remembered of many nodes: a bounded table that can be written down bit by bit, as it changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Memory(Generic[Key, Value]):
    """Values by key, ``most`` of them: the one that was put longest ago is forgotten first.

    Changes that nobody takes do not pile up either: of them, too, the last ``most`` are kept.
    """

    __slots__ = ("_changed", "_most", "_values")

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._changed: dict[Key, tuple[Value, bool]] = {}

    def get(self, key: Key) -> Value | None:
        """Return what is known under ``key``."""
        return self._values.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Remember ``value``, as the newest."""
        self._values[key] = value
        self._values.move_to_end(key)
        self._note(key, value, held=True)
        if len(self._values) > self._most:
            self._note(*self._values.popitem(last=False), held=False)

    def replace(self, key: Key, value: Value) -> None:
        """Remember ``value`` in the place of what is known under ``key``, and no longer than that."""
        if key in self._values:
            self._values[key] = value
            self._note(key, value, held=True)

    def forget(self, key: Key) -> None:
        """Remember nothing under ``key``."""
        if key in self._values:
            self._note(key, self._values.pop(key), held=False)

    def values(self) -> tuple[Value, ...]:
        """Return everything, the oldest first."""
        return tuple(self._values.values())

    def take_changed(self) -> tuple[tuple[Value, bool], ...]:
        """Return what has changed since the last call, and whether it is held or forgotten (False)."""
        changed = tuple(self._changed.values())
        self._changed.clear()
        return changed

    def _note(self, key: Key, value: Value, *, held: bool) -> None:
        self._changed[key] = (value, held)
        if len(self._changed) > self._most:
            del self._changed[next(iter(self._changed))]
