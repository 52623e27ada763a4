"""The product with a clock at its seams: ``python -m tests.bench.profiled up ...`` is ``lambda-freezer up ...``.

``LAMBDA_FREEZER_PROFILE`` names the file that it writes at its end. With ``LAMBDA_FREEZER_PROFILER`` set, Python's
profiler runs between SIGUSR1 and SIGUSR2 instead of the clocks, and the file is the profiler's. With
``LAMBDA_FREEZER_SEAMS`` there are clocks only at these seams, separated by commas.
"""

from __future__ import annotations

import cProfile
import functools
import importlib
import inspect
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any

__all__ = ["SEAMS", "Stamps", "instrument", "main"]

SEAMS = (
    "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.data_received",
    "uvicorn.protocols.http.httptools_impl:RequestResponseCycle.send",
    "emulator.api.invoke:InvokeRoute.answer",
    "emulator.api.invoke:Route._read",
    "emulator.api.invoke:Route.read",
    "emulator.api.front:Front.data_received",
    "emulator.api.front:Front._answer",
    "emulator.service:Service.new_invocation",
    "emulator.service:Service.submit",
    "emulator.pool:Pool.submit",
    "emulator.environment:Environment.invoke",
    "emulator.environment:Environment.runtime_answered",
    "emulator.sandbox.freezer:_FileFreezer.continue_all",
    "emulator.sandbox.freezer:_FileFreezer.stop_all",
    "emulator.sandbox.freezer:_FileFreezer.freeze",
    "emulator.sandbox.process:ProcessSandbox.peak_memory",
    "emulator.runtime_api.connection:Connection.data_received",
    "emulator.runtime_api.connection:Connection._send_event",
    "emulator.logs:LogStream.platform",
    "emulator.logs:LogStream.say",
)
"""Where the clock is looked at, on the way in and on the way out. What a build does not have is left out."""

Stamps = list[tuple[int, str]]


def instrument(stamps: Stamps, seams: Sequence[str] = SEAMS) -> list[str]:
    """Put a clock around each seam; answers which of them there are not."""
    absent = []
    for seam in seams:
        module, _, place = seam.partition(":")
        owner_name, _, name = place.partition(".")
        try:
            owner = getattr(importlib.import_module(module), owner_name)
            setattr(owner, name, _clocked(getattr(owner, name), place, stamps))
        except (ImportError, AttributeError):
            absent.append(seam)
    return absent


def _clocked(function: Callable[..., Any], name: str, stamps: Stamps) -> Callable[..., Any]:
    into, out = f"→ {name}", f"← {name}"
    note = stamps.append

    @functools.wraps(function)
    def call(*words: Any, **named: Any) -> Any:
        note((perf_counter_ns(), into))
        try:
            return function(*words, **named)
        finally:
            note((perf_counter_ns(), out))

    @functools.wraps(function)
    async def await_it(*words: Any, **named: Any) -> Any:
        note((perf_counter_ns(), into))
        try:
            return await function(*words, **named)
        finally:
            note((perf_counter_ns(), out))

    return await_it if inspect.iscoroutinefunction(function) else call


def main() -> None:
    """Run the command with clocks, or with the profiler."""
    from emulator.__main__ import main as emulator

    target = Path(os.environ["LAMBDA_FREEZER_PROFILE"])
    if os.environ.get("LAMBDA_FREEZER_PROFILER"):
        profiler = cProfile.Profile()
        signal.signal(signal.SIGUSR1, lambda *_: profiler.enable())
        signal.signal(signal.SIGUSR2, lambda *_: profiler.disable())
        try:
            emulator()
        finally:
            profiler.disable()
            profiler.dump_stats(target)
        return
    stamps: Stamps = []
    wanted = os.environ.get("LAMBDA_FREEZER_SEAMS")
    absent = instrument(stamps, wanted.split(",") if wanted else SEAMS)
    try:
        emulator()
    finally:
        target.write_text(json.dumps({"absent": absent, "stamps": stamps}))


if __name__ == "__main__":
    main()
