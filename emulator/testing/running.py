"""One emulator for a run of tests, and what one test has of it: begun anew for each, and put right after each."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from emulator.config import Settings
from emulator.embedded import Emulator
from emulator.errors import EmulatorError
from emulator.testing.database import PrivateDatabase
from emulator.testing.deploying import Deployments, FunctionUnderTest
from emulator.testing.reporting import log_section, timeline_section
from emulator.timeline import TimelineEvent

__all__ = ["OneTest", "SharedEmulator", "raise_failures", "settings_for_tests"]

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    # A test says itself when its environments end; and assertions name the lines that open connections.
    "emulator": {"port": 0, "origins": True},
    "policy": {"name": "keep-warm"},
}
_KEPT_PIECES = 2_000  # of log, of one test
_SKIPPED = 1.0  # seconds that the emulator's clock may have gained in a test without that time was skipped


def settings_for_tests(*layers: Settings | Mapping[str, Mapping[str, Any]]) -> Settings:
    """Settings from several sources, the later ones over the earlier; below them all what suits tests.

    Raises:
        ConfigurationError: a value that cannot be.
    """
    settings = Settings().with_values(_DEFAULTS)
    for layer in layers:
        values = layer.model_dump(exclude_unset=True) if isinstance(layer, Settings) else layer
        settings = settings.with_values(values)
    return settings


class SharedEmulator:
    """An emulator, the functions that were deployed on it, and its log.

    Arguments:
        settings: see :func:`settings_for_tests`.
        base: relative code folders are below it.
    """

    def __init__(self, settings: Settings, base: Path) -> None:
        self.settings, self.base = settings, base
        self.log: deque[tuple[str, bytes]] = deque(maxlen=_KEPT_PIECES)
        self.emulator = Emulator(settings, base=base, log_sink=lambda name, _id, lines: self.log.append((name, lines)))
        self.deployments = Deployments(self.emulator)
        self._databases = 0

    def __enter__(self) -> SharedEmulator:
        self.emulator.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.emulator.__exit__(*error)

    @contextmanager
    def test(self, policy: object | None = None, folders: Sequence[Path] = ()) -> Iterator[OneTest]:
        """What one test has; put right again at the end, whatever it has done.

        Arguments:
            policy: another one for all functions, in the form that :meth:`Emulator.set_policy` takes; keys without a
                name go over the policy of the settings.
            folders: where relative folders of code are looked for, in this order.

        Raises:
            EmulatorError: at the end, where something went wrong in the emulator's own thread.
        """
        self.log.clear()
        run = OneTest(self, folders)
        try:
            if policy is not None:
                if isinstance(policy, Mapping) and "name" not in policy:
                    policy = {**self.policy, **policy}
                self.emulator.set_policy(policy)
            yield run
        finally:
            run.end()
        raise_failures(self.emulator.take_failures())

    def new_database_name(self) -> str:
        """One that no other test has, on this server or, where several runs share one, on that."""
        self._databases += 1
        return f"test_{self.emulator.instance_id}_{self._databases}"

    @property
    def policy(self) -> dict[str, Any]:
        """The one of the settings, as a table."""
        return self.settings.policy.model_dump(exclude_unset=True)


class OneTest:
    """What one test has done with the emulator so far."""

    def __init__(self, session: SharedEmulator, folders: Sequence[Path]) -> None:
        self._session, self._emulator = session, session.emulator
        self._folders = [*folders, session.base]
        self._ends = ExitStack()
        self._database: PrivateDatabase | None = None
        self.functions: list[FunctionUnderTest] = []
        self._since = self._emulator.last_event
        self._began = self._moments()

    @property
    def database(self) -> PrivateDatabase:
        """The test's own; made when it is first asked for."""
        if self._database is None:
            database = PrivateDatabase(
                self._emulator,
                self._session.new_database_name(),
                lambda: {function.name for function in self.functions},
            )
            self._database = self._ends.enter_context(database)
        return self._database

    def deploy(self, code: str | Path, **arguments: Any) -> FunctionUnderTest:
        """See :meth:`emulator.testing.deploying.Deployments.deploy`.

        In a test with a database of its own the functions work with that, so they are its own as well.
        """
        if self._database is not None:
            environment = {**self._database.environment, **arguments.get("environment", {})}
            arguments = {**arguments, "environment": environment, "fresh": True}
        function = self._session.deployments.deploy(code, folders=self._folders, **arguments)
        if function not in self.functions:
            self.functions.append(function)
        return function

    def sections(self) -> list[tuple[str, str]]:
        """What a report of a failed test is given along: log and timeline, each with its heading."""
        try:
            events = self._emulator.timeline(self._since)
        except EmulatorError as error:
            events, trouble = [], str(error)
        else:
            trouble = ""
        sections = [
            ("lambda-freezer: log", log_section(list(self._session.log))),
            ("lambda-freezer: timeline", timeline_section(events)),
            ("lambda-freezer: trouble", trouble),
        ]
        return [(heading, text) for heading, text in sections if text]

    def end(self) -> None:
        """Leave nothing that the next test could find: no skipped time, no policy, no zombie, no database."""
        with self._ends:
            events = self._emulator.timeline(self._since)
            self._undo_policies(events)
            self._session.deployments.begin_anew(everything=self._time_was_skipped())
            if any(event.kind == "connection.zombie" for event in events):
                self._emulator.kill_zombies()

    def _undo_policies(self, events: Sequence[TimelineEvent]) -> None:
        changed = {event.function for event in events if event.kind == "policy.changed"}
        for name in changed - {None}:
            self._session.deployments.forget(str(name))
        if changed:
            self._emulator.set_policy(self._session.policy)

    def _moments(self) -> tuple[float, float]:
        return self._emulator.now(), time.time()

    def _time_was_skipped(self) -> bool:
        (before, real_before), (after, real) = self._began, self._moments()
        passed = (real - real_before) * self._session.settings.emulator.speed
        return after - before > passed + _SKIPPED


def raise_failures(failures: Sequence[Exception]) -> None:
    """Have a test fail for what went wrong where nobody heard of it.

    Raises:
        EmulatorError: with the first failure as its cause.
    """
    if failures:
        told = "; ".join(f"{type(failure).__name__}: {failure}" for failure in failures)
        raise EmulatorError(f"something went wrong in the emulator's own thread: {told}") from failures[0]
