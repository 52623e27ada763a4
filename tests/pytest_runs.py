"""Runs of pytest with the plugin, in a process of their own and a folder of their own."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["run_pytest"]

_ROOT = Path(__file__).parent.parent


def run_pytest(folder: Path, files: Mapping[str, str], *arguments: str, plugin: bool = True) -> str:
    """Write the files, run pytest on them with warnings as errors, and answer what it has printed.

    Arguments:
        plugin: have it, whether or not the installed package brings it along.
    """
    for name, content in {"pytest.ini": "[pytest]\n", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    installed = importlib.metadata.entry_points(group="pytest11", name="lambda-freezer")
    chosen = ["-p", "emulator.pytest_plugin"] if plugin and not installed else []
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
        env={**os.environ, "PYTHONPATH": str(_ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    return done.stdout + done.stderr
