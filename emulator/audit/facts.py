"""What an audit has measured. Pure records; what to think of them says :mod:`emulator.audit.verdict`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Course", "CourseVerdict", "Facts", "Leftover", "Setting", "Step"]


class CourseVerdict(StrEnum):
    """What became of a function under a condition."""

    FINE = "fine"
    RECOVERED = "recovered"  # sessions had died, and no invocation failed
    FAILED_ONCE = "failed once"
    FAILED_SEVERAL_TIMES = "failed several times"  # and then went on
    POISONED = "poisoned for ever"  # no invocation worked any more, as long as was looked
    FAILED = "failed"
    NOT_RUN = "not run"


# What ends sessions, or makes them useless, behind the back of an environment that lives on.
_BEHIND_ITS_BACK = frozenset({"frozen-past-wait-timeout", "nat", "database-restarted", "failover-read-only"})


@dataclass(frozen=True, slots=True)
class Step:
    """One invocation under a condition.

    Attributes:
        code: MySQL's number of its error, where it has one.
        words: its error in one line; empty where it has none.
    """

    ok: bool
    code: int | None = None
    words: str = ""
    duration_ms: float = 0.0
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Course:
    """A function under one condition.

    Attributes:
        held: sessions that the environment holds when it is frozen.
        before: invocations before the condition could be felt.
        steps: those after it began, in order.
        not_run: why it could not be had; empty where it could.
    """

    condition: str
    title: str
    held: int
    before: int
    steps: tuple[Step, ...]
    not_run: str = ""

    @property
    def failures(self) -> int:
        return sum(not step.ok for step in self.steps)

    @property
    def first_failure(self) -> Step | None:
        return next((step for step in self.steps if not step.ok), None)

    @property
    def verdict(self) -> CourseVerdict:
        if self.not_run:
            return CourseVerdict.NOT_RUN
        behind_its_back = self.condition in _BEHIND_ITS_BACK
        if not self.failures:
            return CourseVerdict.RECOVERED if behind_its_back and self.held else CourseVerdict.FINE
        if not behind_its_back:
            return CourseVerdict.FAILED
        if not self.steps[-1].ok:
            return CourseVerdict.POISONED
        return CourseVerdict.FAILED_ONCE if self.failures == 1 else CourseVerdict.FAILED_SEVERAL_TIMES


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something of one invocation that the next one finds in its session.

    Attributes:
        kind: ``user variable``, ``temporary table``, ``named lock``, ``table lock``, ``session variable``.
        name: which.
        value: what it is set to, where it has a value.
    """

    kind: str
    name: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """What was audited, where, and against what.

    Attributes:
        limit: ``max_connections`` that functions can have.
        limit_of: whose limit that is, in words.
        concurrency: how many environments at once are asked about.
        pool: sessions of one environment to reckon with instead of those that were measured.
        wait_timeout: seconds, of the server.
        keepalive: seconds after which the server's kernel gives up a client that is gone.
    """

    function: str
    sandbox: str
    freezer: str
    database: str
    limit: int
    limit_of: str
    concurrency: int
    pool: int | None
    wait_timeout: float
    keepalive: float


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was measured.

    Attributes:
        at_rest: sessions that the environment held, frozen, after each of its invocations.
        opened: sessions that were opened in each of them, its init counted to the first.
        most: the most that one environment held at one moment.
        still_growing: it held more after the last of them than after the one before.
        left_by_recycle: sessions left on the server by an environment that was recycled silently.
        open_transactions: sessions that the frozen environment left in a transaction.
        locked_rows: rows that these lock.
        leftovers: what the sessions still had from the last invocation.
        not_looked_at: why leftovers were not looked for; empty where they were.
        storm: the most sessions that all environments together held in the storm; ``None`` without one.
        seconds: that all this took.
    """

    setting: Setting
    at_rest: tuple[int, ...]
    opened: tuple[int, ...]
    most: int
    still_growing: bool
    left_by_recycle: int
    open_transactions: int
    locked_rows: int
    leftovers: tuple[Leftover, ...]
    not_looked_at: str
    courses: tuple[Course, ...]
    storm: int | None
    seconds: float

    @property
    def growth(self) -> int:
        """Sessions that each warm invocation adds and none takes away."""
        return self.at_rest[-1] - self.at_rest[-2] if self.still_growing else 0

    @property
    def per_environment(self) -> int:
        """What to reckon with for each environment."""
        return self.setting.pool if self.setting.pool is not None else self.most

    @property
    def needed(self) -> int:
        """Sessions that environments of the concurrency asked about hold together."""
        return self.per_environment * self.setting.concurrency

    @property
    def zombie_life(self) -> float:
        """Seconds that the server holds a session whose environment is gone."""
        return min(self.setting.wait_timeout, self.setting.keepalive)
