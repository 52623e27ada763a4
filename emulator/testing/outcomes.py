"""What came of tests under conditions: as properties of reports, as JSON, and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emulator.conditions import SeenError

__all__ = ["FAILED", "NOT_RUN", "PASSED", "PROPERTY", "TestOutcome", "outcome_of", "print_table"]

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
PROPERTY = "lambda_condition"
_SIGNS = {PASSED: "✓", FAILED: "✗", NOT_RUN: "–"}
_COLOURS = {PASSED: "green", FAILED: "red", NOT_RUN: "yellow"}
_GAP = "  "


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """One test under one condition.

    Attributes:
        test: its node id, without the condition.
        outcome: ``passed``, ``failed`` or ``not run``.
        code: MySQL's number for the first error that an invocation of it has shown, where it had one.
        words: that error, or what the test complained of, or why it was not run; one line.
    """

    __test__ = False  # pytest takes it for a class of tests by its name

    test: str
    condition: str
    title: str
    outcome: str
    code: int | None = None
    words: str = ""

    def properties(self) -> list[tuple[str, object]]:
        """For the report, from where JUnit files and other processes have them."""
        pairs: list[tuple[str, object]] = [
            (PROPERTY, self.condition),
            (f"{PROPERTY}_title", self.title),
            (f"{PROPERTY}_outcome", self.outcome),
        ]
        if self.code is not None:
            pairs.append((f"{PROPERTY}_error_code", self.code))
        if self.words:
            pairs.append((f"{PROPERTY}_words", self.words))
        return pairs

    @classmethod
    def from_properties(cls, nodeid: str, found: dict[str, Any]) -> TestOutcome:
        """The other way."""
        return cls(
            test=_without_condition(nodeid, found[PROPERTY]),
            condition=found[PROPERTY],
            title=found[f"{PROPERTY}_title"],
            outcome=found[f"{PROPERTY}_outcome"],
            code=found.get(f"{PROPERTY}_error_code"),
            words=found.get(f"{PROPERTY}_words", ""),
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def cell(self) -> str:
        """For a table: a sign that means something without its colour, and the code."""
        code = f" {self.code}" if self.code is not None and self.outcome == FAILED else ""
        return _SIGNS[self.outcome] + code


def outcome_of(
    item: pytest.Item, report: pytest.TestReport, name: str, title: str, not_run: str, error: SeenError | None
) -> TestOutcome:
    """From pytest's report and what the invocations have shown."""
    outcome = PASSED if report.passed else NOT_RUN if report.skipped else FAILED
    code, words = (error.code, error.words) if error is not None else (None, "")
    if outcome == NOT_RUN:
        code, words = None, not_run or _last_line(report)
    elif outcome == FAILED and error is None:
        words = _last_line(report)
    return TestOutcome(_without_condition(item.nodeid, name), name, title, outcome, code, words)


def print_table(terminal: pytest.TerminalReporter, outcomes: Sequence[TestOutcome]) -> None:
    """Conditions down, tests across; below it the words of what did not pass."""
    tests = list(dict.fromkeys(outcome.test for outcome in outcomes))
    rows = {outcome.condition: outcome.title for outcome in outcomes}
    cells = {(outcome.condition, outcome.test): outcome for outcome in outcomes}
    heads = _headings(tests, max(map(len, rows.values())), terminal._tw.fullwidth)
    widths = [
        max(len(head), *(len(cells[key].cell) for key in cells if key[1] == test))
        for head, test in zip(heads, tests, strict=True)
    ]
    left = max(map(len, [*rows.values(), "condition"]))
    terminal.section("conditions", sep="=")
    terminal.write_line(_GAP.join([" " * left, *(h.ljust(w) for h, w in zip(heads, widths, strict=True))]).rstrip())
    for condition, title in rows.items():
        terminal.write(title.ljust(left))
        blank = len(_GAP)  # before the next sign; none after the last one
        for test, width in zip(tests, widths, strict=True):
            if (found := cells.get((condition, test))) is not None:
                terminal.write(" " * blank)
                terminal.write(found.cell, **{_COLOURS[found.outcome]: True})
                blank = width - len(found.cell) + len(_GAP)
            else:
                blank += width + len(_GAP)
        terminal.write_line("")
    if heads != [_short(test) for test in tests]:
        for head, test in zip(heads, tests, strict=True):
            terminal.write_line(f"{head} is {test}")
    for outcome in outcomes:
        if outcome.outcome != PASSED:
            code = f"{outcome.code} " if outcome.code is not None else ""
            line = f"{_SIGNS[outcome.outcome]} {_short(outcome.test)}, {outcome.title}: "
            terminal.write_line(f"{line}{'not run: ' if outcome.outcome == NOT_RUN else ''}{code}{outcome.words}")


def _headings(tests: Sequence[str], left: int, width: int) -> list[str]:
    """The tests' names; their numbers where the names would not fit beside each other, or are not different."""
    names = [_short(test) for test in tests]
    if len(set(names)) == len(names) and left + sum(len(name) + len(_GAP) for name in names) <= width:
        return names
    return [str(number) for number in range(1, len(tests) + 1)]


def _short(test: str) -> str:
    return test.rpartition("::")[2]


def _without_condition(nodeid: str, condition: str) -> str:
    """``test_x[warm]`` is ``test_x``; ``test_x[warm-two]`` is ``test_x[two]``."""
    if not nodeid.endswith("]"):
        return nodeid
    name, _, parameters = nodeid[:-1].partition("[")
    left = f"-{parameters}-".replace(f"-{condition}-", "-", 1).strip("-")
    return f"{name}[{left}]" if left else name


def _last_line(report: pytest.TestReport) -> str:
    """What a test complained of, in one line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        text = str(crash.message)
    elif isinstance(report.longrepr, tuple):
        text = str(report.longrepr[2]).removeprefix("Skipped: ")
    else:
        text = str(report.longrepr or "").strip().rpartition("\n")[2]
    return " ".join(text.split("\n", 1)[0].split())
