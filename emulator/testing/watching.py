"""Watching what functions do to the database, and saying what should have come of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from emulator.embedded import DeployedFunction, Emulator
from emulator.errors import DatabaseError, EmulatorError
from emulator.evidence import Evidence
from emulator.model import Reclaim, Session
from emulator.testing.explaining import counted, explain_idle_invocations, explain_opened, explain_peak, explain_zombies

__all__ = ["Connections", "Seen", "watch"]


class Seen:
    """What a function, or all, did to the database while it was watched. Its assertions explain themselves.

    Arguments:
        emulator: runs them.
        function: the name of one; ``None`` for all.
    """

    def __init__(self, emulator: Emulator, function: str | None) -> None:
        self._emulator, self._function = emulator, function
        self._before: tuple[Session, ...] = ()
        with suppress(DatabaseError):  # without a database there is nothing to see
            self._before = emulator.connections()
        self._since = emulator.last_event
        self._evidence: Evidence | None = None

    @property
    def evidence(self) -> Evidence:
        """The records: up to now, or to the end of the block."""
        return self._evidence if self._evidence is not None else self._now()

    def end(self) -> None:
        """What happens from now on is not seen any more."""
        self._evidence = self._now()

    def assert_reused(self) -> None:
        """Every invocation but the first used a session that was there.

        Raises:
            AssertionError: one opened a session of its own, or spoke to no database: with the lines and the reasons.
        """
        __tracebackhide__ = True
        evidence, who = self.evidence, self._who
        first, later = evidence.invocations[:1], evidence.invocations[1:]
        if not later:
            raise AssertionError(
                f"{who} was invoked {'once' if first else 'never'} while it was watched: nothing can be reused.\n"
                "Cure: invoke it twice, or more often."
            )
        opened = [session for story in later for session in evidence.opened_by(story.request_id)]
        if opened:
            several = "another session" if len(opened) == 1 else f"{counted(len(opened))} more"
            told = [*evidence.opened_by(first[0].request_id), *opened]
            raise AssertionError(
                explain_opened(evidence, told, first=f"{who} opened {several} instead of using what was there:")
            )
        used = {request for session in evidence.sessions for request in session.used_by}
        idle = [story for story in later if story.request_id not in used]
        if idle:
            raise AssertionError(
                explain_idle_invocations(evidence, idle, first=f"{who} did not use a session in every invocation:")
            )

    def assert_opened(self, *, at_most: int) -> None:
        """No more sessions than this were opened.

        Raises:
            AssertionError: with the line that opened each, and why the one before would not do.
        """
        __tracebackhide__ = True
        opened = self.evidence.opened()
        if len(opened) > at_most:
            first = f"{self._who} opened {counted(len(opened))}, and {at_most} may be:"
            raise AssertionError(explain_opened(self.evidence, opened, first=first))

    def assert_no_zombies(
        self, *, after: Literal["recycle"] | None = None, reclaim: Reclaim | str | None = None
    ) -> None:
        """No session is left of an environment that is gone.

        Arguments:
            after: ``"recycle"`` ends the environments first.
            reclaim: how their connections end then: ``silent``, ``fin``, ``rst`` or ``graceful``; as the policy says
                by default.

        Raises:
            AssertionError: with the line that opened each, and the end of its environment.
            EmulatorError: an environment is not idle, so it cannot be ended now.
        """
        __tracebackhide__ = True
        if after == "recycle":
            self._recycle(reclaim)
        elif after is not None or reclaim is not None:
            raise ValueError('after is "recycle" or nothing, and reclaim says how')
        zombies = self.evidence.zombies()
        if zombies:
            first = f"the server holds {counted(len(zombies))} of {self._who} for environments that are gone:"
            raise AssertionError(explain_zombies(self.evidence, zombies, first=first))

    def assert_peak(self, *, at_most: int, concurrency: int | None = None) -> None:
        """No more sessions than this were open at once, those of environments that are gone included.

        Arguments:
            concurrency: reckon with so many environments at once, each with as many sessions as the one that had most.

        Raises:
            AssertionError: with the figures and the lines.
        """
        __tracebackhide__ = True
        evidence = self.evidence
        found = evidence.peak() if concurrency is None else evidence.peak_of_one() * concurrency
        if found > at_most:
            raise AssertionError(explain_peak(evidence, at_most=at_most, concurrency=concurrency, function=self._who))

    def __repr__(self) -> str:
        evidence = self.evidence
        return (
            f"<seen of {self._who}: {len(evidence.invocations)} invoked, {counted(len(evidence.opened()))} opened, "
            f"{evidence.peak()} at once, {len(evidence.zombies())} zombies>"
        )

    @property
    def _who(self) -> str:
        return self._function if self._function is not None else "every function together"

    def _now(self) -> Evidence:
        return self._emulator.evidence(self._function, since=self._since, before=self._before)

    def _recycle(self, reclaim: Reclaim | str | None) -> None:
        functions = {story.function for story in self.evidence.environments}
        for function in functions:
            answer = self._emulator.recycle(function, reclaim)
            if answer.when_parked:
                raise EmulatorError(
                    f"{len(answer.when_parked)} environments of {function} still serve, and end later",
                    cure="Wait for what you have sent before you look.",
                )
        self._evidence = self._now()


@contextmanager
def watch(function: DeployedFunction) -> Iterator[Seen]:
    """Watch what a function does to the database, until the end of the block.

    Raises:
        EmulatorError: its emulator does not run.
    """
    seen = Seen(function.emulator, function.name)
    yield seen
    seen.end()


class Connections:
    """The sessions of a test's functions.

    Arguments:
        emulator: runs them.
        functions: the names of those that the test has.
        belongs: whether a session that no environment has opened is the test's own.
    """

    def __init__(
        self,
        emulator: Emulator,
        functions: Callable[[], Collection[str]],
        belongs: Callable[[Session], bool] = lambda _session: False,
    ) -> None:
        self._emulator, self._functions, self._belongs = emulator, functions, belongs

    @contextmanager
    def watch(self, function: DeployedFunction | str | None = None) -> Iterator[Seen]:
        """Watch what one function, or all, do to the database, until the end of the block."""
        seen = Seen(self._emulator, function.name if isinstance(function, DeployedFunction) else function)
        yield seen
        seen.end()

    def sessions(self) -> tuple[Session, ...]:
        """Those that the server holds now."""
        theirs = self._functions()
        return tuple(
            session for session in self._emulator.connections() if session.function in theirs or self._belongs(session)
        )

    def zombies(self) -> tuple[Session, ...]:
        """Those of environments that are gone."""
        return tuple(session for session in self.sessions() if session.zombie)
