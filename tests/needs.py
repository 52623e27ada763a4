"""What integration tests need from the machine: asked for in one place, with the cure for what is missing."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from emulator.database.program import find_program
from emulator.sandbox.engine import engine_answers
from tests.support import require

__all__ = ["need_browser", "need_compose", "need_database", "need_engine", "need_sample"]

_BUILD_SAMPLES = Path(__file__).parent.parent / "sample_functions" / "build-samples"


@functools.cache
def _engine_complaint() -> str | None:
    return engine_answers()


def need_engine() -> None:
    """A container engine."""
    complaint = _engine_complaint()
    require(complaint is None, f"No container engine answers: {complaint}.", "Run ./dev setup, or start dockerd.")


def need_database() -> None:
    """The program of a MySQL or MariaDB server."""
    require(
        find_program() is not None,
        "There is no MySQL or MariaDB server program.",
        "Run ./dev setup, or install mariadb-server-core.",
    )


@functools.cache
def _compose() -> tuple[str, ...]:
    for command in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(command[0]):
            asked = subprocess.run([*command, "version"], capture_output=True, timeout=30, check=False)
            if asked.returncode == 0:
                return command
    return ()


def need_compose() -> tuple[str, ...]:
    """Compose; answers its command, the engine's plugin or else the program of its own."""
    command = _compose()
    require(command, "There is no Compose.", "Run ./dev setup, or install docker-compose.")
    return command


def need_browser() -> str:
    """Chromium and what drives it; answers where its program is."""
    driver = importlib.util.find_spec("playwright")
    require(driver is not None, "There is no Playwright.", "Run ./dev setup, or install playwright with pip.")
    program = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
    )
    require(program, "There is no Chromium.", "Run ./dev setup, or install chromium.")
    return program


@functools.cache
def _sample_state(name: str) -> str:
    asked = subprocess.run(
        [sys.executable, _BUILD_SAMPLES, "--check", name], capture_output=True, text=True, timeout=30, check=False
    )
    return "" if asked.returncode == 0 else asked.stdout.strip()


def need_sample(name: str) -> Path:
    """A sample function that has to be built, as it is now; answers its deployment package."""
    state = _sample_state(name)
    require(not state, f"The sample {state}.", f"Run ./dev build-samples {name}.")
    return _BUILD_SAMPLES.with_name(name) / "build"
