"""Where and when figures were taken."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from emulator.version import VERSION

__all__ = ["Machine"]

_PACKAGES = ("awslambdaric", "fastapi", "httptools", "uvicorn", "uvloop")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine at a moment. ``load`` is the kernel's averages over 1, 5 and 15 minutes."""

    processor: str
    cores: int
    kernel: str
    python: str
    versions: dict[str, str]
    load: tuple[float, float, float]

    @classmethod
    def now(cls) -> Self:
        versions = {"lambda-freezer": VERSION} | {name: importlib.metadata.version(name) for name in _PACKAGES}
        return cls(
            _processor(), os.cpu_count() or 1, platform.release(), platform.python_version(), versions, os.getloadavg()
        )

    def in_words(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        load = ", ".join(f"{value:.2f}" for value in self.load)
        return (
            f"{self.processor}, {self.cores} cores, Linux {self.kernel}, Python {self.python}\n{versions}\n"
            f"load at the start (1, 5, 15 minutes): {load}"
        )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()
