"""The verdict on one screen: what was measured, what became of it under each condition, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from emulator.audit.facts import Course, CourseVerdict, Facts
from emulator.audit.verdict import Finding, Severity
from emulator.spans import in_words

__all__ = ["audit_screen"]

_WIDEST = 120  # columns; a pipe has any number of them
_GOOD = (CourseVerdict.FINE, CourseVerdict.RECOVERED)


def audit_screen(facts: Facts, findings: Sequence[Finding]) -> RenderableType:
    """All of it."""
    wrong = [finding for finding in findings if finding.severity is Severity.FINDING]
    notes = [finding for finding in findings if finding.severity is Severity.NOTE]
    parts: list[RenderableType] = [_head(facts, len(wrong)), Text(), _figures(facts), Text(), _courses(facts.courses)]
    if wrong:
        parts += [Text(), Rule(Text(_count(len(wrong)), "bold red"), align="left", style="dim")]
        parts += [_entry(number, finding) for number, finding in enumerate(wrong, 1)]
    if notes:
        parts += [Text(), Rule(Text("Good to know", "bold"), align="left", style="dim")]
        parts += [_entry(None, finding) for finding in notes]
    return Constrain(Group(*parts), _WIDEST)


def _head(facts: Facts, wrong: int) -> RenderableType:
    setting = facts.setting
    found = (f"✗ {_count(wrong)}", "bold red") if wrong else ("✓ nothing to do", "bold green")
    return Group(
        Text.assemble("audit of ", (setting.function, "bold cyan"), " · ", found, (f" · {facts.seconds:.1f} s", "dim")),
        Text(
            f"{_kind(setting.sandbox)}, frozen by {setting.freezer} · {setting.database}",
            "dim",
            no_wrap=True,
            overflow="ellipsis",
        ),
    )


def _figures(facts: Facts) -> RenderableType:
    setting = facts.setting
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column()
    growing = f"by one after {len(facts.at_rest)} invocations, {facts.growth} more with each"
    table.add_row("sessions held", str(facts.at_rest[-1]), growing if facts.growth else "by an environment, frozen")
    table.add_row("opened", str(facts.opened[-1]), f"in a warm invocation; {facts.opened[0]} in a cold start")
    stay = f"for {in_words(facts.zombie_life)}" if facts.left_by_recycle else ""
    table.add_row(
        "left behind", str(facts.left_by_recycle), f"by an environment that is recycled silently {stay}".strip()
    )
    if facts.storm is not None:
        table.add_row("in the storm", str(facts.storm), "sessions at once, measured")
    if facts.growth:
        needed, sense = "∞", "they grow"
    else:
        needed, sense = str(facts.needed), f"{setting.concurrency} environments × {facts.per_environment}"
    fits = not facts.growth and facts.needed <= setting.limit
    verdict = Text.assemble(
        (f"of {setting.limit} ({setting.limit_of}): {sense} ", ""),
        ("✓ fits", "green") if fits else ("✗ too many", "red"),
    )
    table.add_row("needed at once", needed, verdict)
    return table


def _courses(courses: Sequence[Course]) -> RenderableType:
    rows = [(Text(course.title), _steps(course), _verdict(course), _error(course)) for course in courses]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=True)
    # Of the last column there is as much as the terminal has room for; the others are whole.
    for number, heading in enumerate(("CONDITION", "CALLS", "VERDICT")):
        table.add_column(heading, no_wrap=True, width=max([len(heading), *(row[number].cell_len for row in rows)]))
    table.add_column("FIRST ERROR", overflow="ellipsis", no_wrap=True, ratio=1)
    for row in rows:
        table.add_row(*row)
    return table


def _error(course: Course) -> Text:
    failure = course.first_failure
    told = course.not_run if failure is None else f"{failure.code} {failure.words}" if failure.code else failure.words
    return Text(told, "dim")


def _steps(course: Course) -> Text:
    signs = [("✓", "green") if step.ok else ("✗", "red") for step in course.steps]
    before = [("·", "dim")] * course.before if course.steps else []
    return Text.assemble(*before, *signs) if signs else Text("–", "dim")


def _verdict(course: Course) -> Text:
    if course.verdict is CourseVerdict.NOT_RUN:
        return Text("– not run", "yellow")
    good = course.verdict in _GOOD
    return Text(f"{'✓' if good else '✗'} {course.verdict}", "green" if good else "bold red")


def _entry(number: int | None, finding: Finding) -> RenderableType:
    sign = Text(f"{number}", "bold red") if number is not None else Text("·", "dim")
    body = Table.grid(padding=(0, 1))
    body.add_column(no_wrap=True)
    body.add_column()
    body.add_row(sign, Text.assemble((finding.title, "bold" if number is not None else "")))
    body.add_row("", Text(finding.detail, "dim"))
    body.add_row(Text("→", "bold yellow"), Text.assemble(finding.cure, (f"  {finding.page}", "cyan")))
    return Padding(body, (0, 0, 0, 1))


def _count(number: int) -> str:
    return "1 finding" if number == 1 else f"{number} findings"


def _kind(sandbox: str) -> str:
    return {"process": "processes", "container": "containers"}.get(sandbox, sandbox)
