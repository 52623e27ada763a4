"""One environment from its cold start to its end, with fakes all around it."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import sys
import time
from collections.abc import Callable

import pytest

from emulator.environment import Environment
from emulator.errors import DatabaseError, FreezeError, LaunchError, SandboxError
from emulator.model import Answer, EnvironmentId, Reclaim
from emulator.sandbox.base import ExitStatus, FakeSandbox, SandboxEvents, SandboxSpec
from emulator.sandbox.freezer import Done, FakeFreezer
from tests.support import in_loop, skip_time
from tests.unit.stage import ARN, Broken, PlayedRuntime, SlowReset, Stage, Watched

ID = "60cefc4c4d174d898e4dbb301f9f10ef"


def timed_out(request_id: str) -> Answer:
    """What the client of an invocation of more than three seconds gets."""
    return Answer(
        b'{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: '
        + request_id.encode()
        + b' Error: Task timed out after 3.00 seconds"}',
        "Unhandled",
        "Sandbox.Timedout",
    )


def without_figures(logs: str) -> str:
    """Log lines with an N for every span of time."""
    return re.sub(r"\d+(\.\d+)? ms", "N ms", logs)


class Recorder:
    """An owner that only remembers what it was told."""

    has_waiting = False

    def __init__(self) -> None:
        self.told: list[str] = []

    def environment_parked(self, environment: Environment) -> None:
        self.told.append("parked")

    def environment_ending(self, environment: Environment) -> None:
        self.told.append("ending")

    def environment_gone(self, environment: Environment) -> None:
        self.told.append("gone")


class Play:
    """A stage with one environment on it."""

    def __init__(self, stage: Stage | None = None) -> None:
        self.stage = stage or Stage()
        self.owner = Recorder()
        self.environment = Environment(EnvironmentId(ID), self.stage.function, self.stage.surroundings, self.owner)
        self.sandbox = self.stage.provider.sandboxes[-1]

    @property
    def state(self) -> str:
        return self.environment.state

    async def start(self) -> tuple[PlayedRuntime, Watched]:
        """The environment begins with an event; its runtime is in init."""
        watched = self.stage.invocation()
        self.environment.start(watched.invocation)
        await self.stage.settle()
        assert self.state == "init"
        return self.stage.runtime(), watched

    async def invoking(self) -> tuple[PlayedRuntime, Watched]:
        """Init is over and the first event is being served."""
        runtime, watched = await self.start()
        runtime.park()
        await self.stage.settle()
        assert self.state == "invoking"
        return runtime, watched

    async def idle(self) -> PlayedRuntime:
        """One event has been served."""
        runtime, _ = await self.invoking()
        runtime.serve()
        assert self.state == "idle"
        return runtime

    async def reset(self) -> None:
        """The first event has crashed the runtime and the environment is parked without one."""
        runtime, _ = await self.invoking()
        runtime.die(1)
        await self.stage.settle()
        assert self.state == "idle"

    async def in_init_again(self) -> tuple[PlayedRuntime, Watched]:
        """After a reset, the second event has come and the new runtime is in init."""
        await self.reset()
        watched = self.invoke()
        await self.stage.settle()
        assert self.state == "init"
        return self.stage.runtime(), watched

    async def frozen(self) -> PlayedRuntime:
        """One event has been served and the environment is frozen."""
        runtime = await self.idle()
        self.environment.freeze()
        assert self.state == "frozen"
        return runtime

    def invoke(self) -> Watched:
        watched = self.stage.invocation()
        self.environment.invoke(watched.invocation)
        return watched


# -- the way of one event --------------------------------------------------------------------------------------


@in_loop
async def test_a_cold_start_goes_through_every_state_in_order() -> None:
    """From the sandbox over init to the served event, one timeline event a step, each with the request."""
    play = Play()
    runtime, watched = await play.start()
    assert play.stage.kinds() == ["environment.starting", "environment.init"]
    runtime.park()
    await play.stage.settle()
    runtime.serve(b"1")
    assert play.stage.kinds(ID) == [
        "environment.starting",
        "environment.init",
        "environment.idle",
        "environment.invoking",
        "invocation.answered",
        "invocation.finished",
        "environment.idle",
    ]
    assert {event.request_id for event in play.stage.events()[:-1]} == {watched.invocation.request_id}
    assert {event.function for event in play.stage.events()} == {"orders"}
    assert play.stage.reason("environment.starting") == "cold start for request request-1: no idle environment"


@in_loop
async def test_the_runtime_gets_the_event_as_it_was_sent() -> None:
    """Payload, id, name, trace and context, with a deadline that is the function's timeout away."""
    play = Play()
    watched = play.stage.invocation(b'{"id":1}')
    watched.invocation.client_context = '{"custom":1}'
    play.environment.start(watched.invocation)
    await play.stage.settle()
    runtime = play.stage.runtime()
    before = time.time()
    runtime.park()
    await play.stage.settle()
    (event,) = runtime.events
    assert (event.request_id, event.payload, event.function_arn) == ("request-1", b'{"id":1}', ARN)
    assert (event.trace_id, event.client_context) == ("Root=1", '{"custom":1}')
    assert before + 2.9 <= event.deadline_ms / 1000 <= time.time() + 3.0


@in_loop
async def test_the_client_is_answered_at_the_response_and_the_report_follows_at_next() -> None:
    """The environment is busy until the runtime is parked again; only then does its owner get it back."""
    play = Play()
    runtime, watched = await play.invoking()
    runtime.respond(b'{"ok":true}')
    assert watched.heard == ["answer"]
    assert watched.outcome.answer == Answer(b'{"ok":true}')
    assert play.state == "invoking"
    assert play.owner.told == []
    runtime.park()
    assert watched.heard == ["answer", "report"]
    assert play.state == "idle"
    assert play.owner.told == ["parked"]


@in_loop
async def test_the_report_says_what_the_invocation_took() -> None:
    """Cold with init at first, warm without it afterwards; sizes in MiB, billed in whole milliseconds."""
    play = Play()
    runtime, first = await play.invoking()
    runtime.serve()
    second = play.invoke()
    runtime.serve()
    cold, warm = first.outcome.report, second.outcome.report
    assert cold is not None
    assert warm is not None
    assert (cold.cold_start, warm.cold_start) == (True, False)
    assert cold.init_ms is not None
    assert warm.init_ms is None
    assert (cold.memory_mb, cold.max_memory_mb) == (128, 36)
    assert (cold.environment_id, cold.log_stream) == (ID, f"2023/11/14/[$LATEST]{ID}")
    assert cold.billed_ms >= cold.duration_ms + cold.init_ms - 1e-6
    assert (cold.status, cold.error_type) == (None, None)


@in_loop
async def test_each_invocation_has_its_own_lines_in_the_order_of_lambda() -> None:
    """INIT_START once, then START, output, END, REPORT; output that the sandbox still holds is fetched first."""
    play = Play()
    runtime, first = await play.invoking()
    play.sandbox.on_output(b"in the handler\n")
    play.sandbox.pending_output = b"just before the answer\n"
    runtime.serve()
    second = play.invoke()
    runtime.serve()
    assert without_figures(first.logs) == (
        f"INIT_START Runtime Version: {play.stage.function.runtime.replace('python', 'python:')}.emulated\t\n"
        "START RequestId: request-1 Version: $LATEST\n"
        "in the handler\n"
        "just before the answer\n"
        "END RequestId: request-1\n"
        "REPORT RequestId: request-1\tDuration: N ms\tBilled Duration: N ms\tMemory Size: 128 MB\t"
        "Max Memory Used: 36 MB\tInit Duration: N ms\t\n"
    )
    assert second.logs.startswith("START RequestId: request-2 Version: $LATEST\nEND RequestId: request-2\n")
    assert "".join(play.stage.lines) == first.logs + second.logs


@in_loop
async def test_the_sandbox_learns_what_it_needs_and_when_init_is_over() -> None:
    """Variables with this environment's log stream at first, the end of the init boost later."""
    play = Play()
    assert play.sandbox.spec.variables["AWS_LAMBDA_LOG_STREAM_NAME"] == f"2023/11/14/[$LATEST]{ID}"
    assert play.sandbox.spec.environment_id == ID
    runtime, _ = await play.start()
    assert not play.sandbox.is_initialized
    runtime.park()
    await play.stage.settle()
    assert play.sandbox.is_initialized


@in_loop
async def test_a_handled_error_leaves_the_environment_warm() -> None:
    """The client gets the runtime's body; for the platform the invocation is a success."""
    play = Play()
    runtime, watched = await play.invoking()
    runtime.report_error(b'{"errorMessage":"Handler fails"}', "Exception")
    runtime.park()
    assert watched.outcome.answer == Answer(b'{"errorMessage":"Handler fails"}', "Unhandled", "Runtime.Unknown")
    assert watched.outcome.report is not None
    assert watched.outcome.report.status is None
    assert "Status:" not in watched.logs
    assert play.state == "idle"


# -- freeze and thaw -------------------------------------------------------------------------------------------


@in_loop
async def test_a_freeze_tells_how_late_it_was_and_an_invocation_how_long_it_took() -> None:
    """On the timeline, for whoever wants figures; nothing that is not known is said."""
    play = Play()
    await play.frozen()
    found = {event.kind: event.detail for event in play.stage.events()}
    assert found["environment.frozen"] is not None
    assert 0 < found["environment.frozen"]["lag_ms"] < 5000
    assert found["invocation.finished"] is not None
    assert found["invocation.finished"].keys() == {"duration_ms", "cold", "init_ms"}
    assert found["invocation.answered"] is None


@in_loop
async def test_a_frozen_environment_is_thawed_before_it_gets_its_event() -> None:
    """Freeze and thaw are asked of the freezer once each, and every step is on the timeline."""
    play = Play()
    runtime = await play.frozen()
    seen = play.stage.timeline.last_seq
    watched = play.invoke()
    runtime.serve(b"2")
    assert play.sandbox.freezer.calls == ["freeze", "thaw"]
    assert watched.outcome.answer == Answer(b"2")
    assert [event.kind for event in play.stage.timeline.since(seen)][:3] == [
        "environment.thawing",
        "environment.idle",
        "environment.invoking",
    ]


@in_loop
async def test_no_event_is_handed_out_before_the_thaw_is_confirmed() -> None:
    """A slow thaw holds the event back, not the caller."""
    play = Play()
    runtime = await play.frozen()
    play.sandbox.freezer.slow = True
    play.invoke()
    assert play.state == "thawing"
    assert len(runtime.events) == 1
    play.sandbox.freezer.confirm()
    assert play.state == "invoking"
    assert len(runtime.events) == 2


@in_loop
async def test_a_thaw_overtakes_a_freeze_that_is_on_its_way() -> None:
    """The event is served, and the late word of the freeze changes nothing."""
    play = Play()
    runtime = await play.idle()
    play.sandbox.freezer.slow = True
    play.environment.freeze()
    assert play.state == "freezing"
    play.sandbox.freezer.slow = False
    watched = play.invoke()
    assert play.state == "invoking"
    play.sandbox.freezer.confirm()
    assert play.state == "invoking"
    runtime.serve(b"2")
    assert watched.outcome.answer == Answer(b"2")
    assert play.environment.freezes == 0


@in_loop
async def test_the_late_word_of_an_old_freeze_is_not_taken_for_the_new_one() -> None:
    """Freeze, thaw, freeze again: only the answer to the second freeze counts."""
    play = Play()
    runtime = await play.idle()
    freezer = play.sandbox.freezer
    freezer.slow = True
    play.environment.freeze()
    old = freezer.waiting.pop()
    freezer.slow = False
    play.invoke()
    runtime.serve()
    freezer.slow = True
    play.environment.freeze()
    old(None)
    assert play.state == "freezing"
    freezer.confirm()
    assert play.state == "frozen"


@in_loop
async def test_a_freeze_that_fails_leaves_the_environment_usable() -> None:
    """It stays idle, says why, and serves the next event without a thaw."""
    play = Play()
    runtime = await play.idle()
    play.sandbox.freezer.fail_with = FreezeError("the kernel said no")
    play.environment.freeze()
    assert play.state == "idle"
    assert play.stage.reason("environment.idle") == "the kernel said no"
    watched = play.invoke()
    runtime.serve(b"2")
    assert watched.outcome.answer == Answer(b"2")
    assert "thaw" not in play.sandbox.freezer.calls


@in_loop
async def test_a_thaw_that_fails_ends_the_environment_and_tells_the_client() -> None:
    """Nobody waits for an event that no process can take."""
    play = Play()
    await play.frozen()
    play.sandbox.freezer.fail_with = FreezeError("the kernel said no", cure="restart")
    watched = play.invoke()
    await play.stage.settle()
    assert watched.heard == ["failure"]
    assert watched.outcome.failure is not None
    assert (watched.outcome.failure.message, watched.outcome.failure.cure) == ("the kernel said no", "restart")
    assert play.state == "gone"
    assert play.stage.reason("environment.shutting-down") == "it could not be thawed: the kernel said no"


@in_loop
async def test_the_view_follows_the_life() -> None:
    """Counts, moments and states as the inspection API shows them."""
    play = Play()
    runtime = await play.idle()
    view = play.environment.view(connections=2)
    assert (view.state, view.invocations, view.cold, view.freezes) == ("idle", 1, True, 0)
    assert (view.frozen_since, view.last_request_id, view.connections) == (None, "request-1", 2)
    assert view.sandbox.address == play.environment.address
    play.environment.freeze()
    play.stage.clock.fast_forward(90.0)
    view = play.environment.view(connections=None)
    assert (view.state, view.freezes, view.idle_seconds) == ("frozen", 1, 90.0)
    assert view.frozen_since == view.created_at == 1_700_000_000.0
    play.invoke()
    view = play.environment.view(connections=None)
    assert (view.state, view.idle_seconds, view.cold, view.frozen_since) == ("invoking", 0.0, False, None)
    runtime.serve()
    assert play.environment.idle_since == play.stage.clock.monotonic()


# -- the network -----------------------------------------------------------------------------------------------


class Diary(FakeSandbox):
    """A sandbox in whose diary everything stands in one order: freezer, network, sockets, signals, the end."""

    def __init__(self, spec: SandboxSpec, address: str, events: SandboxEvents) -> None:
        super().__init__(spec, address, events)
        self.freezer.calls = self.cut.calls = self.calls

    async def reset(self) -> None:
        self.calls.append("reset")
        await super().reset()

    async def stop(self) -> None:
        self.calls.append("stop")
        await super().stop()


def keeping_a_diary(quiet: float = 0.0) -> Play:
    return Play(Stage(sandbox_class=Diary, quiet=quiet))


@in_loop
async def test_the_network_goes_after_the_processes_and_comes_back_before_them() -> None:
    """A packet that found no network would be lost for a second."""
    play = keeping_a_diary()
    runtime = await play.frozen()
    await play.stage.settle()
    assert play.sandbox.calls == ["freeze", "off"]
    play.invoke()
    assert play.sandbox.calls == ["freeze", "off", "on", "thaw"]
    assert len(runtime.events) == 2


@in_loop
async def test_the_network_is_cut_after_a_span_of_quiet_and_not_at_all_if_it_is_needed_before() -> None:
    """The last acknowledgements get out; an environment in constant use never loses its network."""
    play = keeping_a_diary(quiet=0.05)
    runtime = await play.frozen()
    await play.stage.settle()
    play.invoke()
    runtime.serve()
    play.environment.freeze()
    assert play.sandbox.calls == ["freeze", "thaw", "freeze"]
    skip_time(0.06)
    await play.stage.settle()
    assert play.sandbox.calls == ["freeze", "thaw", "freeze", "off"]


@in_loop
async def test_no_process_goes_on_before_its_network_is_back() -> None:
    """A slow switch holds the thaw back."""
    play = keeping_a_diary()
    runtime = await play.frozen()
    await play.stage.settle()
    play.sandbox.cut.slow = True
    play.invoke()
    assert play.state == "thawing"
    assert play.sandbox.calls[-1] == "on"
    play.sandbox.cut.confirm()
    assert play.state == "invoking"
    assert len(runtime.events) == 2


@in_loop
async def test_a_network_that_does_not_come_back_ends_the_environment() -> None:
    """Its function would wait for its database until the timeout."""
    play = keeping_a_diary()
    await play.frozen()
    await play.stage.settle()
    play.sandbox.cut.fail_with = SandboxError("the bridge is gone", cure="restart the engine")
    watched = play.invoke()
    await play.stage.settle()
    assert watched.heard == ["failure"]
    assert watched.outcome.failure is not None
    assert watched.outcome.failure.message == "the bridge is gone"
    assert play.state == "gone"


@in_loop
async def test_a_network_that_cannot_be_cut_is_told_and_the_environment_goes_on() -> None:
    """It is less silent than it should be, and serves."""
    play = keeping_a_diary()
    play.sandbox.cut.fail_with = SandboxError("no rights")
    runtime = await play.frozen()
    await play.stage.settle()
    assert play.stage.reason("environment.trouble") == "its network could not be cut: no rights"
    watched = play.invoke()
    runtime.serve(b"2")
    assert watched.outcome.answer == Answer(b"2")


class Witness(FakeFreezer):
    """Notes what the log had come to whenever everything was stopped, and refuses to go on where it is told to."""

    def __init__(self, play: Play) -> None:
        super().__init__()
        self._play = play
        self.saw: list[str] = []
        self.stays = False

    def stop_early(self) -> bool:
        self.saw.append(self._play.stage.lines[-1].split(" ")[0])
        return super().stop_early()

    def thaw(self, done: Done) -> None:
        if self.stays:
            raise FreezeError("the kernel said no")
        super().thaw(done)


async def watched_by_a_witness(*, somebody_there: bool = False) -> tuple[Play, PlayedRuntime, Witness]:
    """One event is being served."""
    stage = Stage()
    stage.surroundings = dataclasses.replace(stage.surroundings, is_somebody_there=lambda: somebody_there)
    play = Play(stage)
    witness = play.sandbox.freezer = Witness(play)
    runtime, _ = await play.invoking()
    return play, runtime, witness


@in_loop
async def test_processes_stop_before_anything_is_written_down() -> None:
    """What they do in the background ends with the last call for an event; log and timeline read as ever."""
    play, runtime, witness = await watched_by_a_witness()
    runtime.serve()
    assert witness.saw == ["START"]
    assert witness.frozen
    assert play.state == "idle"
    assert [line.split(" ")[0] for line in play.stage.lines] == ["INIT_START", "START", "END"]
    play.environment.freeze()
    assert play.state == "frozen"
    assert play.stage.kinds()[-4:] == [
        "invocation.finished",
        "environment.idle",
        "environment.freezing",
        "environment.frozen",
    ]


@in_loop
async def test_who_was_stopped_early_goes_on_for_an_event_that_comes_before_the_freeze() -> None:
    """And its runtime hears of the event only when it can; no state tells of it."""
    play, runtime, witness = await watched_by_a_witness()
    runtime.serve()
    watched = play.invoke()
    assert not witness.frozen
    assert play.stage.kinds()[-2:] == ["environment.idle", "environment.invoking"]
    runtime.serve(b"2")
    assert watched.outcome.answer == Answer(b"2")


@in_loop
async def test_nobody_is_stopped_early_while_a_client_waits_on_the_doorstep() -> None:
    """The next event may be for this environment, which would have to go on at once."""
    play, runtime, witness = await watched_by_a_witness(somebody_there=True)
    runtime.serve()
    assert witness.saw == []
    assert not witness.frozen
    play.environment.freeze()
    assert play.state == "frozen"


@in_loop
async def test_who_was_stopped_early_and_does_not_go_on_fails_the_event_and_ends() -> None:
    """As after a thaw that fails: its client would wait for ever."""
    play, runtime, witness = await watched_by_a_witness()
    runtime.serve()
    witness.stays = True
    watched = play.invoke()
    await play.stage.settle()
    assert watched.heard == ["failure"]
    assert play.state == "gone"


@in_loop
async def test_who_was_stopped_early_is_thawed_to_be_told_of_its_end() -> None:
    """Its extensions are to hear of it, though no state says that they stand still."""
    play, runtime, witness = await watched_by_a_witness()
    runtime.serve()
    play.environment.end("recycled", Reclaim.GRACEFUL)
    await play.stage.settle()
    assert "thaw" in witness.calls
    assert play.state == "gone"


class RefusingFreezer(FakeFreezer):
    """One that raises inside the call, as writing to a file can."""

    def freeze(self, done: Done) -> None:
        assert self.fail_with is not None
        raise self.fail_with


@pytest.mark.parametrize("how", ["told", "raised"])
def test_a_freeze_that_fails_leaves_the_network_alone(how: str) -> None:
    """The environment runs and counts as idle: nobody would give the network back before its next event."""

    @in_loop
    async def play_it() -> None:
        play = Play()
        runtime = await play.idle()
        if how == "raised":
            play.sandbox.freezer = RefusingFreezer()
        play.sandbox.freezer.fail_with = FreezeError("the kernel said no")
        play.environment.freeze()
        assert play.state == "idle"
        await play.stage.settle()
        assert play.sandbox.cut.calls == []
        watched = play.invoke()
        runtime.serve(b"2")
        assert watched.outcome.answer == Answer(b"2")

    play_it()


@in_loop
async def test_a_late_failure_of_a_freeze_gives_the_network_back_before_the_next_event() -> None:
    """It had been cut already; whoever comes meanwhile waits for it as well."""
    play = keeping_a_diary()
    runtime = await play.idle()
    play.sandbox.freezer.slow = play.sandbox.cut.slow = True
    play.environment.freeze()
    await play.stage.settle()
    play.sandbox.cut.confirm()
    play.sandbox.freezer.waiting.pop()(FreezeError("the kernel said no"))
    assert play.sandbox.calls == ["freeze", "off", "on"]
    play.sandbox.freezer.slow = False
    watched = play.invoke()
    assert len(runtime.events) == 1
    play.sandbox.cut.confirm()
    runtime.serve(b"2")
    assert watched.outcome.answer == Answer(b"2")


@in_loop
async def test_an_environment_that_could_not_be_frozen_and_has_lost_its_network_ends() -> None:
    """Its function would wait for its database until the timeout, as after a thaw."""
    play = keeping_a_diary()
    await play.idle()
    play.sandbox.freezer.slow = True
    play.environment.freeze()
    await play.stage.settle()
    play.sandbox.cut.fail_with = SandboxError("the bridge is gone")
    play.sandbox.freezer.waiting.pop()(FreezeError("the kernel said no"))
    await play.stage.settle()
    assert play.state == "gone"
    reason = "it could not be frozen, and its network did not come back: the bridge is gone"
    assert play.stage.reason("environment.shutting-down") == reason


@pytest.mark.parametrize(
    ("how", "calls"),
    [
        (Reclaim.SILENT, ["freeze", "hold sockets", "stop"]),
        (Reclaim.FIN, ["on", "stop"]),
        (Reclaim.RST, ["on", "stop"]),
        (Reclaim.GRACEFUL, ["on", "thaw", "terminate", "stop"]),
    ],
)
def test_what_becomes_of_the_connections_is_settled_before_the_processes_end(how: Reclaim, calls: list[str]) -> None:
    """Silent: nothing of it is heard any more. Graceful: it may still speak. Otherwise the kernel speaks."""

    @in_loop
    async def play_it() -> None:
        play = keeping_a_diary()
        await play.frozen()
        await play.stage.settle()
        assert play.sandbox.calls == ["freeze", "off"]
        play.environment.end("recycled by hand", how)
        await play.stage.settle()
        assert play.state == "gone"
        assert play.sandbox.calls[2:] == calls

    play_it()


@in_loop
async def test_a_silent_end_keeps_the_span_of_quiet_too() -> None:
    """Stopped first, cut when the last acknowledgements are out, ended then."""
    play = keeping_a_diary(quiet=0.05)
    await play.idle()
    play.environment.end("recycled by hand", Reclaim.SILENT)
    await play.stage.settle()
    assert play.sandbox.calls == ["freeze"]
    skip_time(0.06)
    await play.stage.settle()
    assert play.sandbox.calls == ["freeze", "off", "hold sockets", "stop"]
    assert play.state == "gone"


@in_loop
async def test_after_a_failure_the_kernel_closes_what_was_open() -> None:
    """A crash is heard at once; nothing is frozen, cut or held, and the surroundings stay."""
    play = keeping_a_diary()
    runtime, _ = await play.invoking()
    runtime.die(1)
    await play.stage.settle()
    assert play.sandbox.calls == ["reset"]
    play.environment.freeze()
    await play.stage.settle()
    play.invoke()
    assert play.sandbox.calls == ["reset", "freeze", "off", "on", "thaw"]


@in_loop
async def test_who_waits_for_a_new_runtime_is_not_frozen_before_it_starts() -> None:
    """The freeze that was to come at the end of the round finds an event, though nothing has begun to serve it."""
    play = Play()
    await play.reset()
    play.invoke()
    play.environment.freeze()
    assert play.state == "idle"
    await play.stage.settle()
    assert play.state == "init"


# -- failures --------------------------------------------------------------------------------------------------


@in_loop
async def test_an_invocation_that_takes_too_long_is_answered_and_resets_the_environment() -> None:
    """The recorded text for the client, exactly the timeout in the report, and the surroundings stay."""
    play = Play()
    _, watched = await play.invoking()
    skip_time(3.0)
    await play.stage.settle()
    assert watched.outcome.answer == timed_out("request-1")
    assert watched.heard == ["answer", "report"]
    assert watched.outcome.report is not None
    assert watched.outcome.report.status == "timeout"
    assert watched.outcome.report.duration_ms == 3000.0
    assert watched.logs.endswith("\tStatus: timeout\t\n")
    assert play.state == "idle"
    assert (play.sandbox.resets, play.sandbox.stopped) == (1, False)
    assert play.owner.told == ["parked"]
    assert play.stage.reason("environment.resetting") == "the invocation took longer than 3 s"


@in_loop
async def test_a_timeout_after_the_response_is_not_told_to_the_client() -> None:
    """The answer stands; the environment is reset all the same."""
    play = Play()
    runtime, watched = await play.invoking()
    runtime.respond(b"1")
    skip_time(3.0)
    await play.stage.settle()
    assert watched.outcome.answer == Answer(b"1")
    assert watched.heard == ["answer", "report"]
    assert watched.outcome.report is not None
    assert watched.outcome.report.status == "timeout"
    assert play.state == "idle"
    assert play.sandbox.resets == 1


@in_loop
async def test_a_runtime_that_dies_right_behind_its_deadline_changes_nothing() -> None:
    """In one round of the loop: it is being reset already, and goes on to serve."""
    play = Play()
    runtime, watched = await play.invoking()
    asyncio.get_running_loop().call_later(3.01, runtime.die, 1)
    skip_time(3.1)
    await play.stage.settle()
    assert watched.outcome.answer == timed_out("request-1")
    assert (play.state, play.sandbox.resets) == ("idle", 1)
    assert play.owner.told == ["parked"]


@in_loop
async def test_a_deadline_is_over_when_the_invocation_is() -> None:
    """Long after a finished invocation its timeout does not hit the next one."""
    play = Play()
    runtime = await play.idle()
    skip_time(2.9)
    await play.stage.settle()
    watched = play.invoke()
    skip_time(2.9)
    await play.stage.settle()
    assert play.state == "invoking"
    runtime.serve(b"2")
    skip_time(900.0)
    await play.stage.settle()
    assert watched.outcome.answer == Answer(b"2")
    assert play.state == "idle"


EXITS = [
    (0, None, "Runtime exited without providing a reason"),
    (127, None, "Runtime exited with error: exit status 127"),
    (None, 9, "Runtime exited with error: signal: killed"),
]


@pytest.mark.parametrize(("code", "signal", "reason"), EXITS)
def test_a_runtime_that_dies_while_it_serves_is_told_in_the_recorded_words(
    code: int | None, signal: int | None, reason: str
) -> None:
    """Error body for the client, status and type in the report, and the reason on the timeline."""

    @in_loop
    async def play_it() -> None:
        play = Play()
        runtime, watched = await play.invoking()
        runtime.die(code, signal)
        await play.stage.settle()
        assert watched.outcome.answer == Answer(
            f'{{"errorType":"Runtime.ExitError","errorMessage":"RequestId: request-1 Error: {reason}"}}'.encode(),
            "Unhandled",
            "Runtime.ExitError",
        )
        assert "\tStatus: error\tError Type: Runtime.ExitError" in watched.logs
        assert play.stage.reason("environment.resetting") == reason
        assert play.state == "idle"
        assert (play.sandbox.resets, play.sandbox.stopped) == (1, False)

    play_it()


@in_loop
async def test_a_runtime_that_was_killed_for_its_memory_says_so() -> None:
    """The kernel's count decides, not the signal alone."""
    play = Play()
    runtime, watched = await play.invoking()
    runtime.die(signal=9, out_of_memory=True)
    await play.stage.settle()
    assert watched.outcome.answer is not None
    assert watched.outcome.answer.error_type == "Runtime.OutOfMemory"
    assert "\tStatus: error\tError Type: Runtime.OutOfMemory" in watched.logs
    assert play.stage.reason("environment.resetting") == "out of memory"
    assert play.sandbox.resets == 1


@in_loop
async def test_a_runtime_that_dies_after_its_response_takes_nothing_back() -> None:
    """The client keeps its answer, the report tells of the exit."""
    play = Play()
    runtime, watched = await play.invoking()
    runtime.respond(b"1")
    runtime.die(1)
    await play.stage.settle()
    assert watched.outcome.answer == Answer(b"1")
    assert watched.heard == ["answer", "report"]
    assert watched.outcome.report is not None
    assert watched.outcome.report.error_type == "Runtime.ExitError"


@in_loop
async def test_a_runtime_that_dies_while_nobody_waits_ends_its_environment() -> None:
    """Frozen ones can be killed as well; the owner is told."""
    play = Play()
    runtime = await play.frozen()
    runtime.die(signal=9)
    await play.stage.settle()
    assert play.state == "gone"
    assert play.owner.told == ["parked", "ending", "gone"]


@in_loop
async def test_a_runtime_that_dies_before_the_thaw_is_confirmed_fails_the_event() -> None:
    """It is an invocation like every other in the log, and not one that began with the one before."""
    play = Play()
    runtime = await play.frozen()
    play.sandbox.freezer.slow = True
    watched = play.invoke()
    runtime.die(1)
    await play.stage.settle()
    assert watched.heard == ["answer", "report"]
    start, end, report = watched.logs.splitlines()
    assert start.startswith("START RequestId: request-2 ")
    assert end == "END RequestId: request-2"
    assert "Status: error\tError Type: Runtime.ExitError" in report
    assert watched.outcome.report is not None
    assert not watched.outcome.report.cold_start
    assert play.state == "gone"


# -- a failing init --------------------------------------------------------------------------------------------

IMPORT_ERROR = b'{"errorMessage":"no","requestId":""}'
INIT_START = f"INIT_START Runtime Version: python:3.{sys.version_info.minor}.emulated\t\n"
FIGURES = "Duration: N ms\tBilled Duration: N ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB"


def fail_init(runtime: PlayedRuntime, way: str) -> None:
    """Let an init come to nothing; ``timeout`` is that of the invocation."""
    match way:
        case "error":
            runtime.session.init_error(IMPORT_ERROR, "Runtime.ImportModuleError")
        case "exit":
            runtime.die(3)
        case "exit behind next":
            runtime.park()
            runtime.die(3)
        case "signal":
            runtime.die(signal=9)
        case "out of memory":
            runtime.die(signal=9, out_of_memory=True)
        case "timeout":
            skip_time(3.0)


def exit_answer(request_id: str, reason: str, error_type: str = "Runtime.ExitError") -> Answer:
    body = f'{{"errorType":"{error_type}","errorMessage":"RequestId: {request_id} Error: {reason}"}}'
    return Answer(body.encode(), "Unhandled", error_type)


# how -> the client's answer to request N, the status in both lines, the reason on the timeline
FAILED_INITS: dict[str, tuple[Callable[[str], Answer], str, str]] = {
    "error": (
        lambda _request: Answer(IMPORT_ERROR, "Unhandled", "Runtime.ImportModuleError"),
        "Status: error\tError Type: Runtime.ImportModuleError",
        "init failed: Runtime.ImportModuleError",
    ),
    "exit": (
        lambda request: exit_answer(request, "Runtime exited with error: exit status 3"),
        "Status: error\tError Type: Runtime.ExitError",
        "Runtime exited with error: exit status 3",
    ),
    "exit behind next": (
        lambda request: exit_answer(request, "Runtime exited with error: exit status 3"),
        "Status: error\tError Type: Runtime.ExitError",
        "Runtime exited with error: exit status 3",
    ),
    "signal": (
        lambda request: exit_answer(request, "Runtime exited with error: signal: killed"),
        "Status: error\tError Type: Runtime.ExitError",
        "Runtime exited with error: signal: killed",
    ),
    "out of memory": (
        lambda request: exit_answer(request, "Runtime exited with error: signal: killed", "Runtime.OutOfMemory"),
        "Status: error\tError Type: Runtime.OutOfMemory",
        "out of memory",
    ),
    "timeout": (timed_out, "Status: timeout", "init took longer than 3 s"),
}


@pytest.mark.parametrize("way", FAILED_INITS)
def test_a_failing_init_is_tried_twice_and_then_answered(way: str) -> None:
    """One line in the log for each try, START behind both; the client gets the second failure; the place stays."""

    @in_loop
    async def play_it() -> None:
        answer, status, reason = FAILED_INITS[way]
        figures = FIGURES.replace("36 MB", "128 MB") if way == "out of memory" else FIGURES
        play = Play()
        first, watched = await play.start()
        play.sandbox.pending_output = b"the module runs\n"
        first.session.init_error(b'{"errorMessage":"the first"}', "Runtime.ImportModuleError")
        await play.stage.settle()
        assert play.state == "init"
        assert watched.heard == []
        second = play.stage.runtime()
        assert second.session is not first.session
        play.sandbox.pending_output = b"the module runs again\n"
        fail_init(second, way)
        await play.stage.settle()
        assert watched.heard == ["answer", "report"]
        assert watched.outcome.answer == answer("request-1")
        assert without_figures(watched.logs) == (
            f"{INIT_START}"
            "the module runs\n"
            "INIT_REPORT Init Duration: N ms\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError\n"
            "the module runs again\n"
            f"INIT_REPORT Init Duration: N ms\tPhase: invoke\t{status}\n"
            "START RequestId: request-1 Version: $LATEST\n"
            "END RequestId: request-1\n"
            f"REPORT RequestId: request-1\t{figures}\t{status}\t\n"
        )
        assert watched.outcome.report is not None
        assert watched.outcome.report.cold_start
        assert watched.outcome.report.init_ms is None
        assert play.environment.invocations == 1
        assert play.stage.kinds(ID) == [
            "environment.starting",
            "environment.init",
            "environment.resetting",
            "environment.idle",
            "environment.init",
            "invocation.finished",
            "environment.resetting",
            "environment.idle",
        ]
        assert play.stage.reason("environment.resetting") == reason
        assert (play.sandbox.resets, play.sandbox.runtime_starts, play.sandbox.stopped) == (2, 1, False)
        assert play.owner.told == ["parked"]
        assert first.events == second.events == []

    play_it()


@pytest.mark.parametrize("way", FAILED_INITS)
def test_an_init_that_works_at_the_second_try_serves_the_first_event(way: str) -> None:
    """It costs time and one line in the log; there is no duration of an init, for it was part of the invocation."""

    @in_loop
    async def play_it() -> None:
        play = Play()
        runtime, watched = await play.start()
        if way == "timeout":
            skip_time(7.0)  # in this phase it is init's own limit that counts, ten seconds
            await play.stage.settle()
            assert play.state == "init"
            assert play.sandbox.resets == 0
        fail_init(runtime, way)
        await play.stage.settle()
        assert (play.sandbox.resets, play.sandbox.runtime_starts) == (1, 1)
        fresh = play.stage.runtime()
        fresh.park()
        await play.stage.settle()
        fresh.serve(b"1")
        assert watched.outcome.answer == Answer(b"1")
        assert watched.heard == ["answer", "report"]
        assert without_figures(watched.logs) == (
            f"{INIT_START}"
            f"INIT_REPORT Init Duration: N ms\tPhase: init\t{FAILED_INITS[way][1]}\n"
            "START RequestId: request-1 Version: $LATEST\n"
            "END RequestId: request-1\n"
            f"REPORT RequestId: request-1\t{FIGURES}\t\n"
        )
        report = watched.outcome.report
        assert report is not None
        assert (report.cold_start, report.init_ms, report.status) == (True, None, None)
        assert runtime.events == []
        assert play.state == "idle"

    play_it()


@in_loop
async def test_an_init_is_cut_at_ten_seconds_and_not_before() -> None:
    """Whatever the function's timeout is; then it has that for its second try."""
    play = Play()
    _, watched = await play.start()
    skip_time(9.5)
    await play.stage.settle()
    assert play.sandbox.resets == 0
    skip_time(0.6)
    await play.stage.settle()
    assert (play.sandbox.resets, play.state) == (1, "init")
    skip_time(2.9)
    await play.stage.settle()
    assert watched.heard == []
    skip_time(0.2)
    await play.stage.settle()
    assert watched.outcome.answer == timed_out("request-1")
    assert play.stage.reason("environment.resetting") == "init took longer than 3 s"
    assert play.state == "idle"


@in_loop
async def test_the_first_failure_of_an_init_is_the_one_that_counts() -> None:
    """A runtime reports its error and exits, in one round of the loop."""
    play = Play()
    runtime, watched = await play.start()
    fail_init(runtime, "error")
    await play.stage.settle()
    runtime = play.stage.runtime()
    fail_init(runtime, "error")
    runtime.die(1)
    await play.stage.settle()
    assert watched.outcome.answer == Answer(IMPORT_ERROR, "Unhandled", "Runtime.ImportModuleError")
    assert watched.logs.count("Error Type: Runtime.ImportModuleError") == 3


# -- reset -----------------------------------------------------------------------------------------------------


@in_loop
async def test_after_a_reset_everything_is_as_it_was_but_the_processes() -> None:
    """The same sandbox with its /tmp, address and log stream; a new runtime with a session of its own."""
    play = Play()
    before = (play.sandbox, play.environment.log_stream, play.environment.address)
    old, crashed = await play.invoking()
    old.die(1)
    await play.stage.settle()
    assert play.stage.runtime_api.find((play.environment.address, 1), ("127.0.0.1", 2)) is None
    assert (play.sandbox.resets, play.sandbox.runtime_starts) == (1, 0)
    seen = play.stage.timeline.last_seq
    watched = play.invoke()
    await play.stage.settle()
    assert play.sandbox.runtime_starts == 1
    new = play.stage.runtime()
    assert new.session is not old.session
    new.park()
    await play.stage.settle()
    new.serve(b"2")
    assert watched.outcome.answer == Answer(b"2")
    assert (len(old.events), len(new.events)) == (1, 1)
    assert len(play.stage.provider.sandboxes) == 1
    assert (play.stage.provider.sandboxes[0], play.environment.log_stream, play.environment.address) == before
    assert crashed.outcome.report is not None
    assert watched.outcome.report is not None
    assert watched.outcome.report.log_stream == crashed.outcome.report.log_stream
    assert [event.kind for event in play.stage.timeline.since(seen)] == [
        "environment.init",
        "environment.idle",
        "environment.invoking",
        "invocation.answered",
        "invocation.finished",
        "environment.idle",
    ]
    assert play.owner.told == ["parked", "parked"]


@in_loop
async def test_an_init_inside_an_invocation_is_not_told_in_the_log() -> None:
    """No INIT_START, no Init Duration, no cold start; what the module prints stands before START."""
    play = Play()
    runtime, watched = await play.in_init_again()
    play.sandbox.on_output(b"the module runs\n")
    runtime.park()
    await play.stage.settle()
    runtime.serve()
    assert without_figures(watched.logs) == (
        "the module runs\n"
        "START RequestId: request-2 Version: $LATEST\n"
        "END RequestId: request-2\n"
        f"REPORT RequestId: request-2\t{FIGURES}\t\n"
    )
    report = watched.outcome.report
    assert report is not None
    assert (report.cold_start, report.init_ms, report.status) == (False, None, None)
    assert play.environment.invocations == 2


@in_loop
async def test_the_client_is_answered_while_the_reset_still_runs() -> None:
    """Answer and report at once; the owner gets the environment back when nothing of the old runtime is left."""
    play = Play(Stage(sandbox_class=SlowReset))
    runtime, watched = await play.invoking()
    runtime.die(1)
    assert watched.heard == ["answer", "report"]
    assert play.state == "resetting"
    await play.stage.settle()
    view = play.environment.view(connections=None)
    assert (view.state, view.idle_seconds) == ("resetting", 0.0)
    assert play.owner.told == []
    play.stage.clock.fast_forward(2.0)
    assert isinstance(play.sandbox, SlowReset)
    play.sandbox.gate.set()
    await play.stage.settle()
    assert play.state == "idle"
    assert play.owner.told == ["parked"]
    assert play.environment.idle_since == play.stage.clock.monotonic()
    assert play.stage.kinds(ID)[-4:] == [
        "environment.invoking",
        "invocation.finished",
        "environment.resetting",
        "environment.idle",
    ]


@in_loop
async def test_what_the_old_runtime_says_during_a_reset_is_not_heard() -> None:
    """Its answer comes too late, its ``next`` parks nothing, its exit is the reset's own doing."""
    play = Play(Stage(sandbox_class=SlowReset))
    runtime, watched = await play.invoking()
    skip_time(3.0)
    await play.stage.settle()
    assert play.state == "resetting"
    runtime.respond(b"too late")
    runtime.park()
    runtime.die(signal=9)
    assert isinstance(play.sandbox, SlowReset)
    play.sandbox.gate.set()
    await play.stage.settle()
    assert watched.outcome.answer == timed_out("request-1")
    assert watched.heard == ["answer", "report"]
    assert play.state == "idle"
    assert play.owner.told == ["parked"]


@pytest.mark.parametrize("state", ["idle", "freezing", "frozen", "thawing"])
def test_a_late_word_of_the_old_exit_ends_nothing(state: str) -> None:
    """There is no runtime that could die, so it can only be the old one's."""

    @in_loop
    async def play_it() -> None:
        play = Play()
        runtime, _ = await play.invoking()
        runtime.die(1)
        await play.stage.settle()
        freezer = play.sandbox.freezer
        if state != "idle":
            freezer.slow = state == "freezing"
            play.environment.freeze()
        if state == "thawing":
            freezer.slow = True
            play.invoke()
        assert play.state == state
        runtime.die(signal=9)
        assert play.state == state
        freezer.confirm()
        freezer.slow = False
        if state != "thawing":
            play.invoke()
        await play.stage.settle()
        assert play.state == "init"
        fresh = play.stage.runtime()
        fresh.park()
        await play.stage.settle()
        assert [event.request_id for event in fresh.events] == ["request-2"]

    play_it()


@in_loop
async def test_a_frozen_environment_is_thawed_before_its_init() -> None:
    """Network, processes, runtime, in this order."""
    play = keeping_a_diary()
    await play.reset()
    play.environment.freeze()
    await play.stage.settle()
    play.sandbox.freezer.slow = True
    watched = play.invoke()
    await play.stage.settle()
    assert (play.state, play.sandbox.runtime_starts) == ("thawing", 0)
    play.sandbox.freezer.confirm()
    await play.stage.settle()
    assert (play.state, play.sandbox.runtime_starts) == ("init", 1)
    assert play.sandbox.calls == ["reset", "freeze", "off", "on", "thaw"]
    runtime = play.stage.runtime()
    runtime.park()
    await play.stage.settle()
    runtime.serve()
    assert watched.heard == ["answer", "report"]


@pytest.mark.parametrize("way", FAILED_INITS)
def test_an_init_inside_an_invocation_that_fails_is_its_answer(way: str) -> None:
    """INIT_REPORT of phase ``invoke`` before START; reset again, and the next event tries again."""

    @in_loop
    async def play_it() -> None:
        answer, status, reason = FAILED_INITS[way]
        figures = FIGURES.replace("36 MB", "128 MB") if way == "out of memory" else FIGURES
        play = Play()
        runtime, watched = await play.in_init_again()
        fail_init(runtime, way)
        await play.stage.settle()
        assert watched.heard == ["answer", "report"]
        assert watched.outcome.answer == answer("request-2")
        assert without_figures(watched.logs) == (
            f"INIT_REPORT Init Duration: N ms\tPhase: invoke\t{status}\n"
            "START RequestId: request-2 Version: $LATEST\n"
            "END RequestId: request-2\n"
            f"REPORT RequestId: request-2\t{figures}\t{status}\t\n"
        )
        assert watched.outcome.report is not None
        assert not watched.outcome.report.cold_start
        assert (watched.outcome.report.duration_ms == 3000.0) == (way == "timeout")
        assert play.stage.reason("environment.resetting") == reason
        assert (play.state, play.sandbox.resets) == ("idle", 2)
        third = play.invoke()
        await play.stage.settle()
        assert play.sandbox.runtime_starts == 2
        fresh = play.stage.runtime()
        fresh.park()
        await play.stage.settle()
        fresh.serve(b"3")
        assert third.outcome.answer == Answer(b"3")
        assert play.environment.invocations == 3

    play_it()


class Watch:
    """What the environment reads its times from."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def time(self) -> float:
        return self.now

    def perf_counter(self) -> float:
        return self.now


@in_loop
async def test_an_init_inside_an_invocation_is_on_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event has what is left of its timeout, by its deadline and by the clock; Duration contains both."""
    watch = Watch()
    monkeypatch.setattr("emulator.environment.time", watch)
    monkeypatch.setattr("emulator.timing.time", watch)
    play = Play()
    runtime, watched = await play.in_init_again()
    watch.now += 1.25
    runtime.park()
    await play.stage.settle()
    assert runtime.events[-1].deadline_ms == 1_700_000_003_000
    watch.now += 0.5
    runtime.serve()
    assert watched.outcome.report is not None
    assert watched.outcome.report.duration_ms == 1750.0
    assert watched.outcome.report.billed_ms == 1750
    third = play.invoke()
    assert runtime.events[-1].deadline_ms == 1_700_000_004_750
    skip_time(2.9)
    await play.stage.settle()
    assert third.heard == []


@in_loop
async def test_an_invocation_times_out_when_init_and_handler_have_taken_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not a whole timeout after the init."""
    watch = Watch()
    monkeypatch.setattr("emulator.environment.time", watch)
    monkeypatch.setattr("emulator.timing.time", watch)
    play = Play()
    runtime, watched = await play.in_init_again()
    watch.now += 2.0
    runtime.park()
    await play.stage.settle()
    skip_time(0.9)
    await play.stage.settle()
    assert play.state == "invoking"
    skip_time(0.2)
    await play.stage.settle()
    assert watched.outcome.answer == timed_out("request-2")
    assert watched.outcome.report is not None
    assert watched.outcome.report.duration_ms == 3000.0
    assert (play.state, play.sandbox.resets) == ("idle", 2)


@pytest.mark.parametrize("when", ["after a crash", "after a failed init"])
def test_processes_that_do_not_end_end_their_environment(when: str) -> None:
    """It is of no use any more. Who has its answer keeps it; who still waits hears why there is none."""

    @in_loop
    async def play_it() -> None:
        play = Play(Stage(sandbox_class=Broken))
        assert isinstance(play.sandbox, Broken)
        play.sandbox.fail_reset_with = SandboxError("its processes do not end", cure="Restart the engine.")
        if when == "after a crash":
            runtime, watched = await play.invoking()
            runtime.die(1)
        else:
            runtime, watched = await play.start()
            fail_init(runtime, "error")
        await play.stage.settle()
        assert play.state == "gone"
        assert play.sandbox.stopped
        assert play.owner.told == ["ending", "gone"]
        assert play.stage.reason("environment.shutting-down") == "its sandbox failed: its processes do not end"
        if when == "after a crash":
            assert watched.heard == ["answer", "report"]
        else:
            assert watched.heard == ["failure"]
            assert watched.outcome.failure is not None
            assert watched.outcome.failure.cure == "Restart the engine."

    play_it()


@pytest.mark.parametrize("when", ["at the start", "when it is reset"])
def test_an_image_for_another_machine_is_told_in_the_words_of_aws(when: str) -> None:
    """The client hears of its function's failure, not of the emulator's; the environment ends."""
    words = "fork/exec /app: exec format error"

    @in_loop
    async def play_it() -> None:
        play = Play(Stage(sandbox_class=Broken))
        assert isinstance(play.sandbox, Broken)
        if when == "at the start":
            play.sandbox.fail_start_with = LaunchError(words)
            watched = play.stage.invocation()
            play.environment.start(watched.invocation)
        else:
            play.sandbox.fail_reset_with = SandboxError("the container has ended")
            _, watched = await play.start()
            play.sandbox.on_exit(ExitStatus(launch_error=words))
        await play.stage.settle()
        assert watched.heard == ["answer", "report"]
        assert watched.outcome.answer is not None
        assert watched.outcome.answer.error_type == "Runtime.InvalidEntrypoint"
        assert words in watched.outcome.answer.payload.decode()
        assert (play.state, play.sandbox.stopped) == ("gone", True)

    play_it()


@pytest.mark.parametrize("when", ["after a reset", "after a failed init"])
def test_a_runtime_that_cannot_be_started_again_ends_its_environment(when: str) -> None:
    """Whoever waits for it hears why, with the cure; nothing is left registered."""

    @in_loop
    async def play_it() -> None:
        play = Play(Stage(sandbox_class=Broken))
        assert isinstance(play.sandbox, Broken)
        play.sandbox.fail_runtime_with = SandboxError("no process left", cure="Raise the limit.")
        if when == "after a reset":
            await play.reset()
            watched = play.invoke()
        else:
            runtime, watched = await play.start()
            fail_init(runtime, "error")
        await play.stage.settle()
        assert watched.heard == ["failure"]
        assert watched.outcome.failure is not None
        assert (watched.outcome.failure.message, watched.outcome.failure.cure) == (
            "no process left",
            "Raise the limit.",
        )
        assert play.state == "gone"
        assert play.sandbox.stopped
        assert play.stage.runtime_api.find((play.environment.address, 1), ("127.0.0.1", 2)) is None
        assert play.stage.working == 0

    play_it()


@pytest.mark.parametrize("begun", [False, True], ids=["when it is about to begin", "while it runs"])
@pytest.mark.parametrize("when", ["reset", "reset of a cold start", "init again"])
def test_an_environment_can_be_ended_in_the_middle_of_it(when: str, begun: bool) -> None:
    """What works on it stops; who waits hears of it, who was answered hears nothing more."""

    @in_loop
    async def play_it() -> None:
        play = Play(Stage(sandbox_class=FakeSandbox if when == "init again" else SlowReset))
        match when:
            case "reset":
                runtime, watched = await play.invoking()
                runtime.die(1)
            case "reset of a cold start":
                runtime, watched = await play.start()
                fail_init(runtime, "error")
            case _:
                await play.reset()
                watched = play.invoke()
        if begun:
            await play.stage.settle()
            assert play.state == ("init" if when == "init again" else "resetting")
        play.environment.end("the emulator stops")
        await play.stage.settle()
        assert play.state == "gone"
        assert watched.heard == (["answer", "report"] if when == "reset" else ["failure"])
        assert play.sandbox.stopped
        assert play.sandbox.resets == (1 if when == "init again" else 0)
        assert play.sandbox.runtime_starts == (1 if when == "init again" and begun else 0)
        assert play.owner.told[-1] == "gone"
        assert play.stage.working == 0

    play_it()


@pytest.mark.parametrize("when", ["after a crash", "after a failed init"])
def test_an_end_that_meets_the_end_of_a_reset_wins(when: str) -> None:
    """In one round of the loop the processes are gone and somebody ends the environment: it is nobody's any more."""

    @in_loop
    async def play_it() -> None:
        play = Play(Stage(sandbox_class=SlowReset))
        if when == "after a crash":
            runtime, _ = await play.invoking()
            runtime.die(1)
        else:
            runtime, _ = await play.start()
            fail_init(runtime, "error")
        await play.stage.settle()
        assert isinstance(play.sandbox, SlowReset)
        play.sandbox.gate.set()
        play.environment.end("the emulator stops")
        await play.stage.settle()
        assert (play.state, play.sandbox.resets) == ("gone", 1)
        assert play.owner.told == ["ending", "gone"]

    play_it()


@in_loop
async def test_an_environment_without_a_runtime_ends_like_any_other() -> None:
    """Reset, frozen, recycled: nothing is started for its end."""
    play = Play()
    await play.reset()
    play.environment.freeze()
    play.environment.end("idle 7 min >= 7 min")
    await play.stage.settle()
    assert play.state == "gone"
    assert (play.sandbox.runtime_starts, play.sandbox.stopped) == (0, True)


# -- a start that fails ----------------------------------------------------------------------------------------


@in_loop
async def test_a_sandbox_that_cannot_start_fails_the_invocation_with_its_cure() -> None:
    """The client hears why, and nothing is left registered."""
    stage = Stage()
    stage.provider.fail_start_with = SandboxError("no interpreter", cure="Install one.")
    play = Play(stage)
    watched = stage.invocation()
    play.environment.start(watched.invocation)
    await stage.settle()
    assert watched.heard == ["failure"]
    assert watched.outcome.failure is not None
    assert (watched.outcome.failure.message, watched.outcome.failure.cure) == ("no interpreter", "Install one.")
    assert play.state == "gone"
    assert stage.runtime_api.find((play.sandbox.view.address, 1), ("127.0.0.1", 2)) is None


# -- the end ---------------------------------------------------------------------------------------------------


@in_loop
async def test_the_end_is_silent_and_complete() -> None:
    """No signal, no grace: the sandbox is stopped, the API forgets it, the owner is told once."""
    play = Play()
    await play.frozen()
    play.environment.end("idle 7 min >= 7 min")
    play.environment.end("again")
    assert play.state == "shutting-down"
    await play.stage.settle()
    assert play.state == "gone"
    assert play.sandbox.stopped
    assert play.environment.gone.is_set()
    assert play.owner.told == ["parked", "ending", "gone"]
    assert play.stage.reason("environment.shutting-down") == "idle 7 min >= 7 min"
    assert play.stage.kinds(ID)[-2:] == ["environment.shutting-down", "environment.gone"]
    assert play.stage.runtime_api.find((play.environment.address, 1), ("127.0.0.1", 2)) is None


@in_loop
async def test_an_environment_that_is_ended_while_it_serves_fails_its_invocation() -> None:
    """The client is not left waiting, and what the runtime says later is not heard."""
    play = Play()
    runtime, watched = await play.invoking()
    play.environment.end("the emulator stops")
    assert watched.heard == ["failure"]
    runtime.respond(b"1")
    runtime.park()
    runtime.die(0)
    await play.stage.settle()
    assert watched.heard == ["failure"]
    assert watched.outcome.answer is None
    assert play.state == "gone"


@pytest.mark.parametrize("slow", ["freezer", "network"])
def test_the_late_word_of_a_thaw_is_not_heard_after_the_end(slow: str) -> None:
    """The end has overtaken it: no event is handed out to what is gone."""

    @in_loop
    async def play_it() -> None:
        play = Play()
        runtime = await play.frozen()
        await play.stage.settle()
        part = play.sandbox.freezer if slow == "freezer" else play.sandbox.cut
        part.slow = True
        watched = play.invoke()
        assert play.state == "thawing"
        play.environment.end("the emulator stops")
        await play.stage.settle()
        part.confirm()
        await play.stage.settle()
        assert play.state == "gone"
        assert watched.heard == ["failure"]
        assert len(runtime.events) == 1
        assert play.sandbox.freezer.calls.count("thaw") == (slow == "freezer")

    play_it()


@in_loop
async def test_an_environment_can_be_ended_in_init() -> None:
    """What was starting it stops, without a trace but its failure."""
    play = Play()
    _, watched = await play.start()
    play.environment.end("the emulator stops")
    await play.stage.settle()
    assert watched.heard == ["failure"]
    assert play.state == "gone"
    assert play.sandbox.stopped


@in_loop
async def test_an_end_that_meets_the_end_of_init_wins() -> None:
    """The runtime parks for the first time and the emulator stops, in one round of the loop."""
    play = Play()
    runtime, watched = await play.start()
    runtime.park()
    play.environment.end("the emulator stops")
    await play.stage.settle()
    assert play.state == "gone"
    assert watched.heard == ["failure"]
    assert runtime.events == []


class SlowSandbox(FakeSandbox):
    """A sandbox whose start takes until it is let through."""

    async def start(self) -> None:
        self.gate = asyncio.Event()
        await self.gate.wait()
        await super().start()


@pytest.mark.parametrize("let_through", [False, True], ids=["while it starts", "when it has just started"])
def test_an_environment_can_be_ended_before_its_sandbox_runs(let_through: bool) -> None:
    """Also in the very round of the loop in which the sandbox has come up."""

    @in_loop
    async def play_it() -> None:
        play = Play(Stage(sandbox_class=SlowSandbox))
        watched = play.stage.invocation()
        play.environment.start(watched.invocation)
        await play.stage.settle()
        assert play.state == "starting"
        if let_through:
            assert isinstance(play.sandbox, SlowSandbox)
            play.sandbox.gate.set()
        play.environment.end("the emulator stops")
        await play.stage.settle()
        assert play.state == "gone"
        assert watched.heard == ["failure"]
        assert play.sandbox.stopped

    play_it()


@in_loop
async def test_whoever_must_look_before_the_end_sees_living_processes() -> None:
    """The observer is asked before the sandbox is stopped, with the id."""
    seen: list[tuple[EnvironmentId, bool]] = []
    play: Play

    async def before_end(environment_id: EnvironmentId) -> None:
        seen.append((environment_id, play.sandbox.stopped))

    play = Play(Stage(before_end=before_end))
    await play.frozen()
    play.environment.end("recycled by hand")
    await play.stage.settle()
    assert seen == [(ID, False)]
    assert play.sandbox.stopped


@in_loop
async def test_a_database_that_is_away_does_not_keep_an_environment_alive() -> None:
    """The look before the end may fail; the end comes."""

    async def before_end(environment_id: EnvironmentId) -> None:
        raise DatabaseError("it does not answer")

    play = Play(Stage(before_end=before_end))
    await play.frozen()
    play.environment.end("recycled by hand")
    await play.stage.settle()
    assert play.state == "gone"


class StubbornSandbox(FakeSandbox):
    """A sandbox that cannot be removed."""

    async def stop(self) -> None:
        raise SandboxError("it is still busy")


@in_loop
async def test_a_sandbox_that_cannot_be_removed_is_told_and_the_environment_gone() -> None:
    """The fault is on the timeline; the owner does not wait for ever."""
    play = Play(Stage(sandbox_class=StubbornSandbox))
    await play.frozen()
    play.environment.end("recycled by hand")
    await play.stage.settle()
    assert play.state == "gone"
    assert play.stage.reason("environment.trouble") == "its sandbox could not be removed: it is still busy"
    assert play.owner.told == ["parked", "ending", "gone"]
