"""Freezers: the real rungs against busy processes, the slow paths against files and coroutines."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.errors import EngineError, FreezeError
from emulator.sandbox.cgroup import place_for_new_groups
from emulator.sandbox.freezer import (
    CgroupV1Anchor,
    CgroupV1Freezer,
    CgroupV2Freezer,
    Done,
    EngineFreezer,
    FakeFreezer,
    Freezer,
    SignalFreezer,
    descendants,
)
from tests.support import eventually, in_loop, skip_time
from tests.unit.sandbox.busy import RUNGS, Busy, is_alive, own_group, rung


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Busy]:
    """Two threads and a child that count, ended afterwards."""
    process = Busy(tmp_path)
    yield process
    process.kill()


async def asked(request: Callable[[Done], None]) -> None:
    """Wait for a freezer's answer; an error is raised."""
    answer: asyncio.Future[FreezeError | None] = asyncio.get_running_loop().create_future()
    request(answer.set_result)
    async with asyncio.timeout(30):
        error = await answer
    if error is not None:
        raise error


# -- the real rungs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNGS)
def test_a_busy_process_with_thread_and_child_stands_still_and_goes_on(name: str, busy: Busy) -> None:
    """Frozen: no counter moves and no CPU time is booked; thawed: all three count on; again and again."""

    @in_loop
    async def freeze_and_thaw() -> None:
        with rung(name, busy) as freezer:
            for _ in range(3):
                await asked(freezer.freeze)
                eventually(freezer.is_frozen, "being frozen")
                assert busy.stands_still()
                await asked(freezer.thaw)
                assert not freezer.is_frozen()
                assert busy.moves()

    freeze_and_thaw()


def test_signals_reach_several_process_groups(tmp_path: Path) -> None:
    """A runtime and its extensions are groups of their own; what left any of them stands still as well."""
    first, second = Busy(tmp_path), Busy(tmp_path, child_leaves=True)
    freezer = SignalFreezer()
    try:
        for process in (first, second):
            freezer.add(process.pid)
            process.go()
        freezer.stop_all()
        eventually(freezer.is_frozen, "being frozen")
        assert first.stands_still()
        assert second.stands_still()
        freezer.continue_all()
        assert not freezer.is_frozen()
        assert first.moves()
        assert second.moves()
        freezer.close()
        freezer.stop_all()
        assert first.moves()
    finally:
        freezer.continue_all()
        first.kill()
        second.kill()


@pytest.mark.parametrize("name", RUNGS)
def test_a_child_that_left_the_process_group_stands_still_too(name: str, tmp_path: Path) -> None:
    """A session of its own does not get a child out of its environment."""
    leaving = Busy(tmp_path, child_leaves=True)
    try:
        with rung(name, leaving) as freezer:
            assert os.getsid(leaving.child) == leaving.child
            freezer.stop_all()
            eventually(freezer.is_frozen, "being frozen")
            assert leaving.stands_still()
            freezer.continue_all()
            assert leaving.moves()
    finally:
        leaving.kill()


@pytest.mark.parametrize("name", RUNGS)
def test_freezing_twice_and_thawing_twice_is_as_once(name: str, busy: Busy) -> None:
    """A request for what is the case already is no error."""
    with rung(name, busy) as freezer:
        freezer.stop_all()
        freezer.stop_all()
        eventually(freezer.is_frozen, "being frozen")
        freezer.continue_all()
        freezer.continue_all()
        assert busy.moves()


@pytest.mark.parametrize("name", RUNGS)
def test_what_was_stopped_early_is_frozen_without_more_ado_or_goes_on(name: str, busy: Busy) -> None:
    """Nothing runs from that moment on, whichever of the two follows; a freeze then finds it done."""

    @in_loop
    async def play_it() -> None:
        with rung(name, busy) as freezer:
            for follow in (freezer.freeze, freezer.thaw):
                assert freezer.stop_early()
                eventually(freezer.is_frozen, "being frozen")
                assert busy.stands_still()
                await asked(follow)
                assert freezer.is_frozen() == (follow == freezer.freeze)
            assert busy.moves()
            await asked(freezer.freeze)
            eventually(freezer.is_frozen, "being frozen")
            await asked(freezer.thaw)
            assert busy.moves()

    play_it()


@pytest.mark.parametrize("name", ["cgroup-v2", "signals"])
def test_what_is_frozen_can_be_killed_without_running_again(name: str, busy: Busy) -> None:
    """SIGKILL needs no thaw; nobody counts one step further."""
    with rung(name, busy) as freezer:
        freezer.stop_all()
        eventually(freezer.is_frozen, "being frozen")
        assert busy.stands_still()
        before = busy.counters
        os.killpg(busy.pid, signal.SIGKILL)
        assert busy.wait() == -signal.SIGKILL
        assert busy.counters == before


def test_a_v1_freezer_holds_even_a_kill_back_until_the_thaw(busy: Busy) -> None:
    """The reason for which this means must be thawed before any kill."""
    with rung("cgroup-v1", busy) as freezer:
        freezer.stop_all()
        eventually(freezer.is_frozen, "being frozen")
        os.killpg(busy.pid, signal.SIGKILL)
        assert busy.stands_still()
        assert is_alive(busy.pid)
        freezer.continue_all()
        assert busy.wait() == -signal.SIGKILL


@pytest.mark.parametrize("name", ["cgroup-v2", "cgroup-v1"])
def test_a_group_that_is_gone_is_a_freeze_error(name: str) -> None:
    """The kernel's words, under the freezer's name; both ways."""
    with own_group(v2=name == "cgroup-v2", v1=name == "cgroup-v1") as group:
        (folder,) = group.folders()
        freezer = CgroupV2Freezer(folder) if name == "cgroup-v2" else CgroupV1Freezer(folder)
        group.remove()
        for request in (freezer.freeze, freezer.thaw):
            with pytest.raises(FreezeError, match=f"^{name}: "):
                request(lambda _error: pytest.fail("it was not done"))
        freezer.close()


def test_a_process_that_has_ended_is_no_trouble_for_signals() -> None:
    """It counts as frozen: nothing of it can run."""
    process = subprocess.Popen(["true"], start_new_session=True)
    process.wait()
    freezer, answers = SignalFreezer(process.pid), list[FreezeError | None]()
    freezer.freeze(answers.append)
    assert freezer.is_frozen()
    freezer.thaw(answers.append)
    assert answers == [None, None]


def test_signals_of_a_closed_freezer_reach_nobody(busy: Busy) -> None:
    """The number of a process that has ended may be another's one day."""
    busy.go()
    freezer, answers = SignalFreezer(busy.pid), list[FreezeError | None]()
    freezer.close()
    freezer.freeze(answers.append)
    assert busy.moves()
    freezer.thaw(answers.append)
    assert answers == [None, None]
    assert freezer.is_frozen()


def test_descendants_are_found_through_all_generations(busy: Busy) -> None:
    """By the kernel's lists; a process that is not there has none."""
    busy.go()
    assert descendants(os.getpid()).count(busy.pid) == 1
    assert busy.child in descendants(os.getpid())
    assert descendants(busy.pid) == [busy.child]
    assert descendants(2**22 + 1) == []


def test_the_anchor_is_a_frozen_group_that_goes_when_it_is_closed() -> None:
    """Frozen for good while it is there; closing twice is as once."""
    with own_group(v1=True):
        parent = place_for_new_groups().freezer
        assert parent is not None
        anchor = CgroupV1Anchor(parent, f"lambda-freezer-test-anchor-{os.getpid()}")
        assert (anchor.folder / "freezer.state").read_text() == "FROZEN\n"
        anchor.close()
        assert not anchor.folder.exists()
        anchor.close()


# -- a kernel that takes its time ------------------------------------------------------------------------------


@pytest.fixture
def slow_group(tmp_path: Path) -> Path:
    """The files of a v2 group whose processes take their time to stop."""
    (tmp_path / "cgroup.freeze").write_text("0")
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    return tmp_path


def kernel_says(group: Path, frozen: int) -> None:
    (group / "cgroup.events").write_text(f"populated 1\nfrozen {frozen}\n")


@in_loop
async def test_a_freeze_is_answered_when_the_kernel_confirms_it_and_not_before(slow_group: Path) -> None:
    """The word is written at once, the answer comes with the confirmation."""
    freezer, answers = CgroupV2Freezer(slow_group), list[FreezeError | None]()
    freezer.freeze(answers.append)
    assert (slow_group / "cgroup.freeze").read_text() == "1"
    skip_time(0.5)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert answers == []
    kernel_says(slow_group, frozen=1)
    skip_time(0.5)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert answers == [None]
    freezer.close()


@in_loop
async def test_a_thaw_overtakes_a_freeze_that_is_not_confirmed(slow_group: Path) -> None:
    """The thaw is answered at once; the freeze is never answered, whatever the kernel says later."""
    freezer, answers = CgroupV2Freezer(slow_group), list[str]()
    freezer.freeze(lambda _error: answers.append("frozen"))
    freezer.thaw(lambda _error: answers.append("thawed"))
    assert (slow_group / "cgroup.freeze").read_text() == "0"
    kernel_says(slow_group, frozen=1)
    skip_time(60.0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert answers == ["thawed"]
    freezer.close()


@in_loop
async def test_a_freeze_that_is_never_confirmed_fails_and_is_taken_back(slow_group: Path) -> None:
    """After two seconds: an error, and nothing is left half frozen, for the environment counts as running."""
    freezer, answers = CgroupV2Freezer(slow_group), list[FreezeError | None]()
    freezer.freeze(answers.append)
    for _ in range(4):
        skip_time(1.0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    (error,) = answers
    assert isinstance(error, FreezeError)
    assert error.message == "cgroup-v2: the environment did not stop within 2.0 s"
    assert (slow_group / "cgroup.freeze").read_text() == "0"
    freezer.close()


@in_loop
async def test_a_group_that_vanishes_while_it_freezes_is_a_freeze_that_fails(slow_group: Path) -> None:
    """Its last process has ended; whoever waits for the freeze is told, at once or at the next look."""
    freezer, answers = CgroupV2Freezer(slow_group), list[FreezeError | None]()
    freezer.freeze(answers.append)
    os.dup2(folder := os.open(slow_group, os.O_RDONLY), freezer._events)  # which cannot be read
    os.close(folder)
    skip_time(0.5)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    freezer.freeze(answers.append)
    assert [str(error) for error in answers] == ["cgroup-v2: Is a directory"] * 2
    assert (slow_group / "cgroup.freeze").read_text() == "0"
    freezer.close()


@in_loop
async def test_a_closed_freezer_asks_no_more(slow_group: Path) -> None:
    """No answer after close(), no descriptor kept; closing twice is as once."""
    before = set(os.listdir("/proc/self/fd"))
    freezer, answers = CgroupV2Freezer(slow_group), list[FreezeError | None]()
    freezer.freeze(answers.append)
    freezer.close()
    freezer.close()
    kernel_says(slow_group, frozen=1)
    skip_time(60.0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert answers == []
    assert set(os.listdir("/proc/self/fd")) == before


@in_loop
async def test_the_v1_freezer_writes_and_reads_the_state_file(tmp_path: Path) -> None:
    """``FROZEN`` and ``THAWED``, as the v1 tree spells them."""
    state = tmp_path / "freezer.state"
    state.write_text("THAWED\n")
    freezer = CgroupV1Freezer(tmp_path)
    assert not freezer.is_frozen()
    await asked(freezer.freeze)
    assert state.read_text().startswith("FROZEN")
    await asked(freezer.thaw)
    assert state.read_text().startswith("THAWED")
    freezer.close()


# -- the engine ------------------------------------------------------------------------------------------------


class Engine:
    """An engine whose calls take until they are let through, and which notes what overlaps."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.running = 0
        self.overlapped = False
        self.fail_with: EngineError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.freezer: Freezer = EngineFreezer(lambda: self._call("pause"), lambda: self._call("unpause"), self._spawn)

    async def _call(self, what: str) -> None:
        self.calls.append(what)
        self.running += 1
        self.overlapped |= self.running > 1
        try:
            await self.gate.wait()
            if self.fail_with is not None:
                raise self.fail_with
        finally:
            self.running -= 1

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def settled(self) -> None:
        async with asyncio.timeout(30):
            while self.tasks:
                await asyncio.sleep(0)


@in_loop
async def test_the_engine_is_asked_once_for_each_change() -> None:
    """Freeze pauses, thaw unpauses, each answered when the engine has answered."""
    engine = Engine()
    await asked(engine.freezer.freeze)
    assert engine.calls == ["pause"]
    await asked(engine.freezer.thaw)
    assert engine.calls == ["pause", "unpause"]


@in_loop
async def test_what_is_the_case_already_is_not_asked_for() -> None:
    """An engine refuses to unpause what is not paused."""
    engine = Engine()
    await asked(engine.freezer.thaw)
    await asked(engine.freezer.freeze)
    await asked(engine.freezer.freeze)
    assert engine.calls == ["pause"]


@in_loop
async def test_a_thaw_that_comes_during_a_pause_follows_it() -> None:
    """Never two calls at once; the thaw is answered when the container runs again."""
    engine, answers = Engine(), list[str]()
    engine.gate.clear()
    engine.freezer.freeze(lambda _error: answers.append("frozen"))
    await asyncio.sleep(0)
    engine.freezer.thaw(lambda _error: answers.append("thawed"))
    assert engine.calls == ["pause"]
    engine.gate.set()
    await engine.settled()
    assert engine.calls == ["pause", "unpause"]
    assert answers == ["frozen", "thawed"]
    assert not engine.overlapped


@in_loop
async def test_only_the_newest_of_the_requests_that_wait_counts() -> None:
    """Freeze, thaw, freeze while the first one runs: the container stays paused, nothing is asked twice."""
    engine, answers = Engine(), list[str]()
    engine.gate.clear()
    for name, request in (("1", engine.freezer.freeze), ("2", engine.freezer.thaw), ("3", engine.freezer.freeze)):
        request(lambda _error, name=name: answers.append(name))  # type: ignore[misc]
        await asyncio.sleep(0)
    engine.gate.set()
    await engine.settled()
    assert engine.calls == ["pause"]
    assert answers == ["1", "3"]


@in_loop
async def test_a_thaw_overtakes_a_pause_that_has_not_begun() -> None:
    """The engine never hears of either."""
    engine, answers = Engine(), list[str]()
    engine.freezer.freeze(lambda _error: answers.append("frozen"))
    engine.freezer.thaw(lambda _error: answers.append("thawed"))
    await engine.settled()
    assert engine.calls == []
    assert answers == ["thawed"]


@in_loop
async def test_a_pause_that_fails_is_taken_back_and_told_with_its_cause() -> None:
    """It may have taken effect all the same; the environment counts as running, so it must run."""
    engine = Engine()
    engine.fail_with = EngineError("no answer within 30 s", cure="restart it")
    with pytest.raises(FreezeError) as caught:
        await asked(engine.freezer.freeze)
    assert (caught.value.message, caught.value.cure) == ("engine: no answer within 30 s", "restart it")
    assert caught.value.__cause__ is engine.fail_with
    assert engine.calls == ["pause", "unpause"]


@in_loop
async def test_after_a_failure_the_engine_is_asked_again() -> None:
    """A failed unpause leaves it paused, and the next thaw tries once more."""
    engine = Engine()
    await asked(engine.freezer.freeze)
    engine.fail_with = EngineError("busy")
    with pytest.raises(FreezeError, match="engine: busy"):
        await asked(engine.freezer.thaw)
    engine.fail_with = None
    await asked(engine.freezer.thaw)
    assert engine.calls == ["pause", "unpause", "unpause"]


@in_loop
async def test_a_closed_engine_freezer_forgets_what_waits() -> None:
    """The running call ends, the waiting one never begins."""
    engine, answers = Engine(), list[str]()
    engine.gate.clear()
    engine.freezer.freeze(lambda _error: answers.append("frozen"))
    await asyncio.sleep(0)
    engine.freezer.thaw(lambda _error: answers.append("thawed"))
    engine.freezer.close()
    engine.gate.set()
    await engine.settled()
    assert engine.calls == ["pause"]
    assert answers == ["frozen"]


# -- the fake --------------------------------------------------------------------------------------------------


def test_the_fake_remembers_and_answers_at_once() -> None:
    """Unless it is slow; then everything waits for confirm(), oldest first."""
    freezer, answers = FakeFreezer(), list[str]()
    freezer.freeze(lambda _error: answers.append("frozen"))
    assert freezer.frozen
    freezer.slow = True
    freezer.thaw(lambda _error: answers.append("thawed"))
    freezer.freeze(lambda _error: answers.append("frozen again"))
    assert answers == ["frozen"]
    freezer.confirm()
    assert answers == ["frozen", "thawed", "frozen again"]
    assert freezer.calls == ["freeze", "thaw", "freeze"]


def test_the_fake_can_fail() -> None:
    """With the error it was given, and without being frozen."""
    freezer, answers = FakeFreezer(), list[FreezeError | None]()
    freezer.fail_with = FreezeError("no")
    freezer.freeze(answers.append)
    assert answers == [freezer.fail_with]
    assert not freezer.frozen
