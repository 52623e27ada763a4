"""What works on this machine: looked at, not assumed."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.clock import SystemClock
from emulator.errors import EmulatorError, RuntimeNotFoundError, one_error
from emulator.model import KEEPALIVE, FreezerReport, Function, NetworkReport
from emulator.proof import prove_process_network
from emulator.runtimes import Runtime, RuntimeKind, Runtimes
from emulator.sandbox.container import ContainerProvider
from emulator.sandbox.engine import Engine, engine_answers
from emulator.sandbox.equipment import equip, version_of
from emulator.sandbox.held import HeldSockets
from emulator.sandbox.images import ImageStore, image_at_hand
from emulator.sandbox.instance import Instance
from emulator.sandbox.process import ProcessProvider
from emulator.sandbox.process_settings import LACKS
from emulator.sandbox.warden import Warden

__all__ = ["Check", "Examination", "examine", "runtime_as_process", "runtime_in_containers"]

_VERSION = ".".join(str(part) for part in sys.version_info[:3])
_KINDS = (RuntimeKind.PYTHON, RuntimeKind.NODEJS, RuntimeKind.JAVA, RuntimeKind.PROVIDED)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    fine: bool
    found: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """All of them, and the freezer ladder and the network of each kind of sandbox."""

    checks: tuple[Check, ...]
    freezers: dict[str, FreezerReport]
    networks: dict[str, NetworkReport]


async def examine() -> Examination:
    """Try everything for real, and leave nothing behind."""
    with one_error():
        return await _examine()


async def _examine() -> Examination:
    checks = [_python(), _database_program()]
    freezers: dict[str, FreezerReport] = {}
    networks: dict[str, NetworkReport] = {}
    with Instance() as instance, Warden() as warden:
        held = HeldSockets(SystemClock(), KEEPALIVE)
        async with ProcessProvider(instance, warden, held, whole_ladder=True) as provider:
            freezers["process"] = provider.freezer_report
            networks["process"] = await prove_process_network(with_relay=True)
            checks += [_memory(provider.limits_memory), _lacks_of_processes()]
        checks += [await asyncio.to_thread(runtime_as_process, kind) for kind in _KINDS]
        complaint = await asyncio.to_thread(engine_answers)
        if complaint is not None:
            checks.append(
                Check(
                    "container engine",
                    False,
                    complaint,
                    "install docker.io and start dockerd, or use processes",
                )
            )
        else:
            checks += await _containers(instance, warden, freezers, networks)
    return Examination(tuple(checks), freezers, networks)


async def _containers(
    instance: Instance, warden: Warden, freezers: dict[str, FreezerReport], networks: dict[str, NetworkReport]
) -> list[Check]:
    checks = []
    async with asyncio.TaskGroup() as tasks, Engine(instance) as engine:

        def spawn(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            return tasks.create_task(coroutine)

        checks.append(Check("container engine", True, f"version {engine.version}"))
        checks += [await runtime_in_containers(engine, kind) for kind in _KINDS]
        async with ContainerProvider(instance, warden, engine, spawn) as provider:
            try:
                await provider.prepare(Function(name="doctor", code=Path("/")))
            except EmulatorError as error:
                checks.append(Check("images", False, error.message, error.cure))
            else:
                found = provider.notes[0] if provider.notes else "AWS's own"
                checks.append(Check("images", True, found))
                freezers["container"], networks["container"] = provider.freezer_report, provider.network_report
                checks.append(_prewarmed(provider.prewarmed.impossible))
    return checks


def runtime_as_process(kind: RuntimeKind, folders: Sequence[Path] | None = None) -> Check:
    """What processes of a language are made of on this machine, or what they lack.

    Arguments:
        folders: where AWS's clients are looked for; by default where the emulator does.
    """
    name, runtime = f"{kind} as processes", _of_kind(kind)[-1]
    try:
        found = equip(runtime, folders=folders)
    except RuntimeNotFoundError as error:
        return Check(name, False, error.message.replace(runtime.name, kind, 1), error.cure)
    if found.program is None:
        own = (
            "the program that the function brings"
            if found.brings_bootstrap
            else f"{runtime.on(_VERSION)}, AWS's client"
        )
        return Check(name, True, own)
    return Check(name, True, f"{runtime.on(version_of(found.program))}, AWS's client in {found.client[0].parent}")


async def runtime_in_containers(store: ImageStore, kind: RuntimeKind) -> Check:
    """Which images there are for a language, without any being fetched."""
    found = [await image_at_hand(store, runtime) for runtime in _of_kind(kind)]
    names = dict.fromkeys(image.name for image in found if image is not None)
    if names:
        return Check(f"{kind} in containers", True, ", ".join(names))
    cure = f"it is fetched from AWS's registry when a function needs it; or: docker/build-images --only {kind}"
    return Check(f"{kind} in containers", False, "no image here", cure)


def _of_kind(kind: RuntimeKind) -> list[Runtime]:
    return [runtime for runtime in Runtimes() if runtime.kind is kind]


def _python() -> Check:
    return Check("python", True, f"{_VERSION}, which process sandboxes run as well")


def _database_program() -> Check:
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
    for name in ("mariadbd", "mysqld"):
        if (program := shutil.which(name, path=path)) is not None:
            return Check("database server", True, program)
    return Check(
        "database server",
        False,
        "no mariadbd or mysqld",
        'apt-get install mariadb-server-core, or server = "docker" in [database]',
    )


def _memory(limited: bool) -> Check:
    if limited:
        return Check("memory limit of processes", True, "by control group")
    return Check(
        "memory limit of processes",
        False,
        "none: the memory controller is not ours to use",
        "run as root, or use containers",
    )


def _prewarmed(impossible: str) -> Check:
    if not impossible:
        return Check("prewarmed sandboxes", True, "possible: the setting prewarmed keeps some for each image")
    return Check("prewarmed sandboxes", False, impossible, "run as root on the engine's machine; or do without")


def _lacks_of_processes() -> Check:
    """Nothing is wrong with them; but who has both kinds should know what the difference is."""
    return Check("process sandboxes", True, f"without {', '.join(LACKS[:-1])}, and {LACKS[-1]}: containers have them")
