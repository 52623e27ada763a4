"""What the bench needs from others: a C compiler for floor and load, and a virtual environment for the peers."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.bench.errors import BenchError

__all__ = ["CACHE", "compiled", "rie_program", "sam_program"]

_ROOT = Path(__file__).parent.parent.parent
CACHE = _ROOT / ".cache" / "bench"
_HERE = Path(__file__).parent
_MACHINES = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


@cache
def compiled(name: str) -> Path:
    """A program of ours in C, compiled unless it is already; one that needs nothing, to run in containers too.

    Raises:
        BenchError: there is no compiler.
    """
    source = _HERE / f"{name}.c"
    program = CACHE / "bin" / f"{name}-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    if program.exists():
        return program
    compiler = next((found for found in map(shutil.which, ("cc", "gcc", "clang")) if found), None)
    if compiler is None:
        raise BenchError("there is no C compiler: install gcc")
    program.parent.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        [compiler, "-O2", "-static", "-o", program, source], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        raise BenchError(f"{source.name} could not be compiled: {made.stderr.strip()}")
    return program


@cache
def rie_program() -> Path:
    """AWS's Runtime Interface Emulator, which comes inside the package of AWS SAM.

    Raises:
        BenchError: it is not there.
    """
    kind = _MACHINES.get(platform.machine())
    if kind is None:
        raise BenchError(f"AWS has no Runtime Interface Emulator for {platform.machine()}")
    found = next((_peers() / "lib").glob(f"python*/site-packages/samcli/local/rapid/aws-lambda-rie-{kind}"), None)
    if found is None:
        raise BenchError("the package of AWS SAM holds no Runtime Interface Emulator any more")
    if not os.access(found, os.X_OK):
        found.chmod(0o755)
    return found


def sam_program() -> Path:
    """AWS SAM's command line.

    Raises:
        BenchError: it is not there.
    """
    return _peers() / "bin" / "sam"


def _peers() -> Path:
    """The virtual environment of the peers; ``./dev bench`` makes it."""
    folder = CACHE / "peers"
    if not (folder / "bin" / "sam").exists():
        raise BenchError(
            "AWS SAM is not installed for the bench: run it as ./dev bench, with access to a package index"
        )
    return folder
