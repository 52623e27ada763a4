"""What process sandboxes are worth here: the proof itself, on this machine and on poorer ones."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import psutil
import pytest
import uvloop

from emulator.model import NetworkReport
from emulator.proof import prove_process_network
from tests.support import require, run

EVENT_LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}

# Proves on another machine than ours: what is different there is settled by how this is started.
_PROGRAM = """
import asyncio, dataclasses, json, sys
from emulator.proof import prove_process_network
report = asyncio.run(prove_process_network(with_relay=sys.argv[1] == "with"))
print(json.dumps(dataclasses.asdict(report)))
"""


def proved(loop: str, *, with_relay: bool) -> NetworkReport:
    reports = []

    async def prove() -> None:
        reports.append(await prove_process_network(with_relay=with_relay))

    run(prove(), EVENT_LOOPS[loop])
    return reports[0]


def proved_elsewhere(*, with_relay: bool, place: tuple[str, ...] = (), path: str | None = None) -> dict[str, Any]:
    """The report from a process in surroundings of its own."""
    done = subprocess.run(
        [*place, sys.executable, "-c", _PROGRAM, "with" if with_relay else "without"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env=os.environ if path is None else {**os.environ, "PATH": path},
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("loop", EVENT_LOOPS)
def test_with_a_database_the_relay_makes_it_full(loop: str) -> None:
    """Silent in life and death, for what goes through the relay; the note says what becomes of the rest."""
    report = proved(loop, with_relay=True)
    assert [(rung.name, rung.available, rung.reason) for rung in report.rungs] == [
        ("relay", True, "works here"),
        ("held sockets", True, "works here"),
    ]
    assert (report.fidelity, report.mechanism) == ("full", "relay")
    assert report.note == ("for the declared database; other connections are answered while frozen and end silently")


@pytest.mark.parametrize("loop", EVENT_LOOPS)
def test_without_a_database_only_the_death_is_silent(loop: str) -> None:
    """Nothing is promised that no relay keeps."""
    report = proved(loop, with_relay=False)
    assert (report.fidelity, report.mechanism) == ("death-only", "held sockets")
    assert [rung.name for rung in report.rungs] == ["held sockets"]
    assert "answered by this machine's kernel" in report.note


def test_the_proof_leaves_nothing_behind() -> None:
    """No descriptor, no child."""
    proved("asyncio", with_relay=True)
    before = set(os.listdir("/proc/self/fd"))
    children = set(psutil.Process().children())
    proved("asyncio", with_relay=True)
    assert set(os.listdir("/proc/self/fd")) == before
    assert set(psutil.Process().children()) <= children


def test_a_rung_that_fails_is_told_with_its_reason_and_the_other_one_counts() -> None:
    """Here without the program that the throw-away process runs: relay or no relay, nobody promises too much."""
    report = proved_elsewhere(with_relay=True, path="/does/not/exist")
    assert (report["fidelity"], report["mechanism"]) == ("full", "relay")
    assert report["note"].endswith("answered while frozen and closed at the end")
    _relay, held = report["rungs"]
    assert not held["available"]
    assert "No such file" in held["reason"]
    report = proved_elsewhere(with_relay=False, path="/does/not/exist")
    assert (report["fidelity"], report["mechanism"]) == ("none", "none")


@pytest.mark.parametrize("with_relay", [True, False])
def test_where_nothing_works_nothing_is_promised(with_relay: bool) -> None:
    """A machine without so much as a loopback interface: no crash, and both reasons."""
    place = ("unshare", "--net")
    require(
        shutil.which("unshare") and not subprocess.run([*place, "true"], check=False, capture_output=True).returncode,
        "This user cannot make a network without interfaces.",
        "Run as root, with util-linux.",
    )
    report = proved_elsewhere(with_relay=with_relay, place=place)
    assert report["fidelity"] == "none"
    assert report["mechanism"] == "none"
    assert len(report["rungs"]) == 1 + with_relay
    for rung in report["rungs"]:
        assert not rung["available"]
        assert rung["reason"]


def test_the_report_can_be_shown_as_json() -> None:
    """As status and doctor do."""
    report = proved("asyncio", with_relay=True)
    assert json.loads(json.dumps(asdict(report)))["fidelity"] == "full"
