"""What freezing costs, and what it costs that a network was cut: the same build with and without."""

from __future__ import annotations

import contextlib
import statistics

from tests.bench.client import RawClient
from tests.bench.errors import BenchError
from tests.bench.figures import Row, Spread, missing
from tests.bench.part import Scale
from tests.bench.product import Product, echo_settings, product
from tests.bench.rounds import Rounds, all_of, take_turns
from tests.bench.warm import Freezes

__all__ = ["after_cut", "difference_of_rounds", "price_of_freezing"]

_FREEZING, _CUT = "price-of-freezing", "after-cut"
_AFTER_QUIET = 0.08  # seconds between invocations; the network is cut 50 ms after the freeze
_MARKS = {"netlink": 150e-6, "helper": 3e-3}


def difference_of_rounds(ours: Rounds, others: Rounds) -> float:
    """How much one's median is above another's that was measured in turns with it: the middle one of all rounds."""
    pairs = zip(ours, others, strict=True)
    return statistics.median(statistics.median(mine) - statistics.median(other) for mine, other in pairs)


def price_of_freezing(scale: Scale) -> list[Row]:
    """Frozen in between, less never frozen."""
    with (
        product(echo_settings()) as ours,
        product(echo_settings(), command=("-m", "tests.bench.unfrozen")) as unfrozen,
        RawClient(ours.door()) as client,
        RawClient(unfrozen.door()) as other,
    ):
        client.invoke()
        freezes, before = Freezes(ours), client.invocations
        found = take_turns(
            {"product": client.invoke, "unfrozen": other.invoke},
            rounds=scale.pick(5, 21),
            each=scale.pick(200, 500),
            tick=scale.tick,
        )
        note = freezes.among(client.invocations - before)
    return [
        Row(
            part=_FREEZING,
            name="what freezing adds to a warm invoke, process",
            measured=Spread.of(all_of(found["product"])),
            peer="never frozen",
            against=Spread.of(all_of(found["unfrozen"])).median,
            value=difference_of_rounds(found["product"], found["unfrozen"]),
            value_unit="s",
            limit=30e-6,
            note=note,
        )
    ]


def after_cut(scale: Scale) -> list[Row]:
    """Containers whose network was cut in between, less those whose was not, after the same wait."""
    reasons: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        uncut = stack.enter_context(product(echo_settings("container", network="none")))
        running: dict[str, Product] = {"uncut": uncut}
        for means in _MARKS:
            scale.tick()
            try:
                running[means] = stack.enter_context(product(echo_settings("container", network=means)))
            except BenchError as error:
                reasons[means] = str(error)
        clients = {name: stack.enter_context(RawClient(one.door())) for name, one in running.items()}
        for client in clients.values():
            client.invoke()
        found = take_turns(
            {name: client.invoke for name, client in clients.items()},
            rounds=scale.pick(3, 10),
            each=scale.pick(5, 50),
            warm_up=2,
            pause=_AFTER_QUIET,
            tick=scale.tick,
        )
    return [_extra(means, mark, found, reasons) for means, mark in _MARKS.items()]


def _extra(means: str, mark: float, found: dict[str, Rounds], reasons: dict[str, str]) -> Row:
    name = f"warm invoke, container, network cut by {means}"
    if means not in found:
        return missing(_CUT, name, reasons[means], peer="not cut")
    return Row(
        part=_CUT,
        name=name,
        measured=Spread.of(all_of(found[means])),
        peer="not cut",
        against=Spread.of(all_of(found["uncut"])).median,
        value=difference_of_rounds(found[means], found["uncut"]),
        value_unit="s",
        limit=mark,
        note=f"{_AFTER_QUIET * 1000:.0f} ms between invocations",
    )
