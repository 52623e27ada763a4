"""What a saved file does, to functions that run and to those that do not."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Function
from tests.integration.running import start_up
from tests.support import eventually

ANSWERS = """import time


def handler(event, context):
    time.sleep((event or {{}}).get("seconds", 0))
    return {answer!r}
"""
PROCESSES = {"sandbox": "process"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator({"emulator": PROCESSES, "database": {"server": "none"}}) as running:
        yield running


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "app.py").write_text(ANSWERS.format(answer="old"))
    return folder


def save(emulator: Emulator, file: Path, text: str) -> str:
    """Save something until it is noticed; answers what was told of it."""
    since = emulator.last_event
    found: list[str] = []

    def told() -> list[str]:
        found[:] = [event.reason for event in emulator.timeline(since) if event.kind == "function.changed"]
        return found

    for attempt in range(10):  # nobody can see from outside that a watch is armed
        file.write_text(text)
        with contextlib.suppress(AssertionError):
            eventually(told, f"the change is told, at attempt {attempt}", deadline=1)
            return found[0]
    raise AssertionError("nobody has noticed it")


def test_what_runs_finishes_on_the_old_code_and_the_next_one_runs_the_new(emulator: Emulator, code: Path) -> None:
    """Half a second long, so that the file is saved in its middle."""
    function = emulator.add(Function(name="running", code=code))
    results: list[Any] = []
    since = emulator.last_event
    thread = threading.Thread(target=lambda: results.append(function.invoke({"seconds": 0.6})))
    thread.start()
    emulator.wait_for("environment.invoking", since=since)
    assert save(emulator, code / "app.py", ANSWERS.format(answer="the new one")) == "app.py changed"
    assert function.invoke().payload == "the new one"
    thread.join()
    assert results[0].payload == "old"
    assert results[0].environment_id not in [environment.id for environment in emulator.environments("running")]


def test_a_mistake_is_awss_error_and_the_next_save_cures_it(emulator: Emulator, code: Path) -> None:
    """Nothing of the emulator has to be started anew."""
    function = emulator.add(Function(name="mistaken", code=code))
    assert function.invoke().payload == "old"
    save(emulator, code / "app.py", "def handler(event, context:\n")
    assert function.invoke().payload["errorType"] == "Runtime.UserCodeSyntaxError"
    save(emulator, code / "app.py", ANSWERS.format(answer="cured"))
    assert function.invoke().payload == "cured"


def test_code_in_a_layer_counts(emulator: Emulator, code: Path, tmp_path: Path) -> None:
    """It is merged anew for the next environment; also where installers put packages."""
    library = f"python{sys.version_info.major}.{sys.version_info.minor}"
    package = tmp_path / "layer" / "python" / "lib" / library / "site-packages" / "shared.py"
    package.parent.mkdir(parents=True)
    package.write_text("ANSWER = 'old'\n")
    (code / "app.py").write_text("import shared\n\n\ndef handler(event, context):\n    return shared.ANSWER\n")
    function = emulator.add(Function(name="layered", code=code, layers=[tmp_path / "layer"]))
    first = function.invoke()
    assert first.payload == "old"
    save(emulator, package, "ANSWER = 'the new one'\n")
    emulator.wait_for("environment.shutting-down", environment=first.environment_id)
    assert function.invoke().payload == "the new one"


def test_it_can_be_switched_off(code: Path) -> None:
    """An environment keeps the code that it has loaded, as on AWS."""
    settings = {"emulator": {**PROCESSES, "hot_reload": False}, "database": {"server": "none"}}
    with Emulator(settings) as emulator:
        function = emulator.add(Function(name="steady", code=code))
        first = function.invoke()
        (code / "app.py").write_text(ANSWERS.format(answer="the new one"))
        second = function.invoke()
        assert (second.payload, second.environment_id) == ("old", first.environment_id)
        function.recycle()
        assert function.invoke().payload == "the new one"
        assert "function.changed" not in [event.kind for event in emulator.timeline()]


def test_up_tells_of_it_in_one_line(tmp_path: Path, code: Path) -> None:
    """Which function, which file, and what that means."""
    (tmp_path / "lambda-freezer.toml").write_text(
        '[emulator]\nsandbox = "process"\n[database]\nserver = "none"\n[functions.orders]\ncode = "code"\n'
    )
    with start_up(tmp_path) as up:
        told = "· orders: app.py changed; the next invocation runs the new code\n"
        for number in range(10):
            (code / "app.py").write_text(ANSWERS.format(answer=number))
            with contextlib.suppress(AssertionError):
                eventually(lambda: told in up.output.read_text(), "it is told", deadline=1)
                return
        raise AssertionError("nobody was told")
