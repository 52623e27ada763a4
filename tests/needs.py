"""What integration tests need from the machine: asked for in one place, with the cure for what is missing."""

from __future__ import annotations

import functools

from emulator.database.program import find_program
from emulator.sandbox.engine import engine_answers
from tests.support import require

__all__ = ["need_database", "need_engine"]


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
