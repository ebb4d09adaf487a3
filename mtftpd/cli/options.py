"""The option table of the daemon as click options, shared by ``serve`` and ``check``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mtftpd.daemon.config import DEFAULT_CONFIG, Sources
from mtftpd.daemon.option_table import BY_NAME, OPTIONS, Option

_HEADING = "heading"

NOTES = f"""\b
Every option can be set, in this order, by
  its flag,
  MTFTPD_NAME in the environment (MTFTPD_CLIENT_PORT; repeatable ones separated by blanks),
  the file named by --config or MTFTPD_CONFIG, else {DEFAULT_CONFIG} if it exists (TOML, the same names),
  its default.
A repeatable option is taken as a whole from the first of these that names it."""


class HeadedOption(click.Option):
    """An option that belongs under a heading of the help."""

    def __init__(self, *arguments: Any, heading: str = "", **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.heading = heading


class HeadedCommand(click.Command):
    """A command whose help has its options in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each heading, then the options without one."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(parameter, _HEADING, "") or "Options", []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def shared_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--config`` and every option of the table to a command."""
    for heading, options in reversed(OPTIONS.items()):
        for option in reversed(options):
            function = _decorated(option, heading)(function)
    return click.option(
        "--config", metavar="FILE", type=click.Path(path_type=Path), help="TOML file with the same names."
    )(function)


def _decorated(option: Option, heading: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    text = option.help
    if option.default and not option.switch:
        text = f"{text} Default: {option.default}."
    if option.switch:
        is_on = option.default == "true"
        return click.option(
            f"{option.flag}/--no-{option.name}",
            cls=HeadedOption,
            heading=heading,
            default=None,
            help=f"{text} Default: {'yes' if is_on else 'no'}.",
        )
    return click.option(
        option.flag, cls=HeadedOption, heading=heading, metavar=option.metavar, multiple=option.many, help=text
    )


def sources(environment: dict[str, str], config: Path | None, given: dict[str, Any]) -> Sources:
    """Return what click found as sources of the configuration: only what was really typed is a flag."""
    flags: dict[str, tuple[str, ...]] = {}
    for option in BY_NAME.values():
        value = given[option.field]
        if option.many:
            if value:
                flags[option.name] = tuple(value)
        elif option.switch:
            if value is not None:
                flags[option.name] = ("true" if value else "false",)
        elif value is not None:
            flags[option.name] = (value,)
    return Sources(flags, environment, config)
