"""How many invocations a second: eight clients at once, and eight environments."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.bench.client import PAYLOAD, Door
from tests.bench.errors import BenchError
from tests.bench.figures import Row, Spread, missing
from tests.bench.part import Scale
from tests.bench.peers import floor, rie
from tests.bench.product import echo_settings, product
from tests.bench.tools import compiled

__all__ = ["Load", "load", "parse_load", "throughput"]

_PART = "throughput"
_CLIENTS = 8
_MARKS = {"floor": 0.6, "RIE": 2.0}


@dataclass(frozen=True, slots=True)
class Load:
    """What a load came to."""

    answers: int
    seconds: float
    others: int  # answers that were no 200
    broken: int  # connections

    @property
    def rate(self) -> float:
        return self.answers / self.seconds


def parse_load(line: str) -> Load:
    """What the load generator prints."""
    answers, seconds, others, broken = line.split()
    return Load(int(answers), float(seconds), int(others), int(broken))


def load(door: Door, *, clients: int, seconds: float) -> Load:
    """Keep so many clients busy for so long.

    Raises:
        BenchError: it could not connect, or not every answer was a 200.
    """
    words = [str(compiled("load")), str(door.port), door.path, PAYLOAD.decode(), str(clients), str(seconds)]
    made = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if made.returncode != 0:
        raise BenchError(f"the load generator failed: {made.stderr.strip()}")
    found = parse_load(made.stdout)
    if found.others or found.broken or not found.answers:
        raise BenchError(f"{found.others} answers were no 200, and {found.broken} connections broke")
    return found


def throughput(scale: Scale) -> list[Row]:
    """The product and the floor with eight of each; RIE with one, for it can no more."""
    rounds, seconds = scale.pick(3, 7), 0.7 if scale.quick else 4.0
    reasons: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        doors = {"product": (stack.enter_context(product(echo_settings())).door(), _CLIENTS)}
        peers: dict[str, tuple[Callable[[], contextlib.AbstractContextManager[Door]], int]] = {
            "floor": (lambda: floor(_CLIENTS), _CLIENTS),
            "RIE": (rie, 1),
        }
        for name, (peer, clients) in peers.items():
            try:
                doors[name] = (stack.enter_context(peer()), clients)
            except BenchError as error:
                reasons[name] = str(error)
        rates: dict[str, list[float]] = {name: [] for name in doors}
        for door, clients in doors.values():
            load(door, clients=clients, seconds=0.5)
        for _ in range(rounds):
            for name, (door, clients) in doors.items():
                rates[name].append(load(door, clients=clients, seconds=seconds).rate)
                scale.tick()
    return list(_rows(rates, reasons))


def _rows(rates: dict[str, list[float]], reasons: dict[str, str]) -> Iterator[Row]:
    name = f"invocations a second, {_CLIENTS} environments"
    for peer, mark in _MARKS.items():
        if peer not in rates:
            yield missing(_PART, name, reasons[peer], peer=peer)
            continue
        pairs = zip(rates["product"], rates[peer], strict=True)
        yield Row(
            part=_PART,
            name=name,
            measured=Spread.of(rates["product"]),
            unit="/s",
            peer=peer,
            against=statistics.median(rates[peer]),
            value=statistics.median(ours / theirs for ours, theirs in pairs),
            limit=mark,
            at_least=True,
            note="RIE with one client" if peer == "RIE" else "",
        )
