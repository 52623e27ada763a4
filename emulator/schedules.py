"""Schedules: events that a function gets at times of the emulator's clock, as EventBridge sends them."""

from __future__ import annotations

import datetime
import json
import re
import uuid
import zoneinfo
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emulator.clock import Clock, Timer
from emulator.errors import ConfigurationError

__all__ = ["Schedule", "Schedules"]

_RATE = re.compile(r"rate\((\d+) (minute|minutes|hour|hours|day|days)\)")
_CRON = re.compile(r"cron\((\S+ \S+ \S+ \S+ \S+ \S+)\)")
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
_ROUNDING = 1e-3  # seconds: a moment that was due is not due once more
_CURE = 'An expression is "rate(5 minutes)", "cron(0 10 * * ? *)" or "at(2027-01-01T00:00:00)".'


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a function gets an event, and which.

    Arguments:
        expression: ``rate(5 minutes)``, ``cron(0 10 * * ? *)`` of six fields, or ``at(2027-01-01T00:00:00)`` [D].
        input: the event, as JSON; without one it is EventBridge's own.
        source: ``aws.events``, or ``aws.scheduler`` for EventBridge Scheduler.
        timezone: of ``cron`` and ``at``.

    Raises:
        ConfigurationError: an expression that AWS would refuse.
    """

    name: str
    function: str
    expression: str
    input: str | None = None
    source: str = "aws.events"
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        self._check_expression()
        try:
            zoneinfo.ZoneInfo(self.timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
            raise ConfigurationError(
                f"schedule {self.name}: there is no time zone {self.timezone!r}", cure='As in "Europe/Berlin".'
            ) from error
        if self.input is not None:
            try:
                json.loads(self.input)
            except ValueError as error:
                raise ConfigurationError(
                    f"schedule {self.name}: its input is no JSON: {error}", cure="It is a text of JSON, as in '{}'."
                ) from error

    def _check_expression(self) -> None:
        if (found := _RATE.fullmatch(self.expression)) is not None:
            number, unit = int(found[1]), found[2]
            if number > 0 and (number == 1) != unit.endswith("s"):  # [D] singular for one, plural for more
                return
        elif _CRON.fullmatch(self.expression) is not None or _AT.fullmatch(self.expression) is not None:
            try:
                self.after(0.0, first=0.0)
            except (ValueError, IndexError, KeyError):
                pass
            else:
                return
        raise ConfigurationError(f"schedule {self.name}: {self.expression!r} is no schedule", cure=_CURE)

    def after(self, moment: float, *, first: float) -> float | None:
        """The next time after a moment, in seconds since the epoch; ``None`` where there is none any more.

        Arguments:
            first: when the schedule began, which a rate counts from.
        """
        if (rate := _RATE.fullmatch(self.expression)) is not None:
            period = int(rate[1]) * _SECONDS[rate[2].removesuffix("s")]
            return first + (int((moment - first + _ROUNDING) // period) + 1) * period
        zone = zoneinfo.ZoneInfo(self.timezone)
        if (at := _AT.fullmatch(self.expression)) is not None:
            due = datetime.datetime.fromisoformat(at[1]).replace(tzinfo=zone).timestamp()
            return due if due > moment else None
        return self._after_by_cron(moment, zone)

    def _after_by_cron(self, moment: float, zone: zoneinfo.ZoneInfo) -> float | None:
        import pyawscron  # not for those who have no schedule

        found = _CRON.fullmatch(self.expression)
        assert found is not None, "it was checked"
        # It reckons in UTC only: so the zone's own wall clock is given to it as if it were that.
        wall = datetime.datetime.fromtimestamp(moment, zone).replace(tzinfo=datetime.UTC)
        due: datetime.datetime | None = pyawscron.AWSCron(found[1]).occurrence(wall).next()
        return due.replace(tzinfo=zone).timestamp() if due is not None else None


class Schedules:
    """All schedules, each with its next time.

    Arguments:
        send: gives an event to a function, asynchronously; what it raises is told on the timeline.
        region, account: for the event that EventBridge makes.
    """

    def __init__(
        self,
        clock: Clock,
        schedules: Sequence[Schedule],
        send: Callable[[Schedule, bytes], None],
        *,
        region: str,
        account: str,
    ) -> None:
        self._clock, self._send = clock, send
        self._region, self._account = region, account
        self._first = clock.now()
        self._due: dict[str, tuple[Schedule, float]] = {}
        self._timers: dict[str, Timer] = {}
        for schedule in schedules:
            self._arm(schedule, self._first)

    @property
    def next_due(self) -> float | None:
        """When the next one is due, as a reading of the emulator's clock."""
        return min((self._reading(due) for _, due in self._due.values()), default=None)

    def more_than(self, number: int, *, until: float) -> bool:
        """Whether more events than this are due up to a moment, in seconds since the epoch."""
        if len(self._due) * (until - self._clock.now()) / 60 < number:
            return False  # for none is due more often than once a minute
        left = number
        for schedule, due in self._due.values():
            moment: float | None = due
            while moment is not None and moment <= until:
                left -= 1
                if left < 0:
                    return True
                moment = schedule.after(moment, first=self._first)
        return False

    async def finished(self) -> None:
        """What they send is waited for by who serves it."""

    def close(self) -> None:
        """Send no more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._due.clear()

    def _reading(self, moment: float) -> float:
        return self._clock.monotonic() + moment - self._clock.now()

    def _arm(self, schedule: Schedule, moment: float) -> None:
        due = schedule.after(moment, first=self._first)
        if due is None:
            self._due.pop(schedule.name, None)
            return
        self._due[schedule.name] = (schedule, due)
        self._timers[schedule.name] = self._clock.call_at(self._reading(due), lambda: self._fire(schedule, due))

    def _fire(self, schedule: Schedule, due: float) -> None:
        self._arm(schedule, due)
        self._send(schedule, self._event(schedule, due))

    def _event(self, schedule: Schedule, due: float) -> bytes:
        if schedule.input is not None:
            return schedule.input.encode()
        place = "events:{}:{}:rule" if schedule.source == "aws.events" else "scheduler:{}:{}:schedule/default"
        arn = f"arn:aws:{place.format(self._region, self._account)}/{schedule.name}"
        at = datetime.datetime.fromtimestamp(due, datetime.UTC)
        return json.dumps(  # [D] EventBridge user guide, scheduled events
            {
                "version": "0",
                "id": str(uuid.uuid4()),
                "detail-type": "Scheduled Event",
                "source": schedule.source,
                "account": self._account,
                "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "region": self._region,
                "resources": [arn],
                "detail": {},
            }
        ).encode()
