"""What to think of the facts: findings, each with its cure. Pure.

The room is long because it is one list: everything that an audit can find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from emulator.audit.facts import Course, CourseVerdict, Facts, Leftover
from emulator.spans import in_words

__all__ = ["Finding", "Severity", "findings_of"]

_PAGE = "docs/audit.md"
_TOO_MANY = 1040
_GONE = (2006, 2013, 2055, 4031)
_READ_ONLY = (1290, 1836, 3100)
_LOCKED = (1205, 1213)


class Severity(StrEnum):
    """Whether something has to be done."""

    FINDING = "finding"
    NOTE = "note"  # true, and as it has to be, or a matter of taste


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        id: stable, for programs.
        title: what it is, in a few words.
        detail: what was measured, in a sentence.
        cure: what to do, beginning with its name.
        page: where more is said.
        conditions: under which it shows; none where it always does.
    """

    id: str
    severity: Severity
    title: str
    detail: str
    cure: str
    page: str
    conditions: tuple[str, ...] = ()


def findings_of(facts: Facts) -> list[Finding]:
    """Everything there is to say, findings first, each kind in the order of a life."""
    found = [finding for look in _LOOKS for finding in look(facts)]
    return sorted(found, key=lambda finding: finding.severity is Severity.NOTE)


def _finding(id_: str, title: str, detail: str, cure: str, *, severity: Severity = Severity.FINDING) -> Finding:
    return Finding(id_, severity, title, detail, cure, f"{_PAGE}#{id_.partition(':')[0]}")


def _sessions(facts: Facts) -> Iterator[Finding]:
    if facts.growth:
        yield _finding(
            "leak",
            f"each invocation opens {_many(facts.growth, 'session')} and closes none",
            f"After {len(facts.at_rest)} invocations one environment held {facts.at_rest[-1]}.",
            "Connect once: outside the handler, in a variable of the module, and use it again.",
        )
    elif facts.at_rest[-1] > 1:
        yield _finding(
            "pool",
            f"an environment holds {facts.at_rest[-1]} sessions and can use one",
            "It serves one event at a time. The others are idle for as long as it lives, frozen or not.",
            "Pool of one: a single connection, or a pool size of 1 without overflow.",
        )
    if facts.opened[-1] and not facts.growth:
        yield _finding(
            "connect-each-time",
            f"each invocation opens {_many(facts.opened[-1], 'session')}, and closes what it opened",
            "Nothing is left behind; each request pays for the login, and a storm is a storm of logins.",
            "Connect once, outside the handler, and check before use; or leave it, where requests are rare.",
            severity=Severity.NOTE,
        )


def _recycling(facts: Facts) -> Iterator[Finding]:
    left = facts.left_by_recycle
    if not left:
        return
    life = in_words(facts.zombie_life)
    full = -(-facts.setting.limit // left)
    yield _finding(
        "zombies",
        f"each recycled environment leaves {_many(left, 'session')} behind",
        f"The server holds what is left for {life}; {full} recycled within that time take all {facts.setting.limit}.",
        "Lower wait_timeout to just above the idle time of environments, or close on SIGTERM with an extension.",
        severity=Severity.FINDING if left > 1 else Severity.NOTE,
    )


def _peak(facts: Facts) -> Iterator[Finding]:
    setting = facts.setting
    if facts.needed <= setting.limit or facts.growth:
        return
    fit = setting.limit // facts.per_environment
    yield _finding(
        "peak",
        f"{setting.concurrency} environments need {facts.needed} of {setting.limit} connections",
        f"With {_many(facts.per_environment, 'session')} each, the {fit + 1}th at once gets 1040 Too many connections.",
        f"Reserved concurrency of {fit}, fewer sessions for each environment, or a proxy (RDS Proxy) in between."
        if fit
        else "Fewer sessions for each environment: not even one of them fits.",
    )


def _state(facts: Facts) -> Iterator[Finding]:
    if facts.locked_rows:
        yield _finding(
            "row-locks",
            f"{_many(facts.locked_rows, 'row')} stay locked while the environment is frozen",
            "The handler ends in a transaction that has changed something. Others wait for it, and fail with 1205.",
            "Commit or roll back in every way out of the handler: a with block, or a finally.",
        )
    elif facts.open_transactions:
        yield _finding(
            "open-transaction",
            f"{_many(facts.open_transactions, 'session')} stay in a transaction while the environment is frozen",
            "The next event reads what was true when this one began, and every ALTER TABLE waits for it.",
            "Commit after reads too, or switch autocommit on: autocommit=True.",
        )
    for leftover in facts.leftovers:
        yield _left(leftover)


def _left(leftover: Leftover) -> Finding:
    about, cure = _LEFT[leftover.kind]
    id_ = leftover.kind.replace(" ", "-")
    value = f" ({leftover.value})" if leftover.value and leftover.value != "?" else ""
    return _finding(
        f"{id_}:{leftover.name}", f"{leftover.kind} {leftover.name}{value} outlives its invocation", about, cure
    )


_LEFT = {
    "user variable": (
        "The next event, perhaps another customer's, finds it set in the same session.",
        "Pass values as parameters instead; or SET it to NULL in a finally, and never read it before it is set.",
    ),
    "temporary table": (
        "The next event finds it, with its rows, and CREATE TEMPORARY TABLE fails with 1050.",
        "Drop it before the handler returns: DROP TEMPORARY TABLE IF EXISTS, in a finally.",
    ),
    "named lock": (
        "It is held while the environment is frozen, and as long as the session lives if that is recycled.",
        "Release it in a finally: RELEASE_LOCK.",
    ),
    "table lock": (
        "It is held while the environment is frozen; everybody else waits.",
        "Unlock in a finally, or use a transaction instead of LOCK TABLES.",
    ),
    "session variable": (
        "The next event runs with it, and the first one of an environment without it.",
        "Set it right after connecting, for every event alike, or put the old value back in a finally.",
    ),
}


def _courses(facts: Facts) -> Iterator[Finding]:
    """What goes wrong in the same way is one finding, and has one cure."""
    alike: dict[tuple[CourseVerdict, str, str], list[Course]] = {}
    for course in facts.courses:
        if course.failures:
            alike.setdefault((course.verdict, *_cure_for(course)), []).append(course)
    for (verdict, anchor, cure), courses in alike.items():
        failure = courses[0].first_failure
        assert failure is not None, "what failed has a first failure"
        first = f"error {failure.code}" if failure.code else failure.words
        counts = sorted({f"{course.failures} of {len(course.steps)}" for course in courses})
        yield Finding(
            f"{anchor}:{courses[0].condition}",
            Severity.FINDING,
            f"{verdict}: {', '.join(course.title for course in courses)}",
            f"{' or '.join(counts)} invocations failed after it, first with {first}.",
            cure,
            f"{_PAGE}#{anchor}",
            tuple(course.condition for course in courses),
        )


def _cure_for(course: Course) -> tuple[str, str]:
    """Where the page tells of it, and the cure."""
    failure = course.first_failure
    code = failure.code if failure is not None else None
    if code == _TOO_MANY:
        return "peak", "Reserved concurrency, and one session for each environment."
    if code in _LOCKED:
        return "row-locks", "Short transactions, rolled back in a finally, and one retry on 1205 and 1213."
    if code in _READ_ONLY:
        return "failover", "Reconnect on 1290: close the connection and open it anew, which leads to the new writer."
    if failure is not None and failure.timed_out:
        return "hangs", "Deadlines of your own: connect_timeout and read_timeout below the function's timeout."
    if course.verdict is CourseVerdict.POISONED:
        return "stale", "Check before use: ping(reconnect=True) or pre-ping; throw a connection away that has failed."
    if code in _GONE:
        return "stale", "Check before use: ping(reconnect=True) or pre-ping; or retry once on 2006, 2013 and 4031."
    return "conditions", "Read what it says; the function's own log has the rest."


def _not_looked_at(facts: Facts) -> Iterator[Finding]:
    if facts.not_looked_at:
        yield _finding(
            "not-looked-at",
            "what outlives an invocation in its session was not looked at",
            f"{facts.not_looked_at[0].upper()}{facts.not_looked_at[1:]}.",
            "Audit with a server of the emulator's own.",
            severity=Severity.NOTE,
        )
    for course in facts.courses:
        if course.not_run:
            yield _finding(
                f"not-run:{course.condition}",
                f"not run: {course.title}",
                f"{course.not_run[0].upper()}{course.not_run[1:]}.",
                'With server = "local" in [database] all of them can be had.',
                severity=Severity.NOTE,
            )


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


_LOOKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    _sessions,
    _recycling,
    _peak,
    _state,
    _courses,
    _not_looked_at,
)
