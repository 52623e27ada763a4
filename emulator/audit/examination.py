"""Does to a function what AWS does, and writes down what it does to its database."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pymysql

from emulator.audit.facts import Course, Facts, Leftover, Setting, Step
from emulator.audit.observed import most_open, most_open_in_one, opened_in
from emulator.audit.plan import Plan
from emulator.audit.session_state import leftovers
from emulator.audit.statements import StatementLog, logged_statements
from emulator.conditions import Condition, Stage, error_of
from emulator.database.accounts import describe
from emulator.embedded import DeployedFunction, Emulator, InvocationResult
from emulator.errors import ConditionError, DatabaseError, EmulatorError, RequestError
from emulator.model import Session
from emulator.timeline import TimelineEvent

__all__ = ["Progress", "examine"]

Progress = Callable[[str, int, int], None]
"""Is told what is done now, how many parts are done, and of how many."""

_FEWEST, _MOST = 3, 12  # invocations of one environment: three to see a pattern, more while its sessions grow
_TIMEOUTS = 2  # in a row, after which nobody has to wait for another one
_TRX_CACHE = 0.12  # seconds for which the server shows its open transactions as they were [C] 100 ms


def examine(emulator: Emulator, plan: Plan, progress: Progress = lambda *_: None) -> Facts:
    """Audit a function that the emulator runs; nobody else may use the emulator meanwhile.

    Raises:
        EmulatorError: it does not work where nothing happens to it, or does not use the database.
    """
    return _Examination(emulator, plan, progress).run()


class _Examination:
    def __init__(self, emulator: Emulator, plan: Plan, progress: Progress) -> None:
        self._emulator = emulator
        self._plan = plan
        self._function: DeployedFunction = emulator.function(plan.function)
        self._progress = progress
        self._parts = len(plan.conditions) + 2
        self._done = 0
        self._log: StatementLog | None = None
        self._not_logged = ""
        self._storm: int | None = None

    def run(self) -> Facts:
        begin = time.monotonic()
        setting = self._setting()
        with self._part("one environment, one invocation after the other"), self._logging():
            first = self._last_event()
            at_rest, opened = self._baseline()
            most = max(most_open_in_one(self._events(first)), *at_rest)
            self._complain_without_sessions(most)
            transactions = self._transactions()
            left = self._leftovers()
        growing = len(at_rest) > _FEWEST and at_rest[-1] > at_rest[-2]
        with self._part("recycled"):
            self._function.recycle("silent")
            left_by_recycle = sum(session.zombie for session in self._sessions())
        courses = []
        for condition in self._plan.conditions:
            with self._part(condition.title):
                courses.append(self._course(condition, at_rest[-1], growing=growing))
        self._clear()
        return Facts(
            setting=setting,
            at_rest=tuple(at_rest),
            opened=tuple(opened),
            most=most,
            still_growing=growing,
            left_by_recycle=left_by_recycle,
            open_transactions=len(transactions),
            locked_rows=sum(session.locked_rows or 0 for session in transactions),
            leftovers=left,
            not_looked_at=self._not_logged,
            courses=tuple(courses),
            storm=self._storm,
            seconds=time.monotonic() - begin,
        )

    def _setting(self) -> Setting:
        plan, status, summary = self._plan, self._emulator.status(), self._emulator.connections_summary()
        return Setting(
            function=plan.function,
            sandbox=status.sandbox,
            freezer=status.freezer.name,
            database=status.database or "none",
            limit=plan.limit if plan.limit is not None else summary.max_connections,
            limit_of=plan.limit_of,
            concurrency=plan.concurrency,
            pool=plan.pool,
            wait_timeout=summary.wait_timeout,
            keepalive=plan.settings.database.keepalive,
        )

    # -- without a condition -----------------------------------------------------------------------------

    def _baseline(self) -> tuple[list[int], list[int]]:
        """Sessions at rest, and those opened, by invocation; as many as it takes to see whether they grow."""
        at_rest: list[int] = []
        opened: list[int] = []
        environment = None
        while len(at_rest) < _FEWEST or (len(at_rest) < _MOST and at_rest[-1] > at_rest[-2]):
            begin = self._last_event()
            result = self._function.invoke(self._plan.payload)
            if (error := error_of(result)) is not None:
                raise EmulatorError(
                    f"the function fails where nothing happens to it: {error}",
                    cure="Give it a payload that it can serve: --payload JSON, or @FILE.",
                )
            if environment not in (None, result.environment_id):
                raise EmulatorError(
                    "no environment serves twice, so there is nothing to freeze",
                    cure="Audit it under a policy that keeps environments, such as aws.",
                )
            environment = result.environment_id
            at_rest.append(len(self._emulator.connections(environment)))
            opened.append(opened_in(self._events(begin), result.request_id))
            if self._log is not None:
                self._log.invocation_ended()
        return at_rest, opened

    def _complain_without_sessions(self, most: int) -> None:
        if most == 0:
            raise EmulatorError(
                "the function opens no session of the emulator's database: there is nothing to audit",
                cure="Let it connect to DB_HOST and DB_PORT, and give it a payload with which it asks its database.",
            )

    def _transactions(self) -> list[Session]:
        self._emulator.connections()
        time.sleep(_TRX_CACHE)
        return [session for session in self._sessions() if session.locked_rows is not None]

    @contextlib.contextmanager
    def _logging(self) -> Iterator[None]:
        if self._emulator.database_kind == "url":
            self._not_logged = "the server is your own, and its log is not switched on by the emulator"
            yield
            return
        with contextlib.ExitStack() as stack:
            try:
                self._log = stack.enter_context(logged_statements(self._emulator))
            except pymysql.err.MySQLError as error:
                self._not_logged = f"the server keeps no log of statements: {describe(error)}"
            yield
            self._log = None

    def _leftovers(self) -> tuple[Leftover, ...]:
        if self._log is None:
            return ()
        with contextlib.closing(self._emulator.connect()) as administration, administration.cursor() as cursor:
            cursor.execute("SHOW GLOBAL VARIABLES")
            defaults = {str(name).lower(): str(value) for name, value in cursor.fetchall()}
            found = leftovers(self._log.statements, defaults)
            held = []
            for leftover in found:
                if leftover.kind == "named lock":
                    cursor.execute("SELECT IS_USED_LOCK(%s)", (leftover.name,))
                    if (cursor.fetchone() or (None,))[0] is None:
                        continue
                held.append(leftover)
        return tuple(held)

    # -- under a condition -------------------------------------------------------------------------------

    def _course(self, condition: Condition, held: int, *, growing: bool) -> Course:
        self._clear()
        begin = self._last_event()
        before = condition.begins_with - 1
        steps: list[Step] = []
        stage = Stage(self._emulator)
        try:
            with stage.under(condition, self._function):
                for nth in range(1, before + self._steps(condition, 1 if growing else held) + 1):
                    steps.append(self._step(condition, stage, nth))
                    if len(steps) >= _TIMEOUTS and all(step.timed_out for step in steps[-_TIMEOUTS:]):
                        break
        except ConditionError as error:
            return Course(condition.name, condition.title, held, before, (), error.message)
        if condition.name.partition("=")[0] == "storm":
            self._storm = most_open(self._events(begin))
        if not all(step.ok for step in steps[:before]):
            failed = next(step for step in steps if not step.ok)
            return Course(
                condition.name, condition.title, held, before, (), f"it failed before anything happened: {failed.words}"
            )
        return Course(condition.name, condition.title, held, before, tuple(steps[before:]))

    def _steps(self, condition: Condition, sessions: int) -> int:
        """How often to invoke: whatever holds several sessions may meet each of the dead ones in its turn."""
        if condition.begins_with == 1:
            return 1 if condition.name.partition("=")[0] == "storm" else 2
        return min(_MOST, max(_FEWEST, sessions + 1))

    def _step(self, condition: Condition, stage: Stage, nth: int) -> Step:
        begin = time.monotonic()
        again = nth > max(2, condition.begins_with)  # the condition comes once, and then it is seen how long it hurts
        try:
            if again and condition.begins_with > 1:
                result = self._function.invoke(self._plan.payload)
            else:
                result = condition.invoke(stage, self._function, self._plan.payload, nth)
        except RequestError as error:
            return Step(False, words=error.message, duration_ms=(time.monotonic() - begin) * 1000)
        return _step_of(result)

    # -- the stage ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _part(self, what: str) -> Iterator[None]:
        self._progress(what, self._done, self._parts)
        yield
        self._done += 1
        self._progress(what, self._done, self._parts)

    def _clear(self) -> None:
        """No environment and no zombie of what was before."""
        self._function.recycle("fin")
        with contextlib.suppress(DatabaseError):  # on a server of the user's own they may have to stay
            self._emulator.kill_zombies()

    def _sessions(self) -> list[Session]:
        return [session for session in self._emulator.connections() if session.function == self._plan.function]

    def _last_event(self) -> int:
        events = self._emulator.timeline()
        return events[-1].seq if events else 0

    def _events(self, since: int) -> list[TimelineEvent]:
        return self._emulator.timeline(since)


def _step_of(result: InvocationResult) -> Step:
    error, duration = error_of(result), result.report.duration_ms
    if error is None:
        return Step(True, duration_ms=duration)
    return Step(False, error.code, error.words, duration, timed_out=result.report.status == "timeout")
