"""What there is at every moment: environments, and the sessions that the database server holds for them.

It counts twice. *Wanted* is every session that the environments would hold on a server without a limit: how many
connections this needs. *Granted* is what a server with the limit gives them, and how often it refuses: error 1040.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from emulator.clock import Clock

__all__ = ["Ledger"]

_PARTS = 600
"""Time is recorded in so many parts, and never in more than twice as many."""


@dataclass(slots=True)
class _Columns:
    """One figure for every part of time, of each kind; the first five are averages over the part."""

    busy: array[float] = field(default_factory=lambda: array("d"))
    idle: array[float] = field(default_factory=lambda: array("d"))
    in_use: array[float] = field(default_factory=lambda: array("d"))
    resting: array[float] = field(default_factory=lambda: array("d"))
    zombies: array[float] = field(default_factory=lambda: array("d"))
    most: array[float] = field(default_factory=lambda: array("d"))
    """The most sessions at any moment of the part."""

    def all(self) -> tuple[array[float], ...]:
        return self.busy, self.idle, self.in_use, self.resting, self.zombies, self.most


class Ledger:
    """Counts of this moment, their sums over time, and their highest.

    Arguments:
        span: about how long it will be needed, in seconds of the clock.
        max_connections: the server's limit.

    Attributes:
        busy, idle: environments that serve, their cold start included, and those that are frozen.
        in_use, resting, zombies: sessions of the busy, of the idle, and of those that are gone.
        above: seconds in which the server would have had to hold more than its limit.
        refused: connects that a server with the limit refuses; ``refused_events``: events that met one.
    """

    def __init__(self, clock: Clock, span: float, max_connections: int) -> None:
        self._clock = clock
        self.limit = max_connections
        self.busy = self.idle = 0
        self.in_use = self.resting = self.zombies = 0
        self.most_environments = self.most_busy = self.most_idle = 0
        self.most = self.most_in_use = self.most_resting = self.most_zombies = 0
        self.above = 0.0
        self.granted = self.refused = self.refused_events = 0
        self.width = max(span, 1.0) / _PARTS
        self.columns = _Columns()
        self._at = 0.0
        self._edge = self.width
        self._sums = [0.0] * 5
        self._most_of_part = 0

    @property
    def environments(self) -> int:
        return self.busy + self.idle

    @property
    def sessions(self) -> int:
        return self.in_use + self.resting + self.zombies

    # -- environments ------------------------------------------------------------------------------------

    def began(self) -> None:
        """A cold start."""
        self._pass()
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        self.most_environments = max(self.most_environments, self.busy + self.idle)

    def resumed(self, sessions: int) -> None:
        """An idle one serves."""
        self._pass()
        self.idle -= 1
        self.busy += 1
        self.resting -= sessions
        self.in_use += sessions
        if self.busy > self.most_busy:
            self.most_busy = self.busy
        if self.in_use > self.most_in_use:
            self.most_in_use = self.in_use

    def rested(self, sessions: int) -> None:
        """A busy one is idle."""
        self._pass()
        self.busy -= 1
        self.idle += 1
        self.in_use -= sessions
        self.resting += sessions
        if self.idle > self.most_idle:
            self.most_idle = self.idle
        if self.resting > self.most_resting:
            self.most_resting = self.resting

    def ended(self, sessions: int, *, was_idle: bool, silent: bool) -> None:
        """One is gone; ``silent``: the server does not know."""
        self._pass()
        if was_idle:
            self.idle -= 1
            self.resting -= sessions
        else:
            self.busy -= 1
            self.in_use -= sessions
        if silent:
            self.zombies += sessions
            self.most_zombies = max(self.most_zombies, self.zombies)

    # -- sessions ----------------------------------------------------------------------------------------

    def connected(self, sessions: int) -> None:
        """One that serves has opened so many."""
        self._pass()
        self.in_use += sessions
        self.most_in_use = max(self.most_in_use, self.in_use)
        total = self.in_use + self.resting + self.zombies
        self.most = max(self.most, total)
        self._most_of_part = max(self._most_of_part, total)

    def dropped(self, sessions: int, *, zombies: bool) -> None:
        """The server has given some up that nobody used for too long: of one that is idle, or gone."""
        self._pass()
        if zombies:
            self.zombies -= sessions
        else:
            self.resting -= sessions

    def ask(self, sessions: int) -> int:
        """How many of so many the server with the limit grants."""
        granted = min(sessions, max(0, self.limit - self.granted))
        if granted < sessions:
            self.refused += sessions - granted
            self.refused_events += 1
        self.granted += granted
        return granted

    # -- time --------------------------------------------------------------------------------------------

    def close(self) -> None:
        """This is the end of the record."""
        self._pass()
        begin = len(self.columns.most) * self.width
        if self._at > begin:
            self._close_part(self._at - begin)

    def _pass(self) -> None:
        """Account for the time since the last change."""
        now = self._clock.monotonic()
        if now == self._at:
            return
        while now >= self._edge:
            self._add(self._edge - self._at)
            self._at = self._edge
            self._close_part(self.width)
        self._add(now - self._at)
        self._at = now

    def _add(self, seconds: float) -> None:
        sums = self._sums
        sums[0] += self.busy * seconds
        sums[1] += self.idle * seconds
        sums[2] += self.in_use * seconds
        sums[3] += self.resting * seconds
        sums[4] += self.zombies * seconds
        if self.in_use + self.resting + self.zombies > self.limit:
            self.above += seconds

    def _close_part(self, length: float) -> None:
        *averages, most = self.columns.all()
        for column, total in zip(averages, self._sums, strict=True):
            column.append(total / length)
        most.append(self._most_of_part)
        self._sums = [0.0] * 5
        self._most_of_part = self.sessions
        if len(most) >= 2 * _PARTS:
            self._halve()
        self._edge = (len(most) + 1) * self.width

    def _halve(self) -> None:
        """It takes longer than was thought: two parts become one."""
        *averages, most = self.columns.all()
        for column in averages:
            column[:] = array("d", ((column[i] + column[i + 1]) / 2 for i in range(0, len(column), 2)))
        most[:] = array("d", (max(most[i], most[i + 1]) for i in range(0, len(most), 2)))
        self.width *= 2
