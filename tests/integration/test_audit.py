"""Audits of real functions on a real server: their true weaknesses are found, and no others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from emulator import Emulator, Function
from emulator.audit import Verdict, examine, findings_of, make_plan
from emulator.conditions.kinds import KEPT_WARM
from emulator.config import Settings
from emulator.errors import EmulatorError
from tests.integration.conftest import SAMPLES
from tests.integration.running import command
from tests.needs import need_database

Audit = Callable[..., Verdict]

LEAVES_ALL_KINDS_OF_THINGS = """
import os
import pymysql
connection = pymysql.connect(
    host=os.environ["DB_HOST"], port=int(os.environ["DB_PORT"]), user=os.environ["DB_USER"],
    password=os.environ["DB_PASSWORD"], database=os.environ["DB_NAME"],
)
with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE IF NOT EXISTS seats (id INT PRIMARY KEY, taken INT)")
    cursor.execute("INSERT IGNORE INTO seats VALUES (1, 0)")
connection.commit()
def handler(event, context):
    with connection.cursor() as cursor:
        cursor.execute("SET @customer = %s", (event["customer"],))
        cursor.execute("SELECT GET_LOCK('seats', 1)")
        cursor.execute("CREATE TEMPORARY TABLE IF NOT EXISTS basket (id INT)")
        cursor.execute("SET time_zone = '+02:00'")
        cursor.execute("UPDATE seats SET taken = taken + 1 WHERE id = 1")
"""
SPEAKS_TO_NOBODY = "def handler(event, context):\n    return 1\n"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One emulator for all audits but those of the command: it is theirs one after the other."""
    need_database()
    with Emulator({"emulator": {"sandbox": "process"}}) as running:
        yield running


def audit_on(emulator: Emulator, code: Path, conditions: list[str], payload: Any = None, **options: Any) -> Verdict:
    plan = make_plan(str(code), payload or {}, Settings(), Path(), conditions=conditions, **options)
    emulator.add(Function(name=plan.function, code=code, timeout=10, memory=512, policy=dict(KEPT_WARM)))
    facts = examine(emulator, plan)
    return Verdict(facts, findings_of(facts))


@pytest.fixture(scope="module")
def audit(emulator: Emulator) -> Audit:
    def audit(code: str | Path, *conditions: str, **options: Any) -> Verdict:
        return audit_on(emulator, SAMPLES / code, list(conditions), **options)

    return audit


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The folder of a function with its driver."""
    shutil.copytree(SAMPLES / "connect_once" / "pymysql", tmp_path / "package" / "pymysql")
    return tmp_path / "package"


def ids(verdict: Verdict, severity: str = "finding") -> list[str]:
    return [finding.id for finding in verdict.findings if finding.severity == severity]


def courses(verdict: Verdict) -> dict[str, str]:
    return {course.condition: str(course.verdict) for course in verdict.facts.courses}


def test_an_order_service_as_tutorials_write_it(audit: Audit) -> None:
    """Five sessions where one would do, none of them ever replaced, and a read that is never committed."""
    verdict = audit("small_orders", profile="db.t3.micro", concurrency=3, pool=25)
    facts = verdict.facts
    assert (facts.at_rest[-1], facts.opened[0], facts.opened[-1], facts.left_by_recycle) == (5, 5, 0, 5)
    assert facts.storm == 15
    assert ids(verdict) == [
        "pool",
        "zombies",
        "peak",
        "open-transaction",
        "stale:frozen-past-wait-timeout",
        "failover:failover-read-only",
    ]
    assert courses(verdict) == {
        "warm": "fine",
        "cold-each-time": "fine",
        "frozen-past-wait-timeout": "poisoned for ever",
        "nat": "poisoned for ever",
        "recycled-silently": "fine",
        "killed-in-the-middle": "fine",
        "storm=3": "fine",
        "database-restarted": "poisoned for ever",
        "failover-read-only": "poisoned for ever",
    }
    codes = {c.condition: step.code for c in facts.courses if (step := c.first_failure) is not None}
    assert codes == dict.fromkeys(("frozen-past-wait-timeout", "nat", "database-restarted"), 2013) | {
        "failover-read-only": 1290
    }


def test_the_cure_has_no_weakness(audit: Audit) -> None:
    """Connected once, checked before use: it recovers from everything, and leaves the one session that it has."""
    verdict = audit("connect_once", "frozen-past-wait-timeout", "nat", "database-restarted", "storm=3")
    assert not verdict.has_findings
    assert ids(verdict, "note") == ["zombies"]
    assert courses(verdict) == {
        "frozen-past-wait-timeout": "recovered",
        "nat": "recovered",
        "database-restarted": "recovered",
        "storm=3": "fine",
    }
    assert (verdict.facts.most, verdict.facts.left_by_recycle, verdict.facts.storm) == (1, 1, 3)


def test_a_connection_for_each_invocation_that_is_never_closed(audit: Audit) -> None:
    """It grows for as long as anybody looks; dead sessions do not hurt it, for it never uses one twice."""
    verdict = audit("connect_per_invocation", "nat")
    assert verdict.facts.growth == 1
    assert "leak" in ids(verdict)
    assert "pool" not in ids(verdict)
    assert courses(verdict)["nat"] == "recovered"


def test_opened_and_closed_in_the_handler(audit: Audit) -> None:
    """Nothing is wrong with it but what each request pays."""
    verdict = audit("connect_and_close", "nat", "recycled-silently")
    assert not verdict.has_findings
    assert ids(verdict, "note") == ["connect-each-time"]
    assert (verdict.facts.at_rest[-1], verdict.facts.left_by_recycle, verdict.facts.most) == (0, 0, 1)


def test_what_an_invocation_leaves_in_its_session(audit: Audit, package: Path) -> None:
    """Each thing by its name; and the silent end of an environment leaves its lock to be waited for."""
    (package / "app.py").write_text(LEAVES_ALL_KINDS_OF_THINGS)
    verdict = audit(package, "warm", payload={"customer": "ada"})
    assert set(ids(verdict)) == {
        "user-variable:@customer",
        "named-lock:seats",
        "temporary-table:basket",
        "session-variable:time_zone",
        "row-locks",
    }


def test_whoever_opens_no_session_cannot_be_audited(audit: Audit, tmp_path: Path) -> None:
    """Green would be a lie: perhaps it goes around the emulator's database."""
    (tmp_path / "app.py").write_text(SPEAKS_TO_NOBODY)
    with pytest.raises(EmulatorError, match="nothing to audit"):
        audit(tmp_path, "warm")


def test_a_server_that_is_not_the_emulator_s(emulator: Emulator) -> None:
    """It is not restarted, not made read-only and not told to keep a log: that is said, and the rest is done."""
    with emulator.connect(as_function=True) as connection:
        address = f"{connection.host}:{connection.port}"
        assert isinstance(connection.user, bytes)
        assert isinstance(connection.password, bytes)
        account = f"{connection.user.decode()}:{connection.password.decode()}"
    settings = {"emulator": {"sandbox": "process"}, "database": {"server": f"mysql://{account}@{address}/lambda"}}
    with Emulator(settings) as theirs:
        wanted = ["frozen-past-wait-timeout", "database-restarted", "failover-read-only"]
        verdict = audit_on(theirs, SAMPLES / "connect_once", wanted)
    assert courses(verdict) == {
        "frozen-past-wait-timeout": "recovered",
        "database-restarted": "not run",
        "failover-read-only": "not run",
    }
    notes = set(ids(verdict, "note"))
    assert notes == {"zombies", "not-looked-at", "not-run:database-restarted", "not-run:failover-read-only"}


def test_the_command(tmp_path: Path) -> None:
    """A folder, an emulator of its own; what it finds as status, JSON and JUnit."""
    need_database()
    (tmp_path / "lambda-freezer.toml").write_text('[emulator]\nsandbox = "process"\n')
    folder = str(SAMPLES / "small_orders")
    options = ("--conditions", "nat", "--json", "--junit", "audit.xml", "--profile", "db.t3.micro")
    done = command("audit", folder, *options, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["facts"]["setting"]["limit"] == 66
    assert "stale:nat" in [finding["id"] for finding in found["findings"]]
    suite = ElementTree.parse(tmp_path / "audit.xml").getroot()[0]
    assert int(suite.get("failures", "0")) == len(found["findings"])
