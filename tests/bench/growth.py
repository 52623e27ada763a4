"""What grows with what: the latency of a warm invocation over a range of sizes, each a curve."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.request import urlopen

from tests.bench.children import child
from tests.bench.client import RawClient
from tests.bench.crowd import FUNCTION, Sessions, crowd_code, crowd_settings, gather
from tests.bench.errors import BenchError
from tests.bench.figures import Spread
from tests.bench.payload import event_of
from tests.bench.peers import rie
from tests.bench.product import ECHO, FUNCTIONS, MEMORY, Product, echo_settings, product
from tests.bench.rounds import all_of, take_turns

__all__ = ["CURVES", "Curve", "Point", "measure_curves"]


@dataclass(frozen=True, slots=True)
class Point:
    """One size, and how long invocations took there, in seconds."""

    size: float
    latency: Spread


@dataclass(frozen=True, slots=True)
class Curve:
    """Points by who was measured; ``over`` is what the size is, and ``name`` of the file."""

    name: str
    over: str
    lines: Mapping[str, Sequence[Point]]


_Measure = Callable[[Callable[[], None]], Curve]
_EACH, _ROUNDS = 400, 3


def _latency(door_client: RawClient, each: int = _EACH) -> Spread:
    found = take_turns({"one": door_client.invoke}, rounds=_ROUNDS, each=each)
    return Spread.of(all_of(found["one"]))


def _over_environments(tick: Callable[[], None]) -> Curve:
    """Over the number of frozen environments of the same function."""
    return Curve("environments", "frozen environments", {"process": _crowds(tick, (1, 10, 100, 300, 1000), "")})


def _over_sessions(tick: Callable[[], None]) -> Curve:
    """Over the number of sessions that the observer follows, one in each environment."""
    return Curve("sessions", "database sessions", {"process": _crowds(tick, (1, 10, 100, 300, 1000), "lean")})


def _crowds(tick: Callable[[], None], sizes: Sequence[int], by: Sessions) -> list[Point]:
    points = []
    with (
        crowd_code() as code,
        product(crowd_settings(code, sizes[-1], sandbox="process", sessions=by)) as ours,
        RawClient(ours.door(FUNCTION)) as client,
    ):
        for size in sizes:
            gather(ours, code / "gate", size, tick)
            points.append(Point(size, _latency(client)))
            tick()
    return points


def _over_functions(tick: Callable[[], None]) -> Curve:
    """Over the number of functions that are deployed; one of them is invoked."""
    points = []
    for size in (1, 10, 100, 300, 1000):
        echo = {"code": str(ECHO), "memory": MEMORY, "timeout": 30}
        names = {"echo": echo} | {f"other-{number}": echo for number in range(1, size)}
        with product({**echo_settings(), "functions": names}) as ours, RawClient(ours.door()) as client:
            client.invoke()
            points.append(Point(size, _latency(client)))
        tick()
    return Curve("functions", "functions", {"process": points})


def _over_payloads(tick: Callable[[], None]) -> Curve:
    """Over the size of the event, which comes back; RIE beside it."""
    lines: dict[str, list[Point]] = {}
    with contextlib.ExitStack() as stack:
        doors = {"process": stack.enter_context(product(echo_settings())).door()}
        with contextlib.suppress(BenchError):
            doors["RIE"] = stack.enter_context(rie())
        for size in (1_000, 10_000, 100_000, 1_000_000, 3_000_000, 6_000_000):
            each = max(5, min(200, 20_000_000 // size))
            clients = {name: RawClient(door, event_of(size)) for name, door in doors.items()}
            with contextlib.ExitStack() as open_clients:
                for client in clients.values():
                    open_clients.enter_context(client)
                turns = {name: client.invoke for name, client in clients.items()}
                found = take_turns(turns, rounds=_ROUNDS, each=each, warm_up=3)
            for name, rounds in found.items():
                lines.setdefault(name, []).append(Point(size, Spread.of(all_of(rounds))))
            tick()
    return Curve("payload", "bytes of the event", lines)


def _over_log_volume(tick: Callable[[], None]) -> Curve:
    """Over the number of lines that each invocation prints."""
    talking = {"code": str(FUNCTIONS / "talking"), "memory": MEMORY, "timeout": 30}
    points = []
    with product({**echo_settings(), "functions": {"talking": talking}}) as ours:
        for size in (0, 1, 10, 100, 1000):
            with RawClient(ours.door("talking"), json.dumps({"lines": size}).encode()) as client:
                client.invoke()
                points.append(Point(size, _latency(client, 200)))
            tick()
    return Curve("logs", "lines of an invocation", {"process": points})


def _over_readers(tick: Callable[[], None]) -> Curve:
    """Over the number of those who follow: the timeline where this build has a stream of it, else the log."""
    points = []
    with product(echo_settings()) as ours, RawClient(ours.door()) as client:
        client.invoke()
        path, what = _followed(ours)
        for size in (0, 1, 4, 16, 64):
            with _readers(ours, path, size):
                points.append(Point(size, _latency(client)))
            tick()
    return Curve("readers", f"readers of the {what}", {"process": points})


def _followed(ours: Product) -> tuple[str, str]:
    stream = "/timeline/stream"
    try:
        with urlopen(f"http://127.0.0.1:{ours.port}/_emulator/api{stream}", timeout=10):
            return stream, "timeline"
    except OSError:
        return "/functions/echo/logs?follow=true", "log"


@contextlib.contextmanager
def _readers(ours: Product, path: str, count: int) -> Iterator[None]:
    words = [sys.executable, "-m", "tests.bench.followers", str(ours.port), f"/_emulator/api{path}", str(count)]
    with child(words, answers=True) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise BenchError(f"nobody can follow {path}")
        yield


CURVES: dict[str, _Measure] = {
    "environments": _over_environments,
    "functions": _over_functions,
    "payload": _over_payloads,
    "logs": _over_log_volume,
    "readers": _over_readers,
    "sessions": _over_sessions,
}


def measure_curves(names: Sequence[str], tick: Callable[[str], None]) -> Iterator[Curve | str]:
    """Each curve, or why it could not be measured."""
    for name in names:
        try:
            yield CURVES[name](lambda name=name: tick(name))  # type: ignore[misc]
        except (BenchError, OSError, AssertionError) as error:
            yield f"{name}: {error}"
