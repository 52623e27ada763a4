"""What integration tests need from the machine: asked for in one place, with the cure for what is missing."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from emulator.database.program import find_program
from emulator.doctor import runtime_as_process
from emulator.runtimes import RuntimeKind
from emulator.sandbox.engine import engine_answers
from tests.support import require

__all__ = [
    "find_browser",
    "need_browser",
    "need_compose",
    "need_database",
    "need_debugpy",
    "need_engine",
    "need_javascript_sdk",
    "need_program",
    "need_runtime",
    "need_sample",
]

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


def need_debugpy() -> None:
    """What listens for a debugger inside a Python runtime."""
    require(importlib.util.find_spec("debugpy"), "There is no debugpy.", "Run ./dev setup, or install it with pip.")


def need_program(program: str, package: str) -> None:
    """A program of the machine's, which a Debian package has."""
    require(shutil.which(program), f"There is no {program}.", f"Run ./dev setup, or install {package}.")


@functools.cache
def need_runtime(kind: RuntimeKind, sandbox: str) -> None:
    """What runs functions of a language: interpreter and AWS's client for processes, an image for containers."""
    if sandbox == "process":
        check = runtime_as_process(kind)
        require(check.fine, f"{check.found}.", f"{check.cure}.")
        return
    need_engine()
    listed = ["docker", "image", "ls", "--quiet", f"lambda-freezer/{kind}"]
    found = subprocess.run(listed, capture_output=True, timeout=30, check=False)
    require(found.stdout.strip(), f"There is no image for {kind}.", f"Run docker/build-images --only {kind}.")


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


def find_browser() -> str | None:
    """Where Chromium's program is."""
    return next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )


def need_browser() -> str:
    """Chromium and what drives it; answers where its program is."""
    driver = importlib.util.find_spec("playwright")
    require(driver is not None, "There is no Playwright.", "Run ./dev setup, or install playwright with pip.")
    program = find_browser()
    require(program, "There is no Chromium.", "Run ./dev setup, or install chromium.")
    return program or ""


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


@functools.cache
def _node_version() -> int:
    node = shutil.which("node")
    if node is None:
        return 0
    asked = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=False)
    major = asked.stdout.removeprefix("v").partition(".")[0]
    return int(major) if major.isdigit() else 0


def need_javascript_sdk() -> Path:
    """AWS's client library for JavaScript, and what runs it; answers the folder that has it."""
    folder = Path(__file__).parent.parent / ".cache" / "javascript-sdk"
    require(_node_version() >= 20, "There is no Node.js 20 or later.", "Install it with npm, and run ./dev setup.")
    is_there = (folder / "node_modules" / "@aws-sdk" / "client-lambda" / "package.json").exists()
    require(is_there, "The AWS SDK for JavaScript is not installed.", "Run ./dev setup.")
    return folder
