"""What is seen of real functions, in each kind of sandbox: lines of code, sessions, and why one was not used again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import Emulator, Function
from emulator.embedded import DeployedFunction
from emulator.evidence import Cause
from emulator.testing import watch
from tests.integration.conftest import SAMPLES
from tests.needs import need_database, need_engine

# Says what it finds of us in its own process, and connects elsewhere than to the database.
CURIOUS = """
import os, socket, sys
import shop.database
def handler(event, context):
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    shop.database.connection.ping()
    return {
        "variables": sorted(name for name in os.environ if "FREEZER" in name or "PYTHON" in name),
        "path": [entry for entry in sys.path if "sitecustomize" in entry or "freezer" in entry],
        "modules": [name for name in list(sys.modules) if "origin" in str(getattr(sys.modules[name], "__file__", ""))],
        "pythonpath": os.environ.get("PYTHONPATH"),
    }
"""
DATABASE = """
import os
import pymysql
connection = pymysql.connect(
    host=os.environ["DB_HOST"], port=int(os.environ["DB_PORT"]), user=os.environ["DB_USER"],
    password=os.environ["DB_PASSWORD"], database=os.environ["DB_NAME"])
"""


@pytest.fixture(scope="module", params=["process", pytest.param("container", marks=pytest.mark.container)])
def watched(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulator whose functions tell the lines of their code."""
    if request.param == "container":
        need_engine()
    need_database()
    with Emulator(
        {"emulator": {"sandbox": request.param, "origins": True}, "policy": {"name": "keep-warm"}}
    ) as running:
        yield running


def sample(emulator: Emulator, name: str) -> DeployedFunction:
    return emulator.add(Function(name=name, code=SAMPLES / name, memory=512, timeout=10))


def test_the_function_does_not_notice(watched: Emulator, tmp_path: Path) -> None:
    """The line is known, of the database only and of the function's own code; of us nothing is left to be seen."""
    kind = watched.status().sandbox
    (tmp_path / "shop").mkdir()
    (tmp_path / "app.py").write_text(CURIOUS)
    (tmp_path / "shop" / "database.py").write_text(DATABASE)
    shutil.copytree(SAMPLES / "connect_once" / "pymysql", tmp_path / "pymysql")
    tmp_path.chmod(0o755)
    curious = watched.add(Function(name="curious", code=tmp_path, memory=512, timeout=10))
    with watch(curious) as seen:
        found = curious.invoke({}).payload
    (session,) = seen.evidence.opened()
    assert session.origin == "shop/database.py:4 in <module>"
    assert session.in_init
    assert session.id is not None
    assert (found["path"], found["modules"]) == ([], [])
    assert found["variables"] == ["PYTHONPATH"]
    assert found["pythonpath"] == ("/var/runtime" if kind == "container" else str(tmp_path))
    assert len([event for event in watched.timeline() if event.kind == "connection.origin"]) == 1


def test_a_session_that_is_kept(watched: Emulator) -> None:
    """Opened in init, used ever after, by every invocation; the numbers are the server's own."""
    once = sample(watched, "connect_once")
    with watch(once) as seen:
        results = [once.invoke({}) for _ in range(3)]
    seen.assert_reused()
    seen.assert_opened(at_most=1)
    (session,) = seen.evidence.sessions
    assert session.id == results[0].payload["connection_id"]
    assert (session.opened_by, session.used_by) == (results[0].request_id, tuple(r.request_id for r in results[1:]))
    once.recycle("fin")


def test_frozen_for_longer_than_the_server_waits(watched: Emulator) -> None:
    """The assertion names both lines, and says what has become of the first session."""
    once = sample(watched, "connect_once")
    with watch(once) as seen:
        once.invoke({})
        assert [view.state for view in once.freeze()] == ["frozen"]
        watched.fast_forward(hours=9)
        once.invoke({})
    with pytest.raises(AssertionError) as failed:
        seen.assert_reused()
    assert re.search(
        r"opened at app.py:12 in <module>, while .* for invocation 1 .*\n"
        r".*opened at app.py:23 in handler by invocation 2 .*\n"
        r".*frozen for 9 h, and nobody could hear of it: .*\n",
        str(failed.value),
    )
    once.recycle("fin")


def test_closed_in_the_handler(watched: Emulator) -> None:
    """Whoever is heard first, the client or the server that answers its goodbye: the function has closed it."""
    closing = sample(watched, "connect_and_close")
    with watch(closing) as seen:
        for _ in range(4):
            closing.invoke({})
    opened = seen.evidence.opened()
    assert [seen.evidence.why(session).cause for session in opened] == [Cause.FIRST, *[Cause.CLOSED_BY_FUNCTION] * 3]
    seen.assert_peak(at_most=60, concurrency=60)
    closing.recycle("fin")


def test_zombies_and_none(watched: Emulator) -> None:
    """A silent end leaves what was open behind; a graceful one does not."""
    leaking = sample(watched, "connect_per_invocation")
    with watch(leaking) as seen:
        leaking.invoke({})
        leaking.invoke({})
    seen.assert_no_zombies(after="recycle", reclaim="graceful")
    with watch(leaking) as seen:
        leaking.invoke({})
    with pytest.raises(AssertionError, match=r"opened at app.py:15 in handler .*\n.*recycled by hand"):
        seen.assert_no_zombies(after="recycle", reclaim="silent")
    watched.kill_zombies()
