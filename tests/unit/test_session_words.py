"""Sessions in sentences."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from emulator.session_words import session_sentence, sessions_list

SESSION: dict[str, Any] = {
    "id": 8,
    "environment": "7f3a12345678",
    "environment_state": "frozen",
    "function": "orders",
    "request_id": "r1",
    "user": "lambda",
    "database": "lambda",
    "command": "Sleep",
    "seconds": 250.0,
    "statement": None,
    "client_address": "127.0.0.1:4000",
    "zombie": False,
    "locked_rows": None,
    "drops_in": 28_550.0,
}
NO_END: dict[str, Any] = {"drops_in": None}
SUMMARY = {"connected": 1, "active": 0, "sleeping": 1, "zombies": 0, "max_connections": 66, "wait_timeout": 28_800}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "asleep 4 min 10 s in environment 7f3a, ❄ frozen; MySQL drops it in 7 h 55 min"),
        (
            {"environment_state": "gone", "zombie": True, "seconds": 9.0, "drops_in": 7200.0},
            "asleep 9 s in environment 7f3a, which is gone: ✝ a zombie; MySQL does not know, and drops it in 2 h",
        ),
        (
            {"environment_state": "invoking", "command": "Query", "seconds": 2, "statement": "SELECT\n  1"} | NO_END,
            "at work for 2 s in environment 7f3a, ● invoking: SELECT 1",
        ),
        (
            {"environment": None, "environment_state": None, "function": None, "drops_in": 0.0},
            "asleep 4 min 10 s, of no environment: lambda, from 127.0.0.1:4000; MySQL drops it any moment",
        ),
        (
            {"locked_rows": 1} | NO_END,
            "asleep 4 min 10 s in environment 7f3a, ❄ frozen; a transaction of it locks 1 row",
        ),
        (
            {"locked_rows": 3, "zombie": True} | NO_END,
            "asleep 4 min 10 s in environment 7f3a, which is gone: ✝ a zombie; a transaction of it locks 3 rows",
        ),
        (
            {"locked_rows": 0} | NO_END,
            "asleep 4 min 10 s in environment 7f3a, ❄ frozen; a transaction of it is open",
        ),
    ],
)
def test_a_session_is_told_in_a_sentence(changes: dict[str, Any], told: str) -> None:
    """What it does, where, what it locks, when it ends, and what it costs."""
    assert session_sentence(SESSION | changes, 66).plain == f"{told}; its slot counts against 66"


def test_a_long_statement_is_cut_and_its_controls_do_not_act() -> None:
    """It is what a function has sent."""
    shown = session_sentence(SESSION | {"command": "Query", "statement": "SELECT '\x1b[2J'" + ", 1" * 99}, 66).plain
    assert "SELECT '␛[2J', 1" in shown
    assert len(shown) < 180
    assert "…" in shown


def test_a_list_has_a_sentence_for_each_and_the_counts_below() -> None:
    """Also where there is none."""
    paper = io.StringIO()
    console = Console(file=paper, width=200)
    console.print(sessions_list([SESSION, SESSION | {"id": 9, "function": None}], SUMMARY))
    console.print(sessions_list([], SUMMARY, "No zombies."))
    lines = [line.rstrip() for line in paper.getvalue().splitlines()]
    assert lines[0].split() == ["SESSION", "FUNCTION", "WHAT", "IT", "DOES,", "AND", "WHAT", "BECOMES", "OF", "IT"]
    assert lines[1].startswith("      8  orders")
    assert lines[2].startswith("      9  not a function  asleep")
    assert lines[4] == "1 of 66 connections · 0 active · 1 asleep · 0 zombies · wait_timeout 8 h"
    assert lines[5] == "No zombies."
