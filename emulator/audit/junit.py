"""The verdict as a JUnit file: a test case for each thing that was looked at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from emulator.audit.facts import Facts
from emulator.audit.verdict import Finding, Severity
from emulator.errors import ConfigurationError

__all__ = ["write_junit"]

_CHECKS = ("leak", "pool", "zombies", "peak", "row-locks", "open-transaction", "session-state")
_STATE = frozenset({"user-variable", "temporary-table", "named-lock", "table-lock", "session-variable"})
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(path: Path, facts: Facts, findings: Sequence[Finding]) -> None:
    """Write it.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    suite = ElementTree.Element("testsuite", name="lambda-freezer audit", time=f"{facts.seconds:.3f}")
    not_looked = {course.condition: course.not_run for course in facts.courses if course.not_run}
    by_check: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.severity is Severity.FINDING:
            for check in _checks_of(finding):
                by_check.setdefault(check, []).append(finding)
    names = [*_CHECKS, *(f"condition:{course.condition}" for course in facts.courses)]
    if facts.not_looked_at:
        not_looked["session-state"] = facts.not_looked_at
    for name in names:
        case = ElementTree.SubElement(suite, "testcase", classname=f"audit.{facts.setting.function}", name=name)
        for finding in by_check.get(name, ()):
            failure = ElementTree.SubElement(case, "failure", message=_text(finding.title))
            failure.text = _text(f"{finding.detail}\n{finding.cure}\n{finding.page}")
        if (reason := not_looked.get(name.removeprefix("condition:"))) is not None:
            ElementTree.SubElement(case, "skipped", message=_text(f"not run: {reason}"))
    suite.set("tests", str(len(names)))
    suite.set("failures", str(sum(name in by_check for name in names)))
    suite.set("skipped", str(len(not_looked)))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    try:
        ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", cure="Name another file with --junit."
        ) from error


def _checks_of(finding: Finding) -> list[str]:
    if finding.conditions:
        return [f"condition:{condition}" for condition in finding.conditions]
    kind = finding.id.partition(":")[0]
    return ["session-state" if kind in _STATE else finding.id]


def _text(text: str) -> str:
    return _NOT_XML.sub("?", text)
