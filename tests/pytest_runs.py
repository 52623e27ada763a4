"""Runs of pytest with the plugin, in a process of their own and a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["run_pytest"]

_ROOT = Path(__file__).parent.parent


def run_pytest(
    folder: Path, files: Mapping[str, str], *arguments: str, plugins: Sequence[str] = ("emulator.pytest_plugin",)
) -> str:
    """Write the files, run pytest on them with warnings as errors, and answer what it has printed.

    Arguments:
        plugins: those that are loaded. What is installed besides is not, for that would take longer than the tests;
            where none is named, everything installed is.
    """
    for name, content in {"pytest.ini": "[pytest]\n", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    chosen = [word for plugin in plugins for word in ("-p", plugin)]
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if plugins else {}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *chosen,
            "-W",
            "error",
            "--strict-markers",
            "-p",
            "no:cacheprovider",
            *arguments,
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "COLUMNS": "200", **alone},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    return done.stdout + done.stderr
