"""What a failure leaves of an environment, and how init is tried again: spec by spec, in both kinds of sandbox."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import psutil
import pytest

from emulator import Emulator
from emulator.sandbox.freezer import descendants
from tests.integration.conftest import Deploy
from tests.support import eventually

KINDS = ("INIT_START", "INIT_REPORT", "START", "END", "REPORT")


def lines_of(logs: str) -> list[str]:
    """The kinds of the platform's lines, and the function's own lines as they are."""
    return [line.split(" ", 1)[0] if line.startswith(KINDS) else line for line in logs.splitlines()]


def test_timeout_keeps_tmp_and_loses_memory(deploy: Deploy) -> None:
    """After a timeout: the same environment and log stream, /tmp as it was, memory gone, no second INIT_START."""
    function = deploy(timeout=3)
    function.invoke({"do": "write", "name": "kept", "content": "still here"})
    assert function.invoke({"do": "count"}).payload == 2
    failed = function.invoke({"do": "sleep", "seconds": 30})
    assert failed.report.status == "timeout"
    after = function.invoke({"do": "read", "name": "kept"})
    assert after.payload == "still here"
    assert not after.cold_start
    assert after.environment_id == failed.environment_id
    assert after.report.log_stream == failed.report.log_stream
    assert lines_of(after.logs) == ["START", "END", "REPORT"]
    assert "Init Duration" not in after.logs
    assert function.invoke({"do": "count"}).payload == 2


def test_init_after_a_reset_is_on_the_time_of_the_invocation(deploy: Deploy, tmp_path: Path) -> None:
    """Duration contains the init that a reset made necessary."""
    code = package(tmp_path, "import time\ntime.sleep(0.4)\ndef handler(event, context):\n    time.sleep(event)\n")
    function = deploy(code=code, timeout=3)
    first = function.invoke(0).report
    assert first.init_ms is not None
    assert first.init_ms >= 400
    assert function.invoke(60).report.status == "timeout"
    again = function.invoke(0).report
    assert again.duration_ms >= 400
    assert again.init_ms is None


@pytest.mark.parametrize("event", [{"do": "leave", "status": 3}, {"do": "kill_self"}])
def test_crash_keeps_tmp(deploy: Deploy, event: dict[str, object]) -> None:
    """After a crash: the same environment, /tmp as it was, memory gone."""
    function = deploy()
    function.invoke({"do": "write", "name": "kept", "content": "still here"})
    failed = function.invoke(event)
    assert failed.report.status == "error"
    after = function.invoke({"do": "read", "name": "kept"})
    assert after.payload == "still here"
    assert after.environment_id == failed.environment_id
    assert function.invoke({"do": "count"}).payload == 2


def test_reset_ends_children_and_threads(emulator: Emulator, deploy: Deploy) -> None:
    """Nothing of the old generation runs on: neither the runtime nor what it has started."""
    function = deploy("counting", timeout=1, handler="app.hang")
    function.invoke()
    (view,) = function.environments()
    assert view.state == "frozen"
    if view.sandbox.kind == "container":
        # But for the shell that keeps the container. The dead may wait to be reaped: that shell is frozen too.
        left = [pid for pid in descendants(view.sandbox.pid) if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
        assert left == []
    else:
        assert not Path(f"/proc/{view.sandbox.pid}").exists()
    assert [p.pid for p in psutil.process_iter() if marks(p, view.log_stream)] in ([], [view.sandbox.pid])


def marks(process: psutil.Process, log_stream: str) -> bool:
    """Whether a process was born in the environment with this log stream."""
    try:
        return process.environ().get("AWS_LAMBDA_LOG_STREAM_NAME") == log_stream
    except psutil.Error:
        return False


def test_failing_init_runs_the_module_twice(deploy: Deploy, tmp_path: Path) -> None:
    """For the first request of a cold start: once in the Init phase, once inside the invocation, START after both."""
    code = package(tmp_path, "print('module runs', flush=True)\nraise ValueError('no')\n")
    function = deploy(code=code)
    failed = function.invoke()
    assert failed.payload["errorType"] == "ValueError"
    assert failed.payload["requestId"] == ""
    kinds = [line for line in lines_of(failed.logs) if line in KINDS or line == "module runs"]
    assert kinds == ["INIT_START", "module runs", "INIT_REPORT", "module runs", "INIT_REPORT", "START", "END", "REPORT"]
    reports = re.findall(
        r"INIT_REPORT Init Duration: [\d.]+ ms\tPhase: (\w+)\tStatus: (\w+)\tError Type: (\S+)", failed.logs
    )
    assert reports == [("init", "error", "Runtime.Unknown"), ("invoke", "error", "Runtime.Unknown")]
    second = function.invoke()
    assert second.environment_id == failed.environment_id
    kinds = [line for line in lines_of(second.logs) if line in KINDS or line == "module runs"]
    assert kinds == ["module runs", "INIT_REPORT", "START", "END", "REPORT"]


def test_init_that_works_at_the_second_try(deploy: Deploy, tmp_path: Path) -> None:
    """What failed only once costs time, and nothing else: the first request is served."""
    code = package(
        tmp_path,
        """
        import os, tempfile
        mark = os.path.join(tempfile.gettempdir(), "tried")
        if not os.path.exists(mark):
            open(mark, "w").close()
            raise ValueError("not yet")
        def handler(event, context):
            return "served"
        """,
    )
    result = deploy(code=code).invoke()
    assert result.payload == "served"
    assert result.logs.count("Phase: init\tStatus: error") == 1
    assert "Phase: invoke" not in result.logs


def test_connections_close_at_a_reset(emulator: Emulator, deploy: Deploy) -> None:
    """The kernel lives through a reset: the server drops the old session at once, and the next init opens another."""
    function = deploy("connect_once", timeout=3)
    before = function.invoke({}).payload["connection_id"]
    assert function.invoke({"seconds": 30}).report.status == "timeout"
    eventually(lambda: before not in {s.id for s in emulator.connections()}, "the server drops the session")
    assert function.invoke({}).payload["connection_id"] != before


def package(folder: Path, source: str) -> Path:
    """A deployment package with this source as its module."""
    code = folder / "code"
    code.mkdir()
    code.chmod(0o755)
    (code / "app.py").write_text(textwrap.dedent(source))
    return code
