"""From facts to findings: each weakness is found, named, and has a cure; and nothing is found where nothing is."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from emulator.audit.facts import Leftover
from emulator.audit.verdict import Finding, Severity, findings_of
from tests.unit.audit.found import course, facts


def only(**changes: Any) -> Finding:
    (finding,) = findings_of(facts(**changes))
    return finding


def test_nothing_is_found_where_nothing_is() -> None:
    """One session, kept, checked before use."""
    assert findings_of(facts(courses=(course("warm", "++"), course("nat", "+++")))) == []


@pytest.mark.parametrize(
    ("changes", "id_", "title", "cure"),
    [
        (
            {"at_rest": (1, 2, 3, 4), "opened": (1, 1, 1, 1), "still_growing": True},
            "leak",
            "each invocation opens 1 session and closes none",
            "Connect once",
        ),
        ({"at_rest": (5, 5, 5), "most": 5}, "pool", "an environment holds 5 sessions and can use one", "Pool of one"),
        ({"left_by_recycle": 5}, "zombies", "each recycled environment leaves 5 sessions behind", "Lower wait_timeout"),
        ({"concurrency": 70}, "peak", "70 environments need 70 of 66 connections", "Reserved concurrency of 66"),
        ({"locked_rows": 1, "open_transactions": 1}, "row-locks", "1 row stay", "Commit or roll back"),
        ({"open_transactions": 2}, "open-transaction", "2 sessions stay in a transaction", "autocommit"),
        (
            {"leftovers": (Leftover("user variable", "@customer", "ada"),)},
            "user-variable:@customer",
            "user variable @customer (ada) outlives its invocation",
            "parameters",
        ),
        (
            {"leftovers": (Leftover("named lock", "stock"),)},
            "named-lock:stock",
            "named lock stock outlives its invocation",
            "RELEASE_LOCK",
        ),
        (
            {"courses": (course("nat", "---"), course("database-restarted", "---"))},
            "stale:nat",
            "poisoned for ever: nat, database restarted",
            "ping(reconnect=True)",
        ),
        ({"courses": (course("nat", "-++"),)}, "stale:nat", "failed once: nat", "retry once"),
        (
            {"courses": (course("failover-read-only", "---", code=1290),)},
            "failover:failover-read-only",
            "poisoned for ever: failover read only",
            "Reconnect on 1290",
        ),
        ({"courses": (course("storm", "-", code=1040),)}, "peak:storm", "failed: storm", "Reserved concurrency"),
        (
            {"courses": (course("recycled-silently", "-++", code=1205),)},
            "row-locks:recycled-silently",
            "failed: recycled silently",
            "1205",
        ),
        ({"courses": (course("nat", "--", code=None, timed_out=True),)}, "hangs:nat", "poisoned", "read_timeout"),
    ],
)
def test_a_weakness_is_found_and_has_a_cure(changes: dict[str, Any], id_: str, title: str, cure: str) -> None:
    """One fact that is different is one finding."""
    finding = only(**changes)
    assert (finding.id, finding.severity) == (id_, Severity.FINDING)
    assert finding.title.startswith(title)
    assert cure in finding.cure
    assert finding.page == f"docs/audit.md#{id_.partition(':')[0]}"


@pytest.mark.parametrize(
    ("changes", "id_"),
    [
        ({"left_by_recycle": 1}, "zombies"),
        ({"at_rest": (0, 0, 0), "opened": (1, 1, 1)}, "connect-each-time"),
        ({"not_looked_at": "the server is your own"}, "not-looked-at"),
        ({"courses": (dataclasses.replace(course("nat", ""), not_run="it is yours"),)}, "not-run:nat"),
    ],
)
def test_what_has_to_be_so_is_a_note(changes: dict[str, Any], id_: str) -> None:
    """Whoever keeps a connection leaves one behind: nothing that a build should fail for."""
    finding = only(**changes)
    assert (finding.id, finding.severity) == (id_, Severity.NOTE)


def test_where_the_limit_is() -> None:
    """As many as fit do fit; a session more for each and a third of them does not."""
    assert findings_of(facts(concurrency=66)) == []
    assert "the 14th at once" in only(most=5, concurrency=30).detail
    assert "not even one" in only(most=70, concurrency=1).cure


def test_findings_come_before_notes() -> None:
    """What has to be done first."""
    found = findings_of(facts(left_by_recycle=1, courses=(course("nat", "---"),)))
    assert [finding.severity for finding in found] == [Severity.FINDING, Severity.NOTE]


def test_a_finding_names_the_conditions_under_which_it_shows() -> None:
    """What fails in the same way is one finding; another error is another."""
    found = findings_of(
        facts(courses=(course("nat", "---"), course("warm", "++"), course("failover-read-only", "---", code=1290)))
    )
    assert [finding.conditions for finding in found] == [("nat",), ("failover-read-only",)]
