"""The trace: what its format asks for, and what Perfetto needs to nest slices."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from typing import Any

import pytest

from emulator.chronicle.lives import chronicle_of
from emulator.chronicle.perfetto import trace_of
from tests.unit.chronicle.told import Told


@pytest.fixture(scope="module")
def entries() -> list[dict[str, Any]]:
    """The trace of two functions, with an error, a zombie and a session that is closed."""
    told = Told().life("e1" * 16, 0, "starting", "init", "idle", request_id="r1-long-enough")
    told.connection(2.5, "opened", "e1" * 16, 7).session(2.6, "opened", "e1" * 16, 7, 42)
    told.invocation("e1" * 16, 3.0000001, "r1-long-enough").life("e1" * 16, 6, "freezing", "frozen")
    told.at(8, "environment.starting", "e2" * 16, function="reports").connection(8, "opened", "e2" * 16, 8)
    told.connection(8.5, "closed", "e2" * 16, 8, "the client closed it")
    told.connection(9, "stale", "e1" * 16, 7).connection(10, "zombie", "e1" * 16, 7).life("e1" * 16, 11, "gone")
    trace = trace_of(chronicle_of(told.events))
    assert json.loads(json.dumps(trace)) == trace
    return list(trace["traceEvents"])


def of(entries: list[dict[str, Any]], phase: str) -> list[dict[str, Any]]:
    return [entry for entry in entries if entry["ph"] == phase]


def test_every_entry_has_what_its_phase_asks_for(entries: list[dict[str, Any]]) -> None:
    """[D] Trace Event Format: ``ph``, ``name`` and ``pid`` always, the rest by phase; numbers are finite."""
    needed = {"M": {"args"}, "X": {"ts", "dur", "tid", "cat"}, "C": {"ts", "args"}}
    needed |= {phase: {"ts", "cat", "id", "tid"} for phase in "bne"}
    for entry in entries:
        assert {"ph", "name", "pid"} <= entry.keys()
        assert needed[entry["ph"]] <= entry.keys(), entry
        assert entry.get("ts", 0) >= 0
        assert entry.get("dur", 0) >= 0


def test_functions_are_processes_and_environments_their_tracks(entries: list[dict[str, Any]]) -> None:
    """Each with its name, and every slice lies on a track that has one."""
    names = {(e["name"], e["pid"], e["tid"]): e["args"]["name"] for e in of(entries, "M")}
    assert set(names.values()) == {"database", "orders", "reports", "e1e1e1e1", "e2e2e2e2"}
    tracks = {(pid, tid) for name, pid, tid in names if name == "thread_name"}
    assert {(e["pid"], e["tid"]) for e in of(entries, "X")} == tracks


def test_slices_of_a_track_follow_each_other_or_lie_inside(entries: list[dict[str, Any]]) -> None:
    """Perfetto draws nothing that overlaps: states touch, and an invocation is inside the state in which it ran."""
    by_track = defaultdict(list)
    for entry in of(entries, "X"):
        by_track[entry["pid"], entry["tid"]].append(entry)
    for slices in by_track.values():
        states = sorted((e for e in slices if e["cat"] == "environment"), key=lambda e: e["ts"])
        for state, following in itertools.pairwise(states):
            assert round(state["ts"] + state["dur"], 3) == following["ts"]
        for invocation in (e for e in slices if e["cat"] == "invocation"):
            (around,) = [s for s in states if s["name"] == "invoking"]
            assert around["ts"] <= invocation["ts"]
            assert invocation["ts"] + invocation["dur"] <= around["ts"] + around["dur"]
            assert invocation["args"]["answered_after_ms"] == 1000.0


def test_sessions_are_asynchronous_slices_with_both_ends(entries: list[dict[str, Any]]) -> None:
    """Each begins and ends once, in this order, under an id of its own; what happens to it is in between."""
    by_id = defaultdict(list)
    for entry in [e for e in entries if e["ph"] in "bne"]:
        by_id[entry["id"]].append(entry)
    assert len(by_id) == 2
    for parts in by_id.values():
        assert [parts[0]["ph"], parts[-1]["ph"]] == ["b", "e"]
        assert [part["ts"] for part in parts] == sorted(part["ts"] for part in parts)
        assert len({(part["cat"], part["pid"]) for part in parts}) == 1
    assert [part["name"] for part in by_id["session-1"][1:-1]] == ["stale", "zombie"]
    assert by_id["session-2"][-1]["args"] == {"end": "the client closed it"}


def test_the_counter_tells_connections_and_zombies(entries: list[dict[str, Any]]) -> None:
    """Apart, so that they are stacked; at each moment at which they change."""
    counts = [entry["args"] for entry in of(entries, "C")]
    assert counts == [
        {"in use": 1, "zombies": 0},
        {"in use": 2, "zombies": 0},
        {"in use": 1, "zombies": 0},
        {"in use": 0, "zombies": 1},
    ]


def test_an_empty_timeline_is_a_trace() -> None:
    """With nothing in it but the name of the counter's process."""
    assert [entry["ph"] for entry in trace_of(chronicle_of([]))["traceEvents"]] == ["M"]
