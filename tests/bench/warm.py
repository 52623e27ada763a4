"""Warm invocations over HTTP, the environment frozen for certain in between."""

from __future__ import annotations

import contextlib

from tests.bench.client import RawClient
from tests.bench.containers import rie_in_container
from tests.bench.errors import BenchError
from tests.bench.figures import Row, Spread, missing, ratio_of_rounds
from tests.bench.part import Scale
from tests.bench.peers import floor, rie
from tests.bench.product import Product, echo_settings, product
from tests.bench.rounds import Rounds, all_of, take_turns
from tests.bench.sam import sam

__all__ = ["Freezes", "compared", "compared_tails", "warm_container", "warm_process"]

_PROCESS, _CONTAINER = "warm-process", "warm-container"


def warm_process(scale: Scale) -> list[Row]:
    """A process sandbox against RIE and the floor."""
    reasons: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(product(echo_settings()))
        doors = {"product": ours.door()}
        for name, peer in (("RIE", rie), ("floor", floor)):
            try:
                doors[name] = stack.enter_context(peer())
            except BenchError as error:
                reasons[name] = str(error)
        clients = {name: stack.enter_context(RawClient(door)) for name, door in doors.items()}
        clients["product"].invoke()  # the cold start
        freezes = Freezes(ours)
        before = clients["product"].invocations
        found = take_turns(
            {name: client.invoke for name, client in clients.items()},
            rounds=scale.pick(3, 15),
            each=scale.pick(200, 500),
            tick=scale.tick,
        )
        note = freezes.among(clients["product"].invocations - before)
    return [
        compared(_PROCESS, "warm invoke, process: p50", found, "RIE", 0.5, note, reasons),
        compared(_PROCESS, "warm invoke, process: p50", found, "floor", 1.6, note, reasons),
        compared_tails(_PROCESS, "warm invoke, process: p99", found, "RIE", 0.4, note, reasons),
    ]


def warm_container(scale: Scale) -> list[Row]:
    """A container sandbox against RIE in a container, and SAM with warm containers."""
    reasons: dict[str, str] = {}
    name = "warm invoke, container: p50"
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(product(echo_settings("container")))
        doors = {"product": ours.door()}
        peers = {"RIE in a container": rie_in_container, "SAM, warm": sam}
        if scale.quick:
            del peers["SAM, warm"]
            reasons["SAM, warm"] = "not in a quick run: its start takes longer than all that is measured then"
        for peer, enter in peers.items():
            scale.tick()
            try:
                doors[peer] = stack.enter_context(enter())
            except BenchError as error:
                reasons[peer] = str(error)
        clients = {name: stack.enter_context(RawClient(door)) for name, door in doors.items()}
        for client in clients.values():
            client.invoke()
        freezes = Freezes(ours)
        before = clients["product"].invocations
        found = take_turns(
            {name: client.invoke for name, client in clients.items()},
            rounds=scale.pick(3, 15),
            each=scale.pick(150, 500),
            fewer={"SAM, warm": 10},
            tick=scale.tick,
        )
        note = freezes.among(clients["product"].invocations - before)
    return [
        compared(_CONTAINER, name, found, "RIE in a container", 0.5, note, reasons),
        compared(_CONTAINER, name, found, "SAM, warm", 1 / 40, note, reasons),
    ]


def compared(
    part: str, name: str, found: dict[str, Rounds], peer: str, limit: float, note: str, reasons: dict[str, str]
) -> Row:
    """The product's median as a share of a peer's, by rounds."""
    if peer not in found:
        return missing(part, name, reasons.get(peer, "not measured"), peer=peer)
    ours, theirs = found["product"], found[peer]
    return Row(
        part=part,
        name=name,
        measured=Spread.of(all_of(ours)),
        peer=peer,
        against=Spread.of(all_of(theirs)).median,
        value=ratio_of_rounds(ours, theirs),
        limit=limit,
        note=note,
    )


def compared_tails(
    part: str, name: str, found: dict[str, Rounds], peer: str, limit: float, note: str, reasons: dict[str, str]
) -> Row:
    """The product's 99th percentile as a share of a peer's; of all rounds together, for a round has too few."""
    if peer not in found:
        return missing(part, name, reasons.get(peer, "not measured"), peer=peer)
    ours, theirs = Spread.of(all_of(found["product"])), Spread.of(all_of(found[peer]))
    return Row(
        part=part,
        name=name,
        measured=ours,
        peer=peer,
        against=theirs.p99,
        value=ours.p99 / theirs.p99,
        limit=limit,
        note=note,
    )


class Freezes:
    """Counts how often a function's environments were frozen since this was made."""

    def __init__(self, ours: Product, function: str = "echo") -> None:
        self._ours, self._function = ours, function
        self._before = ours.freezes(function)

    def among(self, invocations: int) -> str:
        """In words, what share of so many invocations was followed by a freeze."""
        return f"frozen after {self._ours.freezes(self._function) - self._before:,} of {invocations:,}"
