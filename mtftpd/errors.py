"""The exceptions that mtftpd raises; anything else that escapes is a bug."""

from __future__ import annotations


class MtftpdError(Exception):
    """Base of every exception that mtftpd raises on purpose."""


class Malformed(MtftpdError):
    """Bytes from outside that are not what they claim to be.

    Every ``parse_untrusted`` raises this and nothing else.  ``reason`` is a short sentence without the offending
    bytes; ``offset`` is the position in the input, in bytes, where the reader gave up, or None.
    """

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason if offset is None else f"{reason} (at byte {offset})")
        self.reason = reason
        self.offset = offset


class StartupError(MtftpdError):
    """The server cannot start; ``exit_code`` is the documented exit status of the process."""

    exit_code = 1


class BadConfig(StartupError):
    """An option or a configuration value is wrong: says which, what it was and what to do."""

    exit_code = 78


class Unavailable(StartupError):
    """A port, an interface or a file that is needed cannot be had."""

    exit_code = 69


class MissingCapability(StartupError):
    """The process lacks a capability; the message names it."""

    exit_code = 77
