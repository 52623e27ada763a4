"""What a function does to its database, found by doing it, with a verdict and the cure for each finding."""

from __future__ import annotations

from emulator.audit.examination import examine
from emulator.audit.facts import Facts
from emulator.audit.plan import Plan, make_plan
from emulator.audit.run import Verdict, audit
from emulator.audit.verdict import Finding, Severity, findings_of

__all__ = ["Facts", "Finding", "Plan", "Severity", "Verdict", "audit", "examine", "findings_of", "make_plan"]
