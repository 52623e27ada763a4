"""Environments with extensions when everybody does what he likes: what must hold, holds after every single step.

Next door (``test_pool_any_order``) it is clocks, policies and freezers that do; here it is the inhabitants, who talk to
the inside APIs as connections do: in turn, out of turn, in pieces, and to the middle of a sentence.

The room is long because it is one play, with all that its people may do and all that must hold.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from emulator.concurrency import Concurrency
from emulator.environment import Environment
from emulator.errors import FreezeError, SandboxError, ThrottledError
from emulator.lifecycle import State
from emulator.model import EnvironmentId, InitializationType, Reclaim
from emulator.policies import MaxInvocations, Policy
from emulator.pool import Pool
from emulator.runtime_api.runtime import State as RuntimeState
from emulator.runtime_api.sessions import Sessions
from emulator.runtime_api.telemetry import TelemetrySession
from emulator.sandbox.base import ExitStatus
from tests.support import skip_time
from tests.unit.any_order import StandingLoop
from tests.unit.inhabited import Extension, Inhabited, Runtime
from tests.unit.stage import Line, Stage, Watched

AT_REST = (State.IDLE, State.FREEZING, State.FROZEN)
SERVING = (State.STARTING, State.INIT, State.THAWING, State.INVOKING, State.RESETTING)
OVER = (State.SHUTTING_DOWN, State.GONE)
TIMEOUT = 3.0
NUMBER = st.integers(0, 7)
READS = st.sampled_from(["whole", "pieces", "slowly"])
EVENTS = st.sampled_from([(), ("INVOKE",), ("SHUTDOWN",), ("INVOKE", "SHUTDOWN")])


T = TypeVar("T")


def choose(among: Sequence[T], number: int) -> T:
    return among[number % len(among)]


class Reader:
    """A client who reads a streamed response, if he feels like it."""

    def __init__(self) -> None:
        self.began = self.ended = 0
        self.wants_more = True
        self.heard_after_the_end = False
        self.resume: Callable[[], None] = lambda: None

    def read_on(self) -> None:
        self.wants_more = True
        self.resume()

    def response_began(self, content_type: str, resume: Callable[[], None]) -> None:
        self.began += 1
        self.resume = resume

    def response_chunk(self, chunk: bytes) -> bool:
        self.heard_after_the_end |= not self.began or bool(self.ended)
        return self.wants_more

    def response_ended(self, error_type: str | None, error_body: bytes | None) -> None:
        self.ended += 1


class Reserve:
    """Who keeps environments that are made ahead of requests."""

    has_waiting = False

    def __init__(self) -> None:
        self.all: list[Environment] = []
        self.resting: list[Environment] = []

    def environment_parked(self, environment: Environment) -> None:
        self.resting.append(environment)
        environment.freeze()

    def environment_ending(self, environment: Environment) -> None:
        if environment in self.resting:
            self.resting.remove(environment)

    def environment_gone(self, environment: Environment) -> None:
        self.all.remove(environment)


class AnyLife(RuleBasedStateMachine):
    """Clients, runtimes, extensions, and a machine that fails now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = StandingLoop()
        self.loop.on_dial = self._dialled
        self.accepted: list[tuple[Watched, Reader | None]] = []
        self.accepted_at: dict[str, float] = {}
        self.dialled = Counter[str]()
        self.dialled_while_frozen = 0
        self.reserve = Reserve()
        self.known: dict[str, Environment] = {}
        self.made = 0

    @initialize(
        limit=st.integers(1, 3),
        externals=st.integers(0, 2),
        ages=st.booleans(),
        reclaim=st.sampled_from(Reclaim),
        slow=st.sampled_from(["freezer", "network", ""]),
        heeds=st.booleans(),
        quiet=st.sampled_from([0.0, 1.0]),
        events=EVENTS,
        listens=st.sampled_from(["", "telemetry", "logs"]),
    )
    def begin(
        self,
        limit: int,
        externals: int,
        ages: bool,
        reclaim: Reclaim,
        slow: str,
        heeds: bool,
        quiet: float,
        events: tuple[str, ...],
        listens: str,
    ) -> None:
        stage = self.stage = Stage(quiet=quiet)

        class House(Inhabited):
            extensions = ("first", "second")[:externals]
            server = stage.runtime_api

        stage.provider.sandbox_class = House
        self.concurrency = Concurrency(limit)
        policy = Policy("test", (MaxInvocations(3),) if ages else (), reclaim)
        self.pool = Pool(stage.function, stage.surroundings, policy, self.concurrency)
        self.line = Line(self.pool)
        self.slow, self.heeds, self.events, self.listens = slow, heeds, events, listens
        self.seen = set[Inhabited]()

    # -- clients and people ------------------------------------------------------------------------------------

    @rule(asynchronous=st.booleans(), reads=READS)
    def a_client_invokes(self, asynchronous: bool, reads: str) -> None:
        watched, reader = self._event(asynchronous=asynchronous, reads=reads)
        full = self.concurrency.in_use >= self.concurrency.limit

        def submit() -> None:
            try:
                (self.line if asynchronous else self.pool).submit(watched.invocation)
            except ThrottledError:
                assert full, "throttled though a slot was free"
            else:
                self._accept(watched, reader)

        self._do(submit)

    @precondition(lambda self: self.concurrency.in_use < self.concurrency.limit)
    @rule(reads=READS, until=st.sampled_from(["at work", "streaming", "streamed", "answered", "done", "done"]))
    def an_event_goes_its_way(self, reads: str, until: str) -> None:
        """To the end, or until the runtime has come so far."""
        watched, reader = self._event(asynchronous=False, reads=reads)
        self._accept(watched, reader)
        self._do(lambda: self.pool.submit(watched.invocation))
        for _ in range(12):
            at_work = [r for r in self._runtimes() if r.open == watched.invocation.request_id]
            if at_work and until != "done":
                self._do(functools.partial(self._work, at_work[0], until))
                return
            self._do(lambda: self._duty_in(watched.outcome.environment_id))
        assert watched.heard

    def _work(self, runtime: Runtime, until: str) -> None:
        assert runtime.open is not None
        match until:
            case "streaming" | "streamed":
                runtime.begin_stream(runtime.open)
                runtime.stream_more(b"a piece")
                if until == "streamed":
                    runtime.end_stream()
            case "answered":
                runtime.post("response", runtime.open)

    @precondition(lambda self: self._held_up())
    @rule(number=NUMBER)
    def a_reader_wants_more(self, number: int) -> None:
        self._do(choose(self._held_up(), number).read_on)

    @precondition(lambda self: len(self.reserve.all) < 2)
    @rule(provisioned=st.booleans())
    def an_environment_is_made_ahead(self, provisioned: bool) -> None:
        kind = InitializationType.PROVISIONED_CONCURRENCY if provisioned else InitializationType.ON_DEMAND
        self.made += 1
        name = EnvironmentId(f"made-{self.made}")

        def make() -> None:
            environment = Environment(name, self.stage.function, self.stage.surroundings, self.reserve, kind)
            self.reserve.all.append(environment)
            environment.start(None)

        self._do(make)

    @precondition(lambda self: self.reserve.resting)
    @rule(reads=st.sampled_from(["whole", "pieces"]))
    def one_that_was_made_ahead_serves(self, reads: str) -> None:
        watched, reader = self._event(asynchronous=False, reads=reads)
        self._accept(watched, reader)
        self._do(lambda: self.reserve.resting.pop().invoke(watched.invocation))

    @precondition(lambda self: self._environments())
    @rule(number=NUMBER, how=st.sampled_from(Reclaim), gently=st.booleans())
    def somebody_ends_environments(self, number: int, how: Reclaim, gently: bool) -> None:
        """One, in the middle of whatever it does; or all of them, when each has finished."""
        if gently:
            self._do(lambda: self.pool.recycle("by hand", how))
            return
        environment = choose(self._environments(), number)
        self._do(lambda: environment.end("somebody wants it", how))
        assert environment.state in OVER

    @rule(seconds=st.sampled_from([0.1, 0.3, 0.5, 2.0, TIMEOUT, 10.0]))
    def time_passes(self, seconds: float) -> None:
        before = {e.id: e.last_request_id for e in self._environments() if e.state is State.INVOKING}
        dialled = self.dialled.copy()
        self._do(lambda: skip_time(seconds))
        for environment, sandbox, sessions in self._served():
            if environment.state is State.INVOKING and before.get(environment.id) == environment.last_request_id:
                assert seconds < TIMEOUT
                if seconds >= 2.0 and isinstance(sessions.telemetry, TelemetrySession) and sessions.telemetry.is_wanted:
                    assert self.dialled[sandbox.view.address] > dialled[sandbox.view.address]

    # -- runtimes ----------------------------------------------------------------------------------------------

    @precondition(lambda self: self._inhabited())
    @rule(number=NUMBER)
    def inhabitants_do_their_duty(self, number: int) -> None:
        sandbox = choose(self._inhabited(), number)
        self._do(lambda: self._duty(sandbox))

    @precondition(lambda self: self._runtimes())
    @rule(number=NUMBER, what=st.sampled_from(["next", "init error", "nonsense", "half a body"]))
    def a_runtime_asks(self, number: int, what: str) -> None:
        runtime = choose(self._runtimes(), number)

        def ask() -> None:
            match what:
                case "next":
                    runtime.next()
                case "init error":
                    runtime.init_error()
                case "nonsense":
                    runtime.call("NONSENSE")
                case _:
                    head = f"POST /2018-06-01/runtime/invocation/{runtime.last}/response\r\nContent-Length: 9\r\n"
                    runtime.call(head, b"half", whole=False).end_here()

        self._do(ask)

    @precondition(lambda self: self._runtimes(at_work=True))
    @rule(
        number=NUMBER,
        what=st.sampled_from(["response", "error"]),
        which=st.sampled_from(["open", "last", "wrong"]),
        mode=st.sampled_from(["", "", "streamingly"]),
        parks=st.booleans(),
    )
    def a_runtime_answers(self, number: int, what: str, which: str, mode: str, parks: bool) -> None:
        runtime = choose(self._runtimes(at_work=True), number)

        def answer() -> None:
            headers = f"Lambda-Runtime-Function-Response-Mode: {mode}\r\n" if mode else ""
            runtime.post(what, self._request_id(runtime, which), headers=headers)
            if parks:
                runtime.next()

        self._do(answer)

    @precondition(lambda self: self._runtimes(at_work=True))
    @rule(number=NUMBER, which=st.sampled_from(["open", "open", "wrong"]), chunks=st.integers(0, 2))
    def a_runtime_begins_to_stream(self, number: int, which: str, chunks: int) -> None:
        runtime = choose(self._runtimes(at_work=True), number)

        def begin() -> None:
            runtime.begin_stream(self._request_id(runtime, which))
            for _ in range(chunks):
                runtime.stream_more(b"a piece")

        self._do(begin)

    @precondition(lambda self: self._streaming())
    @rule(
        number=NUMBER, what=st.sampled_from(["more", "end", "end with an error", "hang up", "half", "nonsense", "die"])
    )
    def a_stream_goes_on(self, number: int, what: str) -> None:
        runtime = choose(self._streaming(), number)

        def go_on() -> None:
            match what:
                case "more":
                    runtime.stream_more(b"more of it")
                case "end" | "end with an error":
                    runtime.end_stream("Function.Sad" if what != "end" else None)
                case "die":
                    runtime.stream_more(b"the last words")
                    runtime.die(ExitStatus(code=1))
                case _:
                    runtime.break_stream("end" if what == "half" else what)

        self._do(go_on)

    # -- extensions --------------------------------------------------------------------------------------------

    @precondition(lambda self: self._runtimes())
    @rule(number=NUMBER, events=EVENTS, also_parks=st.booleans(), name=st.sampled_from(["inner", "late", "first"]))
    def an_internal_extension_registers(
        self, number: int, events: tuple[str, ...], also_parks: bool, name: str
    ) -> None:
        runtime = choose(self._runtimes(), number)

        def register() -> None:
            extension = Extension(runtime, name)
            extension.register(events)
            if extension.is_registered:
                runtime.internal.append(extension)
                if also_parks:
                    extension.next()

        self._do(register)

    @precondition(lambda self: self._extensions())
    @rule(number=NUMBER, what=st.sampled_from(["register", "next", "init", "exit", "telemetry", "logs"]), events=EVENTS)
    def an_extension_calls(self, number: int, what: str, events: tuple[str, ...]) -> None:
        extension = choose(self._extensions(), number)

        def call() -> None:
            match what:
                case "register":
                    extension.register(events)
                case "next":
                    extension.next()
                case "init" | "exit":
                    extension.give_up(what)
                case _:
                    extension.subscribe(what)

        self._do(call)

    # -- accidents ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self._inhabited())
    @rule(number=NUMBER, which=NUMBER, code=st.sampled_from([0, 1]), exit_first=st.booleans(), parks=st.booleans())
    def a_program_dies(self, number: int, which: int, code: int, exit_first: bool, parks: bool) -> None:
        sandbox = choose(self._inhabited(), number)
        program = choose([p for p in sandbox.programs.values() if p.alive], which)

        def die() -> None:
            if parks and program.acts and isinstance(program, Runtime):
                program.next()
            program.die(ExitStatus(code=code), exit_first=exit_first)

        self._do(die)

    @precondition(lambda self: self._inhabited())
    @rule(number=NUMBER, which=NUMBER)
    def a_connection_is_lost(self, number: int, which: int) -> None:
        sandbox = choose(self._inhabited(), number)
        calls = [call for program in sandbox.programs.values() for call in program.calls]
        if calls:
            self._do(choose(calls, which).hang_up)

    @precondition(lambda self: self._sandboxes())
    @rule(number=NUMBER, what=st.sampled_from(["reset", "programs", "signals", "freezer", "network", ""]))
    def a_sandbox_fails(self, number: int, what: str) -> None:
        sandbox = choose(self._sandboxes(), number)
        trouble = SandboxError("out of order")
        sandbox.fail_reset_with = trouble if what == "reset" else None
        sandbox.fail_programs_with = trouble if what == "programs" else None
        sandbox.fail_signals_with = PermissionError("not yours") if what == "signals" else None
        sandbox.freezer.fail_with = FreezeError("out of order") if what == "freezer" else None
        sandbox.cut.fail_with = trouble if what == "network" else None

    @precondition(lambda self: self._sandboxes())
    @rule(number=NUMBER, what=st.sampled_from(["gate", "freezer", "network"]), slow=st.booleans())
    def a_sandbox_takes_its_time(self, number: int, what: str, slow: bool) -> None:
        sandbox = choose(self._sandboxes(), number)

        def change() -> None:
            match what, slow:
                case "gate", True:
                    sandbox.gate.clear()
                case "gate", False:
                    sandbox.gate.set()
                case "freezer", _:
                    sandbox.freezer.slow = slow
                    sandbox.freezer.confirm()
                case _:
                    sandbox.cut.slow = slow
                    sandbox.cut.confirm()

        self._do(change)

    # -- what must hold ----------------------------------------------------------------------------------------

    @invariant()
    def no_environment_has_two_events(self) -> None:
        at_work = [w.outcome.environment_id for w, _ in self.accepted if not self._is_finished(w)]
        assert len([one for one in at_work if one is not None]) == len({one for one in at_work if one is not None})
        assert not any(runtime.was_given_two for runtime in self._runtimes(frozen=True))

    @invariant()
    def no_event_is_lost(self) -> None:
        queued = 0
        for watched, _ in self.accepted:
            assert watched.heard in ([], ["answer"], ["answer", "report"], ["failure"])
            key = watched.outcome.environment_id
            if key is None:
                queued += not watched.heard
            elif not self._is_finished(watched):
                environment = self.known[key]
                assert environment.state in (*SERVING, State.IDLE), "nobody works on it any more"
                assert environment.last_request_id == watched.invocation.request_id
        assert queued == len(self.line) + len(self.pool._returning)

    @invariant()
    def every_report_has_its_lines(self) -> None:
        for watched, _ in self.accepted:
            if watched.outcome.report is not None:
                words = [line.split(maxsplit=1)[0] for line in watched.logs.splitlines() if "RequestId:" in line]
                assert words == ["START", "END", "REPORT"]
                if watched.outcome.report.status == "timeout":
                    assert self.loop.time() - self.accepted_at[watched.invocation.request_id] > TIMEOUT - 0.1

    @invariant()
    def what_is_streamed_has_one_beginning_and_one_end(self) -> None:
        for watched, reader in self.accepted:
            if reader is not None:
                assert reader.began <= 1
                assert not reader.heard_after_the_end
                answered = watched.heard[:1] == ["answer"]
                assert reader.ended == (reader.began == 1 and answered)

    @invariant()
    def every_slot_is_accounted_for(self) -> None:
        serving = [e for e in self.pool.environments if e.state in SERVING]
        assert self.concurrency.in_use == len(serving) <= self.concurrency.limit
        assert not self.line or self.concurrency.in_use == self.concurrency.limit

    @invariant()
    def nobody_is_frozen_while_somebody_works_nor_works_frozen(self) -> None:
        for environment, sandbox, sessions in self._served():
            everybody = self._everybody_waits(sessions)
            if environment.state in (State.FREEZING, State.FROZEN):
                assert everybody
            if environment.state in (State.INIT, State.INVOKING):
                assert not everybody, "everybody waits, and nothing happens"
                assert not sandbox.freezer.frozen
                assert not sandbox.cut.is_off
            if environment.state is State.FROZEN:
                assert sandbox.freezer.frozen

    @invariant()
    def nobody_is_told_anything_while_frozen(self) -> None:
        assert self.dialled_while_frozen == 0
        assert not any(sandbox.disturbed for sandbox in self._all_sandboxes())

    @invariant()
    def what_is_gone_left_nothing(self) -> None:
        listed = {environment.id for environment in self._environments()}
        for key, environment in self.known.items():
            assert (key in listed) != environment.gone.is_set()
        for sandbox in self._all_sandboxes():
            if sandbox.spec.environment_id not in listed:
                assert sandbox.stopped
                assert self._sessions(sandbox) is None
        open_ones = {connection.sessions for connection in self.stage.runtime_api.connections}
        assert open_ones <= {self._sessions(sandbox) for sandbox in self._sandboxes()}

    def teardown(self) -> None:
        """Everything is ended, or finishes first; then time passes, and nothing is left."""
        try:
            if hasattr(self, "pool"):
                self._end_in_order()
        finally:
            self.loop.close()

    def _end_in_order(self) -> None:
        if len(self.accepted) % 2:  # half of all runs end in the middle of things
            for _ in range(200):
                self._do(self._repair)
                self._do(self._everybodys_duty)
                if not self.line and all(e.state in AT_REST for e in self._environments()):
                    break
            assert all(self._is_finished(watched) for watched, _ in self.accepted)

        async def close() -> None:
            self._repair()
            self.line.close()
            closing = self.loop.create_task(self.pool.close("the emulator stops"))
            for environment in list(self.reserve.all):
                environment.end("the emulator stops", Reclaim.GRACEFUL)
            for _ in range(8):
                await self.stage.settle()
                skip_time(1.0)
                self._repair()
            assert closing.done()

        self.loop.run_until_complete(close())
        assert self._environments() == []
        assert self.concurrency.in_use == 0
        assert self.stage.working == 0
        assert not self.stage.runtime_api.connections
        self.what_is_gone_left_nothing()
        self.no_event_is_lost()
        assert all(self._is_finished(watched) for watched, _ in self.accepted)

    # -- inside ------------------------------------------------------------------------------------------------

    def _event(self, *, asynchronous: bool, reads: str) -> tuple[Watched, Reader | None]:
        watched = self.stage.invocation(asynchronous=asynchronous)
        if reads == "whole":
            return watched, None
        reader = watched.invocation.reader = Reader()
        reader.wants_more = reads == "pieces"
        return watched, reader

    def _accept(self, watched: Watched, reader: Reader | None) -> None:
        self.accepted.append((watched, reader))
        self.accepted_at[watched.invocation.request_id] = self.loop.time()

    def _is_finished(self, watched: Watched) -> bool:
        return watched.heard in (["answer", "report"], ["failure"])

    def _request_id(self, runtime: Runtime, which: str) -> str:
        match which:
            case "open":
                return runtime.open or runtime.last
            case "last":
                return runtime.last
            case _:
                return "request-of-another"

    def _repair(self) -> None:
        """All that is broken works again."""
        for sandbox in self._sandboxes():
            sandbox.fail_reset_with = sandbox.fail_programs_with = sandbox.fail_signals_with = None
            sandbox.freezer.fail_with = sandbox.cut.fail_with = None
            sandbox.freezer.slow = sandbox.cut.slow = False
        self._let_go_on()

    def _let_go_on(self) -> None:
        """Whatever anybody waits for comes, for once."""
        for sandbox in self._sandboxes():
            sandbox.gate.set()
            sandbox.cut.confirm()
            sandbox.freezer.confirm()
        for _, reader in self.accepted:
            if reader is not None:
                reader.read_on()

    def _everybodys_duty(self) -> None:
        skip_time(0.1)
        for sandbox in self._sandboxes():
            self._duty(sandbox)

    def _duty_in(self, environment_id: str | None) -> None:
        self._let_go_on()
        skip_time(0.1)
        for sandbox in self._sandboxes():
            if sandbox.spec.environment_id == environment_id:
                self._duty(sandbox)

    def _duty(self, sandbox: Inhabited) -> None:
        for extension in sandbox.living_extensions:
            extension.duty(self.events, self.listens)
        if (runtime := sandbox.runtime) is not None:
            runtime.duty()

    def _do(self, action: Callable[[], object]) -> None:
        """One thing happens, and then everything that comes of it."""

        async def act() -> None:
            action()
            await self.stage.settle()

        self.loop.run_until_complete(act())
        for environment in self._environments():
            self.known[environment.id] = environment
        for sandbox in self._sandboxes():
            if sandbox not in self.seen:
                self.seen.add(sandbox)
                sandbox.freezer.slow = self.slow == "freezer"
                sandbox.cut.slow = self.slow == "network"
            for program in sandbox.programs.values():
                program.heeds = self.heeds

    def _dialled(self, address: str) -> None:
        self.dialled[address] += 1
        for sandbox in self._all_sandboxes():
            self.dialled_while_frozen += sandbox.view.address == address and sandbox.freezer.frozen

    def _environments(self) -> list[Environment]:
        """In the order in which they were made, however a set is ordered today."""
        order = [sandbox.spec.environment_id for sandbox in self._all_sandboxes()]
        return sorted([*self.pool.environments, *self.reserve.all], key=lambda e: order.index(e.id))

    def _all_sandboxes(self) -> list[Inhabited]:
        return [sandbox for sandbox in self.stage.provider.sandboxes if isinstance(sandbox, Inhabited)]

    def _sandboxes(self) -> list[Inhabited]:
        return [sandbox for sandbox in self._all_sandboxes() if not sandbox.stopped]

    def _held_up(self) -> list[Reader]:
        return [r for _, r in self.accepted if r is not None and r.began > r.ended and not r.wants_more]

    def _inhabited(self) -> list[Inhabited]:
        return [s for s in self._sandboxes() if any(program.alive for program in s.programs.values())]

    def _runtimes(self, *, frozen: bool = False, at_work: bool = False) -> list[Runtime]:
        living = [sandbox.runtime for sandbox in self._sandboxes() if sandbox.runtime is not None]
        return [runtime for runtime in living if (frozen or runtime.acts) and (not at_work or runtime.open)]

    def _streaming(self) -> list[Runtime]:
        return [runtime for runtime in self._runtimes() if runtime.stream is not None]

    def _extensions(self) -> list[Extension]:
        return [e for sandbox in self._sandboxes() for e in sandbox.living_extensions if e.program.acts]

    def _sessions(self, sandbox: Inhabited) -> Sessions | None:
        return self.stage.runtime_api.find((sandbox.view.address, 1), ("127.0.0.1", 2))

    def _served(self) -> list[tuple[Environment, Inhabited, Sessions]]:
        by_id = {environment.id: environment for environment in self._environments()}
        return [
            (by_id[sandbox.spec.environment_id], sandbox, sessions)
            for sandbox in self._sandboxes()
            if (sessions := self._sessions(sandbox)) is not None
        ]

    @staticmethod
    def _everybody_waits(sessions: Sessions) -> bool:
        extensions = sessions.extensions
        return sessions.runtime.state is RuntimeState.READY and extensions.all_registered and extensions.all_parked


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=100, stateful_step_count=40)
