"""The processes of one generation: in which order they start, who is waited for, and how they end."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from emulator.environment import Environment
from emulator.errors import FreezeError
from emulator.lifecycle import State
from emulator.model import EnvironmentId, Function, InitializationType, Logging, Reclaim
from emulator.runtime_api.reply import Reply
from emulator.runtime_api.sessions import Sessions
from emulator.sandbox.base import ExitStatus, FakeSandbox
from tests.support import in_loop, run, skip_time
from tests.unit.any_order import StandingLoop
from tests.unit.stage import PlayedRuntime, Stage, Watched


class WithWatcher(FakeSandbox):
    """A sandbox with one external extension."""

    extensions: Sequence[str] = ("watcher",)


class Parked:
    """An owner who notes when an environment is free."""

    has_waiting = False

    def __init__(self) -> None:
        self.parked = self.gone = 0

    def environment_parked(self, environment: Environment) -> None:
        self.parked += 1

    def environment_ending(self, environment: Environment) -> None: ...

    def environment_gone(self, environment: Environment) -> None:
        self.gone += 1


class PlayedExtension:
    """An extension that calls when the test says so."""

    def __init__(self, sessions: Sessions, name: str) -> None:
        self.session, self.telemetry, self.name = sessions.extensions, sessions.telemetry, name
        self.identifier: str | None = None
        self.heard: list[dict[str, Any]] = []

    def register(self, *events: str) -> Reply:
        reply = self.session.register(self.name, json.dumps({"events": events}).encode(), None)
        self.identifier = dict(reply.headers).get("Lambda-Extension-Identifier")
        return reply

    def park(self) -> Reply | None:
        return self.session.next(self.identifier, self._receive)

    def subscribe(self) -> Reply:
        """To everything, with the shortest wait; nobody listens there."""
        wish = {
            "schemaVersion": "2022-07-01",
            "types": ["platform"],
            "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:4243"},
            "buffering": {"timeoutMs": 25},
        }
        return self.telemetry.subscribe("telemetry", self.identifier, json.dumps(wish).encode())

    def _receive(self, reply: Reply) -> None:
        self.heard.append(json.loads(reply.body))


class Play:
    """One environment, its owner, and who plays in it."""

    def __init__(
        self,
        sandbox_class: type[FakeSandbox] = WithWatcher,
        initialization: InitializationType = InitializationType.ON_DEMAND,
        timeout: int = 3,
        *,
        json_log: bool = False,
        quiet: float = 0.0,
    ) -> None:
        self.stage = Stage(sandbox_class=sandbox_class, quiet=quiet)
        self.owner = Parked()
        logging = Logging(format="JSON", system_level="DEBUG") if json_log else Logging()
        function = Function(name="orders", code=Path(), timeout=timeout, logging=logging)
        self.environment = Environment(
            EnvironmentId("e1"), function, self.stage.surroundings, self.owner, initialization
        )

    @property
    def state(self) -> str:
        return self.environment.state.value

    @property
    def sandbox(self) -> FakeSandbox:
        return self.stage.provider.sandboxes[-1]

    @property
    def runtime(self) -> PlayedRuntime:
        return self.stage.runtime()

    def extension(self, name: str = "watcher") -> PlayedExtension:
        sessions = self.stage.runtime_api.find((self.sandbox.view.address, 1), ("127.0.0.1", 2))
        assert sessions is not None
        return PlayedExtension(sessions, name)

    async def begin(self) -> Watched:
        watched = self.stage.invocation()
        self.environment.start(watched.invocation)
        await self.stage.settle()
        return watched

    async def initialised(self, *events: str) -> tuple[Watched, PlayedRuntime, PlayedExtension]:
        """Started, registered, and both at their first next: the event is out."""
        watched = await self.begin()
        extension = self.extension()
        extension.register(*events)
        extension.subscribe()
        await self.stage.settle()
        runtime = self.runtime
        runtime.park()
        extension.park()
        await self.stage.settle()
        return watched, runtime, extension

    async def frozen(self, *events: str) -> tuple[PlayedRuntime, PlayedExtension]:
        """One event has been served and everybody is frozen."""
        _watched, runtime, extension = await self.initialised(*events)
        runtime.serve()
        extension.park()
        self.environment.freeze()
        await self.stage.settle()
        assert self.state == State.FROZEN
        return runtime, extension


# -- init ------------------------------------------------------------------------------------------------------


@in_loop
async def test_the_runtime_starts_when_every_extension_has_registered() -> None:
    """[C] And init is over when everybody waits for the first event, not before."""
    play = Play()
    watched = await play.begin()
    assert play.sandbox.runtime_starts == 0
    extension = play.extension()
    assert extension.register("INVOKE").status == 200
    await play.stage.settle()
    assert play.sandbox.runtime_starts == 1
    runtime = play.runtime
    runtime.park()
    await play.stage.settle()
    assert play.state == State.INIT, "the extension is not ready yet"
    extension.park()
    await play.stage.settle()
    assert play.state == State.INVOKING
    assert [event["eventType"] for event in extension.heard] == ["INVOKE"]
    assert extension.heard[0]["requestId"] == watched.invocation.request_id
    assert len(runtime.events) == 1


@in_loop
async def test_registration_closes_with_the_first_next_of_the_runtime() -> None:
    """[C] Who comes later is refused, also while another extension makes init last."""
    play = Play()
    await play.begin()
    play.extension().register()
    await play.stage.settle()
    play.runtime.park()
    await play.stage.settle()
    refused = play.extension("late").register("INVOKE")
    assert (refused.status, json.loads(refused.body)["errorType"]) == (403, "Extension.RegistrationClosed")


@in_loop
async def test_the_timeline_is_told_what_extensions_took() -> None:
    """From the runtime's next to the last extension's."""
    play = Play()
    await play.frozen("INVOKE")
    (finished,) = [event for event in play.stage.events() if event.kind == "invocation.finished"]
    assert finished.detail is not None
    assert 0 <= finished.detail["extensions_ms"] <= finished.detail["duration_ms"]


@in_loop
async def test_an_internal_extension_is_waited_for_as_well() -> None:
    """One without events parks once, and init goes on."""
    play = Play(FakeSandbox)
    await play.begin()
    internal = play.extension("GoLangEnableSIGTERM")
    internal.register()
    play.runtime.park()
    await play.stage.settle()
    assert play.state == State.INIT
    internal.park()
    await play.stage.settle()
    assert play.state == State.INVOKING


@in_loop
async def test_an_extension_that_never_registers_is_an_init_that_takes_too_long() -> None:
    """After 10 s everything begins again, inside the invocation."""
    play = Play()
    await play.begin()
    skip_time(10)
    await play.stage.settle()
    assert play.sandbox.resets == 1
    assert (play.sandbox.extension_starts, play.sandbox.runtime_starts) == (1, 0)
    assert any("Phase: init\tStatus: timeout" in line for line in play.stage.lines)


@pytest.mark.parametrize(("timeout", "limit"), [(3, 130.0), (200, 200.0)])
def test_an_environment_made_ahead_has_more_time_for_its_init(timeout: int, limit: float) -> None:
    """[D] The larger of 130 s and the function's timeout; it ends if that is not enough, and parks if it is."""

    @in_loop
    async def check() -> None:
        play = Play(FakeSandbox, InitializationType.PROVISIONED_CONCURRENCY, timeout)
        play.environment.start(None)
        await play.stage.settle()
        skip_time(limit - 1)
        await play.stage.settle()
        assert play.state == State.INIT
        skip_time(2)
        await play.stage.settle()
        assert play.owner.gone == 1

    check()


@in_loop
async def test_an_environment_made_ahead_parks_without_an_event() -> None:
    """And its log has the INIT_REPORT line that one on demand does not have [D]."""
    play = Play(FakeSandbox, InitializationType.PROVISIONED_CONCURRENCY)
    play.environment.start(None)
    await play.stage.settle()
    play.runtime.park()
    await play.stage.settle()
    assert (play.state, play.owner.parked) == (State.IDLE, 1)
    assert any(line.startswith("INIT_REPORT") for line in play.stage.lines)


@pytest.mark.parametrize(("registers", "told"), [(False, 0), (True, 1)])
def test_of_a_runtime_that_never_began_no_end_is_told(registers: bool, told: int) -> None:
    """[C] ``platform.initRuntimeDone`` is about a runtime that was started."""

    @in_loop
    async def check() -> None:
        play = Play(json_log=True)
        await play.begin()
        if registers:
            play.extension().register()
            await play.stage.settle()
        play.sandbox.on_extension_exit("watcher", ExitStatus(code=1))
        await play.stage.settle()
        assert sum("platform.initRuntimeDone" in line for line in play.stage.lines) == told

    check()


@in_loop
async def test_who_fails_in_the_last_moment_of_init_has_failed_first() -> None:
    """The limit is over in the same round of the loop; the report names the failure."""
    play = Play(FakeSandbox)
    await play.begin()
    skip_time(10)  # the timer will fire behind what is due already
    asyncio.get_running_loop().call_soon(play.runtime.die, 3)
    await play.stage.settle()
    assert play.stage.reason("environment.resetting") == "Runtime exited with error: exit status 3"


@in_loop
async def test_an_extension_that_ends_in_init_restarts_everything() -> None:
    """[D] The client of the first event hears of it only if it happens twice."""
    play = Play()
    watched = await play.begin()
    play.sandbox.on_extension_exit("watcher", ExitStatus(code=1))
    await play.stage.settle()
    assert (play.sandbox.resets, play.sandbox.extension_starts) == (1, 1)
    assert watched.heard == []
    play.sandbox.on_extension_exit("watcher", ExitStatus(code=1))
    await play.stage.settle()
    assert watched.outcome.answer is not None
    assert watched.outcome.answer.payload == (
        b'{"errorType":"Extension.Crash","errorMessage":"RequestId: request-1 Error: exit status 1"}'
    )


class WithEleven(FakeSandbox):
    """A sandbox with one external extension more than there may be."""

    extensions: Sequence[str] = tuple(f"e{number:02}" for number in range(1, 12))


def _extension_lines(play: Play) -> list[str]:
    return [line.removesuffix("\n") for line in play.stage.lines if line.startswith("EXTENSION")]


@pytest.mark.parametrize(
    ("code", "line", "error_type"),
    [
        (1, "State: Started\tEvents: []", "Extension.Crash"),
        (126, "State: LaunchError\tEvents: []\tError Type: PermissionDenied", "Extension.LaunchError"),
        (127, "State: LaunchError\tEvents: []\tError Type: UnknownError", "Extension.LaunchError"),
    ],
)
def test_the_log_names_an_extension_that_never_registered(code: int, line: str, error_type: str) -> None:
    """[C] Its line is how one learns which of them it was: the client's error does not name it."""

    @in_loop
    async def check() -> None:
        play = Play()
        await play.begin()
        play.sandbox.on_extension_exit("watcher", ExitStatus(code=code))
        await play.stage.settle()
        assert _extension_lines(play) == [f"EXTENSION\tName: watcher\t{line}"]
        assert any(
            line.endswith(f"Phase: init\tStatus: error\tError Type: {error_type}\n") for line in play.stage.lines
        )

    check()


@in_loop
async def test_a_status_of_a_shell_means_nothing_once_an_extension_has_registered() -> None:
    """It has been started, so whatever it ends with is a crash."""
    play = Play()
    await play.begin()
    play.extension().register("INVOKE")
    play.sandbox.on_extension_exit("watcher", ExitStatus(code=127))
    await play.stage.settle()
    assert _extension_lines(play) == ["EXTENSION\tName: watcher\tState: Registered\tEvents: [INVOKE]"]
    assert any("Error Type: Extension.Crash" in line for line in play.stage.lines)


@in_loop
async def test_the_log_has_an_extensions_own_word_for_its_error() -> None:
    """[C] Beside the platform's, which is in INIT_REPORT."""
    play = Play()
    await play.begin()
    extension = play.extension()
    extension.register()
    extension.session.init_error(extension.identifier, "Extension.NoConfig", b"{}")
    play.sandbox.on_extension_exit("watcher", ExitStatus(code=1))
    await play.stage.settle()
    assert _extension_lines(play) == [
        "EXTENSION\tName: watcher\tState: InitError\tEvents: []\tError Type: Extension.NoConfig"
    ]
    assert any("Error Type: Extension.InitError" in line for line in play.stage.lines)


@in_loop
async def test_an_eleventh_extension_fails_the_init() -> None:
    """[C] Ten there may be; the log names the one that is too much."""
    play = Play(WithEleven)
    watched = await play.begin()
    assert watched.outcome.answer is not None
    assert watched.outcome.answer.payload == (
        b'{"errorType":"Extension.LaunchError","errorMessage":"RequestId: request-1 Error: ErrTooManyExtensions"}'
    )
    assert play.sandbox.runtime_starts == 0
    line = "EXTENSION\tName: e11\tState: LaunchError\tEvents: []\tError Type: TooManyExtensions"
    assert _extension_lines(play).count(line) == 2, "once for each try"


# -- invoke ----------------------------------------------------------------------------------------------------


@in_loop
async def test_a_slow_extension_keeps_the_environment_busy_but_not_the_client() -> None:
    """[D] The answer is out; parked it is when the extension is."""
    play = Play()
    watched, runtime, extension = await play.initialised("INVOKE")
    runtime.serve(b'"done"')
    assert watched.heard == ["answer"]
    assert (play.state, play.owner.parked) == (State.INVOKING, 0)
    extension.park()
    assert watched.heard == ["answer", "report"]
    assert (play.state, play.owner.parked) == (State.IDLE, 1)


@in_loop
async def test_an_extension_that_did_not_ask_for_events_does_not_hold_anything_up() -> None:
    """It stays where it is."""
    play = Play()
    watched, runtime, extension = await play.initialised("SHUTDOWN")
    runtime.serve()
    assert watched.heard == ["answer", "report"]
    assert extension.heard == []
    assert play.owner.parked == 1


@in_loop
async def test_the_deadline_covers_extensions() -> None:
    """[D] The client has its answer; the report says timeout, and the environment is reset."""
    play = Play()
    watched, runtime, _extension = await play.initialised("INVOKE")
    runtime.serve(b'"done"')
    skip_time(3)
    await play.stage.settle()
    assert watched.outcome.answer is not None
    assert watched.outcome.answer.payload == b'"done"'
    assert watched.outcome.report is not None
    assert watched.outcome.report.status == "timeout"


@in_loop
async def test_an_extension_that_crashes_fails_the_invocation() -> None:
    """[C] ``Extension.Crash``, and a reset."""
    play = Play()
    watched, _runtime, _extension = await play.initialised("INVOKE")
    play.sandbox.on_extension_exit("watcher", ExitStatus(code=0))
    await play.stage.settle()
    assert watched.outcome.answer is not None
    assert watched.outcome.answer.payload == (
        b'{"errorType":"Extension.Crash","errorMessage":"RequestId: request-1 Error: exit code 0"}'
    )
    assert "Status: error\tError Type: Extension.Crash" in watched.logs


@in_loop
async def test_an_extension_that_gives_up_fails_the_invocation() -> None:
    """``/extension/exit/error`` while an event is served."""
    play = Play()
    watched, _runtime, extension = await play.initialised("INVOKE")
    reply = extension.session.exit_error(extension.identifier, "Extension.NoDisk", b"{}")
    assert reply.status == 202
    assert watched.outcome.answer is not None
    assert watched.outcome.answer.error_type == "Extension.ExitError"


# -- the end ---------------------------------------------------------------------------------------------------


@in_loop
async def test_without_extensions_nobody_is_told() -> None:
    """[D] A shutdown of 0 ms: no signal, no wait."""
    play = Play(FakeSandbox)
    await play.begin()
    runtime = play.runtime
    runtime.park()
    await play.stage.settle()
    runtime.serve()
    play.environment.end("idle", Reclaim.FIN)
    await play.stage.settle()
    assert play.state == State.GONE
    assert play.sandbox.calls == []


@in_loop
async def test_with_an_external_extension_everybody_is_told_in_order() -> None:
    """[C] Thaw, SIGTERM to the runtime, SIGKILL after its 300 ms, SHUTDOWN to the extension, and 2 s in all."""
    play = Play()
    _watched, runtime, extension = await play.initialised("INVOKE", "SHUTDOWN")
    runtime.serve()
    extension.park()
    play.environment.freeze()
    await play.stage.settle()
    assert play.state == State.FROZEN
    play.environment.end("idle", Reclaim.FIN)
    await play.stage.settle()
    assert play.sandbox.calls == ["runtime SIGTERM"]
    assert not play.sandbox.freezer.frozen
    assert extension.heard[-1]["eventType"] == "INVOKE", "it comes after the runtime"
    skip_time(0.31)
    await play.stage.settle()
    assert play.sandbox.calls == ["runtime SIGTERM", "runtime SIGKILL"]
    told = extension.heard[-1]
    assert (told["eventType"], told["shutdownReason"]) == ("SHUTDOWN", "spindown")
    assert play.state == State.SHUTTING_DOWN
    skip_time(1.7)
    await play.stage.settle()
    assert play.state == State.GONE


@in_loop
async def test_the_end_comes_when_everybody_has_ended() -> None:
    """The budget is a limit, not a wait."""
    play = Play()
    _watched, runtime, extension = await play.initialised("SHUTDOWN")
    runtime.serve()
    play.environment.end("idle", Reclaim.FIN)
    await play.stage.settle()
    runtime.die(0)
    await play.stage.settle()
    assert extension.heard[-1]["eventType"] == "SHUTDOWN"
    play.sandbox.on_extension_exit("watcher", ExitStatus(code=0))
    await play.stage.settle()
    assert play.state == State.GONE
    assert play.sandbox.calls == ["runtime SIGTERM"]


@in_loop
async def test_an_external_extension_without_interest_in_the_end_is_killed() -> None:
    """[C] At once, when the runtime is gone."""
    play = Play()
    _watched, runtime, _extension = await play.initialised("INVOKE")
    runtime.die(1)
    await play.stage.settle()
    assert play.sandbox.calls == ["kill watcher"]
    assert play.sandbox.resets == 1


@in_loop
async def test_an_internal_extension_gives_the_runtime_half_a_second() -> None:
    """[D] 500 ms, and nobody gets an event: an internal one cannot subscribe to the end."""
    play = Play(FakeSandbox)
    await play.begin()
    internal = play.extension("no-op")
    internal.register()
    runtime = play.runtime
    runtime.park()
    internal.park()
    await play.stage.settle()
    runtime.serve()
    play.environment.end("idle", Reclaim.FIN)
    await play.stage.settle()
    assert play.sandbox.calls == ["runtime SIGTERM"]
    skip_time(0.3)
    await play.stage.settle()
    assert play.state == State.SHUTTING_DOWN
    skip_time(0.25)
    await play.stage.settle()
    assert play.state == State.GONE
    assert internal.heard == []


@pytest.mark.parametrize(("way", "reason"), [("timeout", "timeout"), ("crash", "failure")])
def test_a_reset_tells_extensions_why(way: str, reason: str) -> None:
    """[D] Runtime first, then SHUTDOWN with the reason in lower case; the next event starts both anew."""

    @in_loop
    async def check() -> None:
        play = Play()
        watched, runtime, extension = await play.initialised("SHUTDOWN")
        if way == "timeout":
            skip_time(3)
            await play.stage.settle()
            assert play.sandbox.calls == ["runtime SIGTERM"]
            runtime.die(signal=15)
        else:
            runtime.die(1)
        await play.stage.settle()
        assert watched.heard == ["answer", "report"]
        assert extension.heard[-1]["shutdownReason"] == reason
        assert play.state == State.RESETTING
        play.sandbox.on_extension_exit("watcher", ExitStatus(code=0))
        await play.stage.settle()
        assert (play.state, play.owner.parked) == (State.IDLE, 1)
        again = play.stage.invocation()
        play.environment.invoke(again.invocation)
        await play.stage.settle()
        assert (play.sandbox.extension_starts, play.sandbox.runtime_starts) == (1, 1)
        newcomer = play.extension()
        newcomer.register("INVOKE")
        await play.stage.settle()
        assert play.sandbox.runtime_starts == 2
        play.runtime.park()
        newcomer.park()
        await play.stage.settle()
        assert newcomer.heard[-1]["requestId"] == again.invocation.request_id

    check()


@pytest.mark.parametrize("slow", ["freezer", "network"])
def test_an_end_that_overtakes_a_thaw_waits_for_it(slow: str) -> None:
    """Who is still frozen hears neither of a signal nor of an event."""

    @in_loop
    async def check() -> None:
        play = Play()
        runtime, extension = await play.frozen("SHUTDOWN")
        part = play.sandbox.freezer if slow == "freezer" else play.sandbox.cut
        part.slow = True
        play.environment.invoke(play.stage.invocation().invocation)
        assert play.state == State.THAWING
        play.environment.end("idle", Reclaim.FIN)
        await play.stage.settle()
        assert play.sandbox.calls == []
        part.confirm()
        await play.stage.settle()
        assert not play.sandbox.freezer.frozen
        assert play.sandbox.calls == ["runtime SIGTERM"]
        runtime.die(0)
        await play.stage.settle()
        assert extension.heard[-1]["eventType"] == "SHUTDOWN"
        play.sandbox.on_extension_exit("watcher", ExitStatus(code=0))
        await play.stage.settle()
        assert play.state == State.GONE

    check()


class WithTwo(FakeSandbox):
    """A sandbox with two external extensions."""

    extensions: Sequence[str] = ("watcher", "sleeper")


@in_loop
async def test_a_runtime_that_was_never_started_is_not_waited_for() -> None:
    """The end comes while extensions are being initialised: they are told at once."""
    play = Play(WithTwo)
    await play.begin()
    extension = play.extension()
    extension.register("SHUTDOWN")
    extension.park()
    await play.stage.settle()
    play.environment.end("idle", Reclaim.FIN)
    await play.stage.settle()
    assert [event["eventType"] for event in extension.heard] == ["SHUTDOWN"]
    assert play.sandbox.calls == []


class Deaf(WithWatcher):
    """A sandbox whose runtime may not be signalled."""

    def signal_runtime(self, number: signal.Signals) -> None:
        raise PermissionError("it has become another user's")


@in_loop
async def test_whatever_fails_at_the_end_its_other_steps_come() -> None:
    """The sandbox is stopped, nobody is served any more, no delivery goes on."""
    play = Play(Deaf)
    await play.frozen("SHUTDOWN")
    play.environment.end("idle", Reclaim.FIN)
    await play.stage.settle()
    assert (play.state, play.sandbox.stopped, play.stage.working) == (State.GONE, True, 0)
    trouble = "its processes could not be told of the end: it has become another user's"
    assert play.stage.reason("environment.trouble") == trouble
    assert play.stage.runtime_api.find((play.sandbox.view.address, 1), ("127.0.0.1", 2)) is None


# -- telemetry stands still with them --------------------------------------------------------------------------


class Dialled:
    """Counts the attempts to reach the extension's listener; each span is longer than any wait between them."""

    def __init__(self) -> None:
        self.times = 0

    def listen(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StandingLoop)
        loop.on_dial = self._dial

    async def is_active(self, play: Play) -> bool:
        before = self.times
        skip_time(2.5)
        await play.stage.settle()
        return self.times > before

    def _dial(self, _address: str) -> None:
        self.times += 1


def test_telemetry_is_sent_whenever_the_environment_runs_and_never_while_it_is_frozen() -> None:
    """Whether a freeze succeeds or fails, and whatever ends it."""

    async def check() -> None:
        play, dialled = Play(timeout=900), Dialled()
        dialled.listen()
        runtime, extension = await play.frozen("INVOKE")
        assert not await dialled.is_active(play)
        play.environment.invoke(play.stage.invocation().invocation)
        assert await dialled.is_active(play)
        runtime.serve()
        extension.park()
        play.sandbox.freezer.slow = True
        play.environment.freeze()
        assert not await dialled.is_active(play)
        play.sandbox.freezer.fail_with = FreezeError("the kernel said no")
        play.sandbox.freezer.confirm()
        assert play.state == State.IDLE
        assert await dialled.is_active(play)
        play.environment.end("idle", Reclaim.FIN)
        await play.stage.settle()
        skip_time(2.5)
        await play.stage.settle()
        assert (play.state, play.stage.working) == (State.GONE, 0)

    run(check(), StandingLoop)


def test_telemetry_goes_on_for_a_shutdown_when_the_thaw_has_taken_effect() -> None:
    """Not before: nobody reads what is sent to a frozen listener."""

    async def check() -> None:
        play, dialled = Play(), Dialled()
        dialled.listen()
        await play.frozen("SHUTDOWN")
        play.sandbox.freezer.slow = True
        play.environment.end("idle", Reclaim.FIN)
        assert not await dialled.is_active(play)
        play.sandbox.freezer.confirm()
        await play.stage.settle()
        before = dialled.times
        skip_time(0.2)
        await play.stage.settle()
        assert dialled.times > before
        assert play.state == State.SHUTTING_DOWN
        skip_time(2.5)
        await play.stage.settle()
        assert play.state == State.GONE

    run(check(), StandingLoop)


def test_nothing_is_sent_to_an_environment_that_vanishes() -> None:
    """After its shutdown it is frozen again, for the span of quiet."""

    async def check() -> None:
        play, dialled = Play(quiet=10.0), Dialled()
        dialled.listen()
        await play.frozen("INVOKE")
        play.environment.end("idle", Reclaim.SILENT)
        await play.stage.settle()
        skip_time(0.7)
        await play.stage.settle()
        assert play.sandbox.calls == ["runtime SIGTERM", "runtime SIGKILL", "kill watcher"]
        assert play.sandbox.freezer.frozen
        assert not await dialled.is_active(play)
        skip_time(10.0)
        await play.stage.settle()
        assert play.state == State.GONE

    run(check(), StandingLoop)
