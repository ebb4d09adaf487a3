"""What the control socket is asked about multicast sessions, and told to do with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from mtftpd.core.effects import Effects
from mtftpd.core.mtftp.passes import GroupStatistics
from mtftpd.core.nodes.records import NodeStatistics
from mtftpd.core.service import BootService
from mtftpd.daemon.control import Command
from mtftpd.daemon.loop import Pump

View = Callable[[NodeStatistics], dict[str, Any]]


class SessionCommands:
    """Answers about the sessions of ``service``; ``viewer`` makes the view of nodes at the time of one answer."""

    def __init__(self, service: BootService, pump: Pump, viewer: Callable[[], View]) -> None:
        self._service = service
        self._pump = pump
        self._viewer = viewer

    def commands(self) -> dict[str, Command]:
        """Return the commands of the control socket."""
        service = self._service
        return {
            "sessions": self._sessions,
            "stop-session": self._telling(service.stop_pass, "stopped", "no pass is running on {}"),
            "pause-session": self._telling(service.pause_group, "paused", "{} is paused already, or cannot be"),
            "start-session": self._telling(
                service.start_group,
                "started",
                "{} is neither paused nor resting, and no pace is known for a pass without a master",
            ),
        }

    def _sessions(self, request: Any) -> dict[str, Any]:
        group = request.get("group")
        groups = [session_view(each) for each in self._groups()]
        if group is None:
            return {"sessions": groups}
        found = next((each for each in groups if each["group"] == group), None)
        if found is None:
            raise ValueError(_unknown(str(group), [str(each["group"]) for each in groups]))
        view = self._viewer()
        nodes = [view(node) for node in self._service.nodes.nodes() if node.group == group]
        return {"session": found, "nodes": nodes}

    def _groups(self) -> tuple[GroupStatistics, ...]:
        """Return the groups of MTFTP, then the transfers with option multicast that run now."""
        statistics = self._service.statistics()
        return statistics.mtftp.groups + statistics.multicast.transfers

    def _telling(self, tell: Callable[[str, float], Effects], done: str, nothing: str) -> Command:
        """Return the command that tells the service something about one group; ``nothing`` is said if it is in vain."""

        def command(request: Any) -> dict[str, Any]:
            group = str(request.get("group", ""))
            groups = [each.group for each in self._groups()]
            if group not in groups:
                raise ValueError(_unknown(group, groups))
            effects = tell(group, time.monotonic())
            if not effects:
                raise ValueError(nothing.format(group))
            self._pump.perform(effects)
            return {done: group}

        return command


def session_view(group: GroupStatistics) -> dict[str, Any]:
    """Return one session as the control socket tells it.

    ``rate`` is that of the pass so far, in octets a second; ``loss`` is the part of all blocks that a timer had to
    repeat, because they or their acknowledgement were lost.
    """
    view = asdict(group)
    began = view.pop("started")
    seconds = time.monotonic() - began if group.block else 0.0
    new = group.sent - group.repeats
    view["loss"] = round(group.stalls / new, 5) if new > 0 else 0.0
    view["rate"] = round(group.block * group.block_size / seconds) if seconds > 0 else 0
    return view


def _unknown(group: str, groups: list[str]) -> str:
    return f"no session {group}; there are: {', '.join(groups) or 'none'}"
