"""How long a test with real processes or sockets waits for what must happen."""

from __future__ import annotations

PATIENCE = 240.0
"""Seconds. A test waits for a condition, never for a time: on the slowest machine only a defect lasts this long."""
