"""What all tests share: the option that turns a skipped test into a failure."""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings

# A shell has what it starts in the background ignore interrupts, and some tests send them to their children.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run; how long one takes says more about the machine than about the code.
settings.register_profile("mtftpd", deadline=None, derandomize=True, database=None)
# For a search of one's own: pytest --hypothesis-profile=search
settings.register_profile("search", deadline=None, max_examples=1_000)
settings.load_profile("mtftpd")

NO_SKIPS = "--no-skips"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(NO_SKIPS, action="store_true", help="fail when a test is skipped or when none was run")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption(NO_SKIPS) or session.exitstatus != pytest.ExitCode.OK:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and (reporter.stats.get("skipped") or not reporter.stats.get("passed")):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    skipped = len(terminalreporter.stats.get("skipped", []))
    if config.getoption(NO_SKIPS) and skipped:
        terminalreporter.write_line(f"FAILED: {skipped} skipped, and {NO_SKIPS} allows none", red=True)
