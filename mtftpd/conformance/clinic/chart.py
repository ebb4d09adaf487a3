"""What is known of the patient: it outlives the clinic in a file, because boots take longer than patience."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mtftpd.conformance.clinic.findings import Finding, Trait, named
from mtftpd.conformance.clinic.styles import Reply, Tags
from mtftpd.errors import BadConfig

VERSION: Final = 1
OPTIONS: Final = "options"
"""The probe, and the cure for clients that take no file without."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one probe has shown: nothing, or findings; ``lines`` are the packets of that boot."""

    probe: str
    said: str
    findings: tuple[Finding, ...] = ()
    lines: tuple[str, ...] = ()


@dataclass
class Chart:
    """All outcomes so far, and what packets have said by themselves.

    ``hardware`` are the addresses of the patient's interfaces, ``octets`` the options by which programs are told
    apart, as they stood in its DISCOVER.
    """

    hardware: list[bytes] = field(default_factory=list)
    uuid: bytes = b""
    options: dict[int, bytes] = field(default_factory=dict)
    architecture: int = 0
    asked: dict[str, int] = field(default_factory=dict)
    findings: set[Finding] = field(default_factory=set)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    cure: str = ""
    modes: dict[str, bool] = field(default_factory=dict)
    patience: float | None = None
    boots: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    """Probe -> why it cannot be made here; of this run, so it is not kept in the file."""

    @property
    def is_ipxe(self) -> bool:
        """Whether it says that it is iPXE, or gPXE."""
        return 175 in self.options or self.options.get(77, b"").endswith(b"PXE")

    def careful(self) -> Reply:
        """Return the reply that this patient is known to boot from."""
        return CURES.get(self.cure, Reply())

    @property
    def needs_options(self) -> bool:
        """Whether it takes a file only from a server that grants options."""
        return Trait.NEEDS_OPTIONS in self.findings

    def shows(self, *findings: Finding) -> bool:
        """Return whether one of ``findings`` has been made."""
        return not self.findings.isdisjoint(findings)

    def record(self, outcome: Outcome, mode: bool | None) -> None:
        """Take an outcome, and whether a way of booting can be used."""
        self.outcomes[outcome.probe] = outcome
        self.findings.update(outcome.findings)
        if mode is not None:
            self.modes[outcome.probe] = mode
        if outcome.probe == OPTIONS and outcome.findings and not self.needs_options:
            return
        if outcome.probe in CURES and outcome.findings:
            self.cure = outcome.probe


CURES: Final[Mapping[str, Reply]] = {
    OPTIONS: Reply(),
    "late": Reply(delay=1.3),
    "twice": Reply(copies=2),
    "without-43": Reply(tags=Tags.NONE),
}
"""What helps clients that take no careful reply, one of it at a time."""


def to_plain(chart: Chart) -> dict[str, Any]:
    """Return ``chart`` as values that JSON has."""
    return {
        "version": VERSION,
        "hardware": [octets.hex(":") for octets in chart.hardware],
        "uuid": chart.uuid.hex(),
        "options": {str(code): value.hex() for code, value in chart.options.items()},
        "architecture": chart.architecture,
        "asked": chart.asked,
        "findings": sorted(each.value for each in chart.findings),
        "outcomes": [
            {"probe": each.probe, "said": each.said, "findings": [found.value for found in each.findings],
             "lines": list(each.lines)}
            for each in chart.outcomes.values()
        ],
        "cure": chart.cure,
        "modes": chart.modes,
        "patience": chart.patience,
        "boots": chart.boots,
    }  # fmt: skip


def from_plain(said: Any) -> Chart:
    """Return the chart that `to_plain` has made ``said`` of; raises `BadConfig` for anything else."""
    try:
        if said["version"] != VERSION:
            raise ValueError(f"version {said['version']}")
        outcomes = [
            Outcome(
                str(each["probe"]), str(each["said"]), tuple(named(name) for name in each["findings"]),
                tuple(str(line) for line in each["lines"]),
            )
            for each in said["outcomes"]
        ]  # fmt: skip
        return Chart(
            hardware=[bytes.fromhex(text.replace(":", "")) for text in said["hardware"]],
            uuid=bytes.fromhex(said["uuid"]),
            options={int(code): bytes.fromhex(value) for code, value in said["options"].items()},
            architecture=int(said["architecture"]),
            asked={str(name): int(value) for name, value in said["asked"].items()},
            findings={named(name) for name in said["findings"]},
            outcomes={each.probe: each for each in outcomes},
            cure=str(said["cure"]),
            modes={str(name): bool(value) for name, value in said["modes"].items()},
            patience=None if said["patience"] is None else float(said["patience"]),
            boots=int(said["boots"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadConfig(f"the state file is not one of this clinic ({error!r}); name another one") from error
