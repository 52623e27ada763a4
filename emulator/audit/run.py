"""An audit from beginning to end, in an emulator of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from emulator.audit.examination import Progress, examine
from emulator.audit.facts import Facts
from emulator.audit.junit import write_junit
from emulator.audit.plan import Plan, make_plan
from emulator.audit.screen import audit_screen
from emulator.audit.verdict import Finding, Severity, findings_of
from emulator.config import Settings
from emulator.embedded import Emulator
from emulator.errors import ConfigurationError

__all__ = ["Verdict", "audit", "plan_of"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was measured, and what to think of it."""

    facts: Facts
    findings: Sequence[Finding]

    @property
    def has_findings(self) -> bool:
        """Something has to be done; notes do not count."""
        return any(finding.severity is Severity.FINDING for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the facts, what follows from them, and the findings."""
        facts = asdict(self.facts)
        for course, told in zip(self.facts.courses, facts["courses"], strict=True):
            told["verdict"] = str(course.verdict)
        derived = {
            "growth": self.facts.growth,
            "per_environment": self.facts.per_environment,
            "needed": self.facts.needed,
        }
        return {
            "verdict": "findings" if self.has_findings else "fine",
            "facts": facts | derived,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def screen(self) -> RenderableType:
        return audit_screen(self.facts, self.findings)

    def write_junit(self, path: Path) -> None:
        """See :func:`emulator.audit.junit.write_junit`."""
        write_junit(path, self.facts, self.findings)


def plan_of(function: str, payload: bytes, settings: Settings, base: Path, **options: Any) -> Plan:
    """See :func:`emulator.audit.plan.make_plan`; the payload is JSON as it was given.

    Raises:
        ConfigurationError: it is not JSON, or something else cannot be used.
    """
    try:
        parsed = json.loads(payload)
    except ValueError as error:
        raise ConfigurationError(
            f"the payload is not JSON: {error}", cure="Quote it for the shell: --payload '{\"id\": 1}'."
        ) from error
    return make_plan(function, parsed, settings, base, **options)


def audit(plan: Plan, base: Path, progress: Progress) -> Verdict:
    """Do it.

    Raises:
        EmulatorError: it could not be done, with the cure.
    """
    with Emulator(plan.settings, base=base) as emulator:
        facts = examine(emulator, plan, progress)
    return Verdict(facts, findings_of(facts))
