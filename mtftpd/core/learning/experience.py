"""What a run has found out about nodes, as a value that another run can begin with."""

from __future__ import annotations

from dataclasses import dataclass, field

from mtftpd.core.learning.fallback import FallbackMemory, Mark
from mtftpd.core.learning.fallback_watch import FallbackWatch
from mtftpd.core.learning.lessons import Learning, Learnt


@dataclass(frozen=True, slots=True)
class Experience:
    """Times are on the clock of the server that begins with it.

    A run that is to outlive its process asks after every report what has changed (`FallbackMemory.take_changed`,
    `Learning.take_changed`) and writes it down.
    """

    marks: tuple[Mark, ...] = ()
    learnt: tuple[Learnt, ...] = ()


NO_EXPERIENCE = Experience()


@dataclass(slots=True)
class Watches:
    """What goes on finding out; ``seconds`` is T."""

    seconds: int
    experience: Experience = NO_EXPERIENCE
    fallback: FallbackWatch = field(init=False)
    learning: Learning = field(init=False)

    def __post_init__(self) -> None:
        self.fallback = FallbackWatch(FallbackMemory(self.experience.marks), self.seconds)
        self.learning = Learning(self.experience.learnt)

    def snapshot(self) -> Experience:
        """Return what is known now."""
        return Experience(self.fallback.memory.snapshot(), self.learning.snapshot())
