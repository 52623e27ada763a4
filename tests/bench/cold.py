"""Cold starts, from the request to its answer."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from typing import Any

from tests.bench.children import child, wait_until
from tests.bench.client import Door, RawClient, invoke_path
from tests.bench.containers import docker_run_to_next, need_image
from tests.bench.figures import Row, Spread, missing
from tests.bench.keys import NOT_AVAILABLE, is_known
from tests.bench.part import Scale
from tests.bench.peers import floor_server, runtime_command, runtime_variables
from tests.bench.product import ECHO, Product, echo_settings, product

__all__ = ["cold_container", "cold_process"]

_PROCESS, _CONTAINER = "cold-process", "cold-container"
_FLOOR = "floor"
_PREWARMED = 2
_ALL_WAIT = f"{_PREWARMED} of {_PREWARMED} prewarmed sandboxes wait"


def cold_process(scale: Scale) -> list[Row]:
    """From the request to the answer, less what the runtime client alone needs for it behind the floor."""
    rounds = scale.pick(12, 60)
    marks = {"product": 5e-3, "fork server": 5e-3}
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(floor_server())
        once: dict[str, Callable[[], float]] = {_FLOOR: lambda: _cold_floor(port)}
        ours = stack.enter_context(product(echo_settings()))
        once["product"] = lambda: _cold(ours)
        if is_known("fork_server", True):
            forking = stack.enter_context(product(echo_settings(fork_server=True)))
            once["fork server"] = lambda: _cold(forking)
        found = _in_turns(once, rounds, scale.tick)
    base = Spread.of(found[_FLOOR]).median
    rows = []
    for who, mark in marks.items():
        name = "cold start, process, beyond the runtime's own" + (", with the fork server" if who != "product" else "")
        if who not in found:
            rows.append(missing(_PROCESS, name, NOT_AVAILABLE, peer=_FLOOR))
            continue
        extra = statistics.median(mine - other for mine, other in zip(found[who], found[_FLOOR], strict=True))
        rows.append(
            Row(
                part=_PROCESS,
                name=name,
                measured=Spread.of(found[who]),
                peer=_FLOOR,
                against=base,
                value=extra,
                value_unit="s",
                limit=mark,
                note="request to answer; the floor: start of the runtime to answer",
            )
        )
    return rows


def cold_container(scale: Scale) -> list[Row]:
    """From the request to the answer, against ``docker run`` of the same image; and from prepared sandboxes."""
    need_image()
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(floor_server())
        ours = stack.enter_context(product(echo_settings("container")))
        once = {
            _FLOOR: lambda: _cold_floor(port),
            "docker run": docker_run_to_next,
            "product": lambda: _cold(ours),
        }
        if is_known("prewarmed", 1):
            prepared = stack.enter_context(product(echo_settings("container", prewarmed=_PREWARMED)))

            def cold_when_full() -> float:
                wait_until(lambda: _is_full(prepared), "the pool of prepared sandboxes is full", every=0.02)
                return _cold(prepared)

            once["prewarmed"] = cold_when_full
        found = _in_turns(once, scale.pick(3, 20), scale.tick)
    run, mine = found["docker run"], found["product"]
    rows = [
        Row(
            part=_CONTAINER,
            name="cold start, container",
            measured=Spread.of(mine),
            peer="docker run",
            against=Spread.of(run).median,
            value=statistics.median(one / other for one, other in zip(mine, run, strict=True)),
            limit=1.0,
            note="request to answer; docker run: command to the runtime's first /next",
        )
    ]
    name = "cold start, container, prewarmed, beyond the runtime's own"
    if "prewarmed" not in found:
        return [*rows, missing(_CONTAINER, name, NOT_AVAILABLE, peer=_FLOOR)]
    extra = statistics.median(one - other for one, other in zip(found["prewarmed"], found[_FLOOR], strict=True))
    more: dict[str, Any] = {"peer": _FLOOR, "against": Spread.of(found[_FLOOR]).median}
    prewarmed = Spread.of(found["prewarmed"])
    return [
        *rows,
        Row(part=_CONTAINER, name=name, measured=prewarmed, value=extra, value_unit="s", limit=10e-3, **more),
    ]


def _in_turns(once: dict[str, Callable[[], float]], rounds: int, tick: Callable[[], None]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in once}
    for number in range(-1, rounds):  # the first round finds caches cold that are warm for all others
        for name, measure in once.items():
            took = measure()
            if number >= 0:
                found[name].append(took)
        tick()
    return found


def _is_full(ours: Product) -> bool:
    return any(note.startswith(_ALL_WAIT) for note in ours.get("/status")["notes"])


def _cold(ours: Product) -> float:
    """One invocation of a function that has no environment; its environment is ended afterwards."""
    with RawClient(ours.door()) as client:
        took = client.invoke()
    ours.post("/functions/echo/recycle", {})
    wait_until(lambda: not ours.states(), "the environment is gone")
    return took


def _cold_floor(port: int) -> float:
    """Start the runtime client, and invoke."""
    door = Door("127.0.0.1", port, invoke_path("function"))
    variables = runtime_variables(f"127.0.0.1:{port}")
    begin = time.perf_counter()
    with child(runtime_command(), variables=variables, folder=ECHO), RawClient(door) as client:
        client.invoke()
        return time.perf_counter() - begin
