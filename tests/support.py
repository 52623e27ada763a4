"""What tests of every kind share: asking for what a machine may lack, waiting, and running coroutines."""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

import pytest

__all__ = ["SkippingLoop", "eventually", "in_loop", "require", "run", "skip_time"]

P = ParamSpec("P")

_LOOK_AGAIN = 0.002


def require(condition: object, reason: str, cure: str) -> None:
    """Skip the test where this machine lacks something; fail it in CI, where everything has to be there.

    Arguments:
        condition: what has to be true.
        reason: what is missing, as a sentence.
        cure: what a reader can do about it.
    """
    if condition:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} {cure}")
    pytest.skip(f"{reason} {cure}")


def eventually(condition: Callable[[], object], what: str, deadline: float = 20.0) -> None:
    """Wait until something outside this process has happened; ``what`` is the complaint if it does not.

    Only for what gives no sign of its own: the state of other processes, folders that others remove.
    """
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen within {deadline} s"
        time.sleep(_LOOK_AGAIN)


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time can be skipped, so that no test waits for a deadline."""

    skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped


def skip_time(seconds: float) -> None:
    """Let every deadline of the running loop within this span be due at its next round."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SkippingLoop), "time can be skipped on a SkippingLoop only"
    loop.skipped += seconds


def run(
    coroutine: Coroutine[Any, Any, None],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = SkippingLoop,
) -> None:
    """Run a test's coroutine; what failed in a callback, where nobody awaits it, fails the test as well."""
    failures: list[Exception] = []

    def remember(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        failures.append(error if isinstance(error, Exception) else AssertionError(context["message"]))

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(remember)
        await coroutine

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(watched())
    if failures:
        raise ExceptionGroup("failures in callbacks of the loop", failures)


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a test of a coroutine function; it runs on a :class:`SkippingLoop`."""

    @functools.wraps(test)
    def run_test(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs))

    return run_test
