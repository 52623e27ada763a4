"""What silencing a network costs in itself: each means for containers, the database relay, the ends of both."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from emulator import Emulator, Function
from emulator.clock import SystemClock
from emulator.database.relay import Relay
from emulator.errors import EmulatorError, SandboxError
from emulator.model import EnvironmentId, Reclaim
from emulator.sandbox.container_network import ContainerNetwork
from emulator.sandbox.engine import Engine
from emulator.sandbox.instance import Instance
from emulator.sandbox.network import Cut, OnSwitched
from tests.bench.figures import Row, Spread
from tests.bench.part import Scale

__all__ = ["cuts", "queries", "reclaims"]

_SAMPLES = Path(__file__).parent.parent.parent / "sample_functions"
_IMAGE = "lambda-freezer/nethelper:1"
_CUTS, _QUERIES, _RECLAIMS = "network-cuts", "queries", "reclaims"


def cuts(scale: Scale) -> list[Row]:
    """Off and on for each means that works here."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure_cuts(scale.pick(20, 200)))


def _row(part: str, name: str, spans: list[float]) -> Row:
    return Row(part=part, name=name, measured=Spread.of(spans))


async def _measure_cuts(rounds: int) -> list[Row]:
    rows: list[Row] = []
    with Instance() as instance:
        async with asyncio.TaskGroup() as tasks, Engine(instance) as engine:
            for means in ("netlink", "helper", "disconnect"):
                async with ContainerNetwork(instance, engine, tasks.create_task, wanted=means) as network:
                    try:
                        await network.prove("lambda-freezer/python:3.11")
                    except SandboxError:
                        continue
                    rows += await _measure_cut(means, engine, network, rounds if means != "disconnect" else 10)
    return rows


async def _measure_cut(means: str, engine: Engine, network: ContainerNetwork, rounds: int) -> list[Row]:
    addresses = network.next_addresses()
    container = await engine.create(
        _IMAGE, command=["sleep", "600"], network=network.control, address=addresses.control
    )
    try:
        await engine.connect(network.vpc, container, addresses.vpc)
        await engine.start(container)
        cut = await network.cut_for(container, await engine.details(container), addresses)
        offs, ons = [], []
        for _ in range(rounds):
            offs.append(await _timed(cut, cut.off))
            ons.append(await _timed(cut, cut.on))
    finally:
        await engine.remove(container)
    return [
        _row(_CUTS, f"container: network off by {means}", offs),
        _row(_CUTS, f"container: network on by {means}", ons),
    ]


async def _timed(cut: Cut, switch: Callable[[OnSwitched], None]) -> float:
    done: asyncio.Future[SandboxError | None] = asyncio.get_running_loop().create_future()
    begin = time.perf_counter()
    switch(done.set_result)
    if not done.done():
        await done
    took = time.perf_counter() - begin
    error = done.result()
    assert error is None, f"{cut.name}: {error}"
    return took


def reclaims(scale: Scale) -> list[Row]:
    """From the recycling of a frozen environment until it is gone, silently."""
    rounds = scale.pick(3, 10)
    rows = [_reclaim("process", "auto", rounds)]
    for means in ("netlink", "helper", "disconnect"):
        with contextlib.suppress(EmulatorError):
            rows.append(_reclaim("container", means, rounds))
        scale.tick()
    return rows


def _reclaim(sandbox: str, network: str, rounds: int) -> Row:
    settings: dict[str, dict[str, Any]] = {"emulator": {"sandbox": sandbox, "network": network}}
    spans = []
    with Emulator(settings) as emulator:
        function = emulator.add(Function(name="f", code=_SAMPLES / "connect_once", memory=1769, timeout=10))
        for _ in range(rounds):
            function.invoke({})
            time.sleep(0.1)  # frozen, and cut
            begin = time.perf_counter()
            function.recycle("silent")
            spans.append(time.perf_counter() - begin)
            emulator.kill_zombies()
    name = "relay and held sockets" if sandbox == "process" else network
    return _row(_RECLAIMS, f"{sandbox}: silent reclaim by {name}, until gone", spans)


def queries(scale: Scale) -> list[Row]:
    """SELECT 1 directly and through the relay, in turn; and what the relay's own switches cost."""
    rounds = scale.pick(200, 2000)
    with Emulator({"emulator": {"sandbox": "process"}}) as emulator, emulator.connect(as_function=True) as direct:
        target = ("127.0.0.1", int(direct.port))
        with _RelayThread(target) as relay, emulator.connect(as_function=True, port=relay.port) as relayed:
            spans: dict[str, list[float]] = {"directly": [], "through the relay": []}
            for _ in range(rounds):
                for name, connection in (("directly", direct), ("through the relay", relayed)):
                    begin = time.perf_counter()
                    connection.query("SELECT 1")
                    spans[name].append(time.perf_counter() - begin)
            switches = relay.measure_switches(rounds)
    return [_row(_QUERIES, f"query {name}", values[20:]) for name, values in spans.items()] + switches


class _RelayThread:
    """A relay on a loop of its own, as in the emulator."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    def __enter__(self) -> _RelayThread:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def measure_switches(self, rounds: int) -> list[Row]:
        async def measure() -> list[Row]:
            spans = []
            for _ in range(rounds):
                begin = time.perf_counter()
                self._relay.freeze()
                self._relay.thaw()
                spans.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            self._relay.reclaim(Reclaim.SILENT)
            reclaimed = time.perf_counter() - begin
            return [
                _row(_QUERIES, "relay: freeze and thaw", spans),
                _row(_QUERIES, "relay: silent reclaim", [reclaimed]),
            ]

        return asyncio.run_coroutine_threadsafe(measure(), self._loop).result(30)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with Relay(
            EnvironmentId("bench"), self._target, clock=SystemClock(), on_event=lambda _event: None
        ) as self._relay:
            self.port = self._relay.address[1]
            self._ready.set()
            await self._stop.wait()
