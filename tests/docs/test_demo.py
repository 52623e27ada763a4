"""The demo that the README begins with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import need_database, need_engine

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("sandbox", ["process", pytest.param("container", marks=pytest.mark.container)])
def test_demo(sandbox: str) -> None:
    """The story comes out as told, in each kind of sandbox, and ends with the lines to go on with."""
    need_database()
    if sandbox == "container":
        need_engine()
    done = subprocess.run(
        [sys.executable, "-m", "emulator.demo", "--sandbox", sandbox],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=55,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = " ".join(done.stdout.split())
    assert "is ❄ frozen; in the last 1.2 s it used 0.0 ms of CPU time" in told
    assert "the same connection as before" in told
    assert "3 environments are gone, and the server has not heard of it" in told
    assert "6 zombies hold their slots" in told
    assert "curl -d '{}' http://127.0.0.1:" in told
    assert "aws lambda invoke --endpoint-url http://127.0.0.1:" in told
