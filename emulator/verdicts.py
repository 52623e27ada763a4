"""What a run shows of its functions' connections, in sentences. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Event", "Verdict", "verdicts_of"]

Event = Mapping[str, Any]
"""One event of a timeline, as the inspection API has it."""

_NEAR = 0.8  # of max_connections


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run shows, in a sentence; ``tone`` is ``good``, ``bad`` or ``plain``."""

    tone: str
    sentence: str


def verdicts_of(events: Iterable[Event], max_connections: int | None = None) -> list[Verdict]:
    """What the events say of the functions' connections."""
    told = list(events)
    tally = _Tally(turned_away=_turned_away(told))
    for event in told:
        tally.take(event)
    return list(_judge(tally, max_connections))


@dataclass(slots=True)
class _Function:
    environments: int = 0
    invocations: int = 0
    opened: int = 0
    refused: int = 0
    left: int = 0


@dataclass(slots=True)
class _Tally:
    turned_away: set[int]  # numbers of openings that the server refused: never a session
    functions: dict[str, _Function] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    stale: int = 0
    unreached: int = 0
    broken: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    throttled: int = 0
    ended: int = 0
    peak: int = 0
    zombies: set[str] = field(default_factory=set)
    missing: int = 0
    _owner: dict[str, str] = field(default_factory=dict)  # environment to function
    _open: dict[str, str | None] = field(default_factory=dict)  # client's end to environment
    _last: int = 0

    def take(self, event: Event) -> None:
        self.missing += event["seq"] - self._last - 1
        self._last = event["seq"]
        subject, _, verb = event["kind"].partition(".")
        detail = event["detail"] or {}
        environment = event["environment"]
        if environment and event["function"]:
            self._owner[environment] = event["function"]
        if subject == "environment":
            self._of(environment).environments += verb == "starting"
            self.ended += verb == "gone"
        elif subject == "invocation":
            self.throttled += verb == "throttled"
            if verb == "finished":
                self._of(environment).invocations += 1
                if detail.get("error"):
                    self.errors[str(detail["error"])] += 1
        elif subject in ("connection", "session") and event["seq"] not in self.turned_away:
            if verb == "refused":
                self.refused[str(event["reason"]).partition(": ")[2]] += 1
                self._of(environment).refused += 1
            self._connection(verb, _client(detail), environment)

    def _connection(self, verb: str, client: str | None, environment: str | None) -> None:
        self.stale += verb == "stale"
        self.unreached += verb == "failed"
        self.broken += verb == "broken"
        if client is None:
            return
        if verb == "opened" and client not in self._open:
            self._open[client] = environment
            self.peak = max(self.peak, len(self._open))
            self._of(environment).opened += 1
        elif verb == "zombie" and client not in self.zombies:
            self.zombies.add(client)
            self._of(environment).left += 1
        elif verb == "closed":
            self._open.pop(client, None)
            self.zombies.discard(client)

    def _of(self, environment: str | None) -> _Function:
        return self.functions.setdefault(self._owner.get(environment or "", ""), _Function())

    @property
    def left(self) -> int:
        return sum(one.left for one in self.functions.values())


def _turned_away(events: Sequence[Event]) -> set[int]:
    found: set[int] = set()
    refused: set[str | None] = set()
    for event in reversed(events):
        if event["kind"] == "connection.refused":
            refused.add(_client(event["detail"] or {}))
        elif event["kind"] == "connection.opened" and (client := _client(event["detail"] or {})) in refused:
            refused.discard(client)
            found.add(event["seq"])
    return found


def _client(detail: Mapping[str, Any]) -> str | None:
    """The client's end as the server sees it, which the relay and the server's own list both tell."""
    source = detail.get("source")
    return f"{source[0]}:{source[1]}" if source else detail.get("client") if "session" in detail else None


def _judge(tally: _Tally, limit: int | None) -> Iterator[Verdict]:
    yield from _judge_zombies(tally, limit)
    for name, one in sorted(tally.functions.items()):
        if name:
            yield from _judge_function(name, one)
    if tally.peak:
        near = limit is not None and tally.peak >= _NEAR * limit
        of = f", of {limit} that the server takes" if limit is not None else ""
        yield Verdict("bad" if near else "plain", f"At most {_plural(tally.peak, 'connection')} at once{of}.")
    for refusal, times in tally.refused.most_common():
        yield Verdict("bad", f"{_plural(times, 'connection')} {_were(times)} refused by the server: {refusal}.")
    if tally.unreached:
        yield Verdict("bad", f"{_plural(tally.unreached, 'connection')} did not reach the server.")
    if tally.stale:
        stale = f"{_plural(tally.stale, 'connection')} {_were(tally.stale)} given up while the function did not know"
        used = f"; {tally.broken} {_were(tally.broken)} used after that, and failed" if tally.broken else ""
        yield Verdict("bad", f"{stale}{used}.")
    for error, times in tally.errors.most_common():
        yield Verdict("bad", f"{_plural(times, 'invocation')} ended with {error}.")
    if tally.throttled:
        yield Verdict(
            "bad", f"{_plural(tally.throttled, 'invocation')} found no place and {_were(tally.throttled)} throttled."
        )
    invocations = sum(one.invocations for one in tally.functions.values())
    if invocations:
        started = sum(one.environments for one in tally.functions.values())
        yield Verdict(
            "plain", f"{_plural(invocations, 'invocation')}, for which {_plural(started, 'environment')} started."
        )
    if tally.missing:
        what = "is" if tally.missing == 1 else "are"
        yield Verdict("plain", f"{_plural(tally.missing, 'event')} of this run {what} not in the report.")


def _judge_zombies(tally: _Tally, limit: int | None) -> Iterator[Verdict]:
    if tally.left:
        still = len(tally.zombies)
        slots = f" of {limit}" if limit is not None else ""
        if not still:
            end = "the server has dropped all of them by now"
        elif still == tally.left:
            end = f"{'it still holds a slot' if still == 1 else 'all of them still hold a slot'}{slots}"
        else:
            end = f"{still} of them still {'holds' if still == 1 else 'hold'} a slot{slots}"
        left = f"{_plural(tally.left, 'session')} {_were(tally.left)} left behind by environments that ended"
        yield Verdict("bad", f"{left}; {end}.")
    elif tally.ended:
        yield Verdict("good", f"{_plural(tally.ended, 'environment')} ended, and no session was left behind.")


def _judge_function(name: str, one: _Function) -> Iterator[Verdict]:
    if not one.opened or not one.invocations:
        return
    if one.opened > one.environments and one.opened >= one.invocations > 1:
        yield Verdict(
            "bad",
            f"{name} opened {_plural(one.opened, 'connection')} in {_plural(one.invocations, 'invocation')}: it "
            "connects inside its handler. Opened outside of it, one would do for each environment.",
        )
    elif one.opened <= one.environments < one.invocations and not one.refused:
        yield Verdict(
            "good", f"{name} used its connections again: {one.opened} for {_plural(one.invocations, 'invocation')}."
        )


def _plural(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
