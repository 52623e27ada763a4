"""What was found, as a page of the docs. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from emulator.conditions import Condition, SeenError
from tests.drivers.drivers import WAYS, Driver
from tests.drivers.trial import Finding

__all__ = ["Findings", "page"]

Findings = Mapping[tuple[str, str, str], Finding | str]
"""By sample, way and trouble; a text says why there is none."""

_PASSING = re.compile(
    r"\b\d+\.\d+\.\d+\.\d+(:\d+)?|(?<=conn=)\d+|(?<=thread )\d+|\bport \d+|\b\d+ms\b"
    r"|\b[\d,]+(?= milliseconds)|\b[0-9a-f]{8,}\b"
)
_HEAD = """# Drivers

Which driver notices that its connection died while the environment was frozen, what the function's user sees of it, and
what is left on the server. Every cell is a real run: the language's public runtime client and the driver, unchanged, in
a process that was really frozen, before {server}. `./dev drivers` writes this page anew; the functions are
in [sample_functions](../sample_functions/README.md), one for each driver, with a handler for each way to hold a
connection.

## Reading it

{ways}

Each trial is one good invocation, then the trouble, then invocations until one is good again. Hours are skipped for the
server and the path; on the function's own clock 0.6 s go by, so what a driver does by the age of a connection, such as
`pool_recycle` and `maxLifetime`, is not in these tables:

{troubles}

A cell says what the first invocation after the trouble met: **✓** nothing, or MySQL's error code or a number of
[the list below](#what-they-said), and how often. **poisoned** means that the sixth in a row failed as well: the
environment would have gone on so until Lambda dropped it. **lost** means that the caller was given the number of an
order which is not in the table. Then the time until the first good answer was there, failed ones included, and how many
sessions the server was asked for in all and still held at the end: *opened / held*. Times are of one run on a machine
with other work to do; the order of magnitude is what counts.
"""


@dataclass(slots=True)
class _Words:
    """Errors that carry no code, in the order in which they come, each once."""

    known: list[str] = field(default_factory=list)

    def label(self, error: SeenError) -> str:
        """What a cell calls it."""
        words = _told(error)
        if words not in self.known:
            self.known.append(words)
        number = self.known.index(words) + 1
        return f"{error.code} [{number}]" if error.code else f"[{number}]"


def page(
    drivers: Sequence[Driver],
    troubles: Sequence[Condition],
    findings: Findings,
    server: str,
    versions: Mapping[str, str],
) -> str:
    """The whole page.

    Arguments:
        findings: of every driver in every way under every trouble.
        server: the database server's name and version.
        versions: of each driver, by sample, as its lock file says.
    """
    words = _Words()
    parts = [
        _HEAD.format(
            server=server,
            ways="\n".join(f"- `{way}`: {what}" for way, what in WAYS.items()),
            troubles="\n".join(_wrapped(f"- **{trouble.title}**: {trouble.what}") for trouble in troubles),
        )
    ]
    for way, what in WAYS.items():
        having = [driver for driver in drivers if way in driver.ways]
        if having:
            parts.append(
                f"## {way}\n\n{what[0].upper()}{what[1:]}.\n\n{_table(having, way, troubles, findings, words)}\n"
            )
    said = "\n".join(f"{number}. `{told}`" for number, told in enumerate(words.known, 1)) or "No driver said anything."
    parts.append(f"## What they said\n\nIn their own words, as the runtime reports them to the caller:\n\n{said}\n")
    listed = "\n".join(f"| {driver.title} | {versions.get(driver.sample, '')} |" for driver in drivers)
    parts.append(f"## Versions\n\n| | |\n|---|---|\n{listed}\n")
    return "\n".join(parts)


def _table(
    drivers: Sequence[Driver], way: str, troubles: Sequence[Condition], findings: Findings, words: _Words
) -> str:
    head = f"| | {' | '.join(trouble.title for trouble in troubles)} |\n|---|{'---|' * len(troubles)}"
    rows = []
    for driver in drivers:
        cells = [_cell(findings[driver.sample, way, trouble.name], words) for trouble in troubles]
        rows.append(f"| {driver.title} | {' | '.join(cells)} |")
    return "\n".join([head, *rows])


def _cell(finding: Finding | str, words: _Words) -> str:
    if isinstance(finding, str):
        return finding
    sessions = f"{finding.opened} / {finding.held}"
    if finding.lost:
        return f"**lost** without an error, {_time(finding.recovery_ms)}, {sessions}"
    if finding.error is None:
        return f"✓ {_time(finding.recovery_ms)}, {sessions}"
    label = words.label(finding.error)
    if finding.poisoned:
        return f"**poisoned** {label}, {sessions}"
    return f"{label} ×{finding.failed}, {_time(finding.recovery_ms)}, {sessions}"


def _time(milliseconds: float | None) -> str:
    if milliseconds is None:
        return ""
    return f"{milliseconds / 1000:.1f} s" if milliseconds >= 1000 else f"{max(1, round(milliseconds))} ms"


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _told(error: SeenError) -> str:
    """Without what is another one in each run, and without what a table could not hold."""
    return _PASSING.sub("…", str(error)).replace("`", "'").replace("|", "/")
