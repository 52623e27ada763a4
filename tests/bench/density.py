"""Many frozen environments: what they take, how soon they are there, and what they cost everybody else."""

from __future__ import annotations

import dataclasses
import time

from emulator.sandbox.probe import cpu_time
from tests.bench.client import RawClient
from tests.bench.containers import docker_runs_to_next, need_image
from tests.bench.crowd import AT_ONCE, FUNCTION, Sessions, running_with
from tests.bench.errors import BenchError
from tests.bench.figures import Row, Spread, missing
from tests.bench.keys import NOT_AVAILABLE, is_known
from tests.bench.memory import family, name_of, parent_of, pss, pss_of_all
from tests.bench.part import Scale
from tests.bench.product import Product
from tests.bench.rounds import take_turns
from tests.bench.throughput import load
from tests.bench.warm import compared

__all__ = ["density_containers", "density_forked", "density_process"]

_PROCESS, _FORKED, _CONTAINERS = "density-process", "density-forked", "density-containers"
_MARKED = 1000  # environments that the marks are for
_MARKED_CONTAINERS = 100
_CLIENTS: tuple[Sessions, ...] = ("lean", "pymysql")
_GIB, _MIB = 2**30, 2**20
_FULL_TIMELINE = 14_000  # invocations, each of which leaves seven events or more


def density_process(scale: Scale) -> list[Row]:
    """Processes, each with a session of the database."""
    count = scale.pick(100, _MARKED)
    with (
        running_with(count, sandbox="process", sessions="lean", tick=scale.tick) as crowd,
        running_with(1, sandbox="process", sessions="lean", tick=scale.tick) as single,
    ):
        ours, alone = crowd.ours, single.ours
        rows = _sizes(_PROCESS, f"{count:,} processes with a session each", count, crowd.seconds, ours, 6 * _GIB, 40)
        with RawClient(ours.door(FUNCTION)) as client, RawClient(alone.door(FUNCTION)) as other:
            found = take_turns(
                {"product": client.invoke, "one alone": other.invoke},
                rounds=scale.pick(3, 11),
                each=scale.pick(150, 500),
                tick=scale.tick,
            )
        name = f"warm invoke with {count:,} idle environments: p50"
        rows.append(compared(_PROCESS, name, found, "one alone", 1.25, "", {}))
        invocations = 0 if scale.quick else _fill_timeline(ours)
        rows += _idle(scale, ours, count, invocations)
    return rows if scale.quick else [*rows, _with_library(scale)]


def _with_library(scale: Scale) -> Row:
    """What PyMySQL takes in each environment, beside a session of the least code."""
    few = 50
    sizes: dict[Sessions, Spread] = {}
    for client in _CLIENTS:
        with running_with(few, sandbox="process", sessions=client, tick=scale.tick) as crowd:
            views = crowd.ours.get(f"/environments?function={FUNCTION}")["environments"]
            sizes[client] = Spread.of([float(pss(view["sandbox"]["pid"])) for view in views])
    return Row(
        part=_PROCESS,
        name="an environment whose session is PyMySQL's: memory",
        measured=sizes["pymysql"],
        unit="B",
        peer="without a library",
        against=sizes["lean"].median,
        note=f"of {few}; with more of them, more is shared",
    )


def density_forked(scale: Scale) -> list[Row]:
    """The same by the fork server."""
    count = scale.pick(100, _MARKED)
    what = f"{count:,} forked processes with a session each"
    if not is_known("fork_server", True):
        return [missing(_FORKED, what, NOT_AVAILABLE)]
    with running_with(count, sandbox="process", sessions="lean", tick=scale.tick, fork_server=True) as crowd:
        return _sizes(_FORKED, what, count, crowd.seconds, crowd.ours, int(3.5 * _GIB), 8)


def density_containers(scale: Scale) -> list[Row]:
    """Containers, and what the engine takes for each beside."""
    need_image()
    count = scale.pick(10, _MARKED_CONTAINERS)
    with running_with(count, sandbox="container", sessions="", tick=scale.tick) as crowd:
        first = [one["sandbox"]["pid"] for one in crowd.ours.get(f"/environments?function={FUNCTION}")["environments"]]
        inside = [pss_of_all(family(pid)) for pid in first]
        shims = [pss(parent_of(pid)) for pid in first]
    limit = 12 * count / _MARKED_CONTAINERS
    inner, outer = Spread.of([float(size) for size in inside]), Spread.of([float(size) for size in shims])
    scale.tick()
    alone = docker_runs_to_next(count, at_once=AT_ONCE)
    until_frozen = _limited(
        _CONTAINERS, f"{count} containers: until all are frozen", "s", crowd.seconds, limit, _share(count)
    )
    return [
        dataclasses.replace(until_frozen, peer="docker run", against=alone),
        Row(
            part=_CONTAINERS,
            name=f"{count} containers: memory of each, beyond the engine's",
            measured=inner,
            unit="B",
            peer="engine's shim",
            against=outer.median,
            value=inner.median,
            value_unit="B",
            limit=8 * _MIB,
        ),
    ]


def _sizes(part: str, what: str, count: int, seconds: float, ours: Product, memory: int, limit: float) -> list[Row]:
    everybody = family(ours.process.pid)
    plane, server = pss(ours.process.pid), pss(_database_of(ours))
    total = pss_of_all(everybody)
    each = (total - plane - server) / count
    # With fewer of them, what is there once stays, and the rest of the mark is theirs in proportion.
    allowed = plane + server + (memory - plane - server) * count / _MARKED
    note = f"{each / _MIB:.1f} MiB each, {server / _MIB:.0f} MiB the database, {plane / _MIB:.0f} MiB the control plane"
    return [
        _limited(part, f"{what}: memory", "B", total, allowed, note),
        _limited(part, f"{what}: until all are frozen", "s", seconds, limit * count / _MARKED, _share(count, _MARKED)),
    ]


def _share(count: int, of: int = _MARKED_CONTAINERS) -> str:
    return "" if count == of else "the mark in proportion"


def _limited(part: str, name: str, unit: str, value: float, limit: float, note: str = "") -> Row:
    return Row(
        part=part,
        name=name,
        measured=Spread.of([value]),
        unit=unit,
        value=value,
        value_unit=unit,
        limit=limit,
        note=note,
    )


def _fill_timeline(ours: Product) -> int:
    done = 0
    while done < _FULL_TIMELINE:
        done += load(ours.door(), clients=1, seconds=1).answers
    return done


def _idle(scale: Scale, ours: Product, count: int, invocations: int) -> list[Row]:
    """What it takes when nothing is asked of it."""
    main = ours.process.pid
    server = _database_of(ours)
    time.sleep(2)  # the last of what was asked for is done
    before, at = {pid: cpu_time(pid) for pid in (main, server)}, time.perf_counter()
    time.sleep(scale.pick(3, 20))
    span = time.perf_counter() - at
    shares = {pid: (cpu_time(pid) - before[pid]) / 1e9 / span * 100 for pid in before}
    filled = f"after {invocations:,} invocations" if invocations else "the timeline is not full"
    return [
        _limited(_PROCESS, f"control plane with {count:,} environments: memory", "B", pss(main), 64 * _MIB, filled),
        _limited(_PROCESS, f"control plane with {count:,} frozen: idle, of a core", "%", shares[main], 1.0),
        _limited(
            _PROCESS,
            f"database with {count:,} frozen sessions, observed: of a core",
            "%",
            shares[server],
            1.0,
            "all that its server does then is answering the observer, and its own upkeep",
        ),
    ]


def _database_of(ours: Product) -> int:
    for pid in family(ours.process.pid):
        if name_of(pid) in ("mariadbd", "mysqld"):
            return pid
    raise BenchError("the emulator runs no database server of its own")
