"""Waiting for what is to happen: an event of the timeline, or the rest of an environment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from emulator.debugged import DebuggedEnvironment
from emulator.environment import Environment
from emulator.errors import EmulatorError
from emulator.lifecycle import State
from emulator.timeline import Timeline, TimelineEvent

__all__ = ["rest_of", "wait_for"]

_PATIENCE = 30.0  # seconds that an environment has to come to rest


async def wait_for(
    timeline: Timeline, wanted: Callable[[TimelineEvent], bool], *, since: int, timeout: float, what: str
) -> TimelineEvent:
    """The first wanted event after number ``since``, which may have happened already.

    Arguments:
        timeout: seconds.
        what: it is that is waited for, for the error.

    Raises:
        EmulatorError: it did not happen within ``timeout`` seconds.
    """
    for event in timeline.since(since):
        if wanted(event):
            return event
    happened: asyncio.Future[TimelineEvent] = asyncio.get_running_loop().create_future()

    def look(event: TimelineEvent) -> None:
        if wanted(event) and not happened.done():
            happened.set_result(event)

    stop = timeline.listen(look)
    try:
        async with asyncio.timeout(timeout):
            return await happened
    except TimeoutError as error:
        raise EmulatorError(f"this did not happen within {timeout:g} s: {what}") from error
    finally:
        stop()


async def rest_of(environment: Environment, timeline: Timeline) -> None:
    """Wait until an environment is frozen or gone, or a freeze has failed, or a debugger keeps it from that.

    Raises:
        EmulatorError: it is still at work after half a minute.
    """

    def is_kept() -> bool:
        return isinstance(environment, DebuggedEnvironment) and environment.is_kept

    if environment.state in (State.FROZEN, State.GONE) or is_kept():
        return
    states = {f"environment.{state}": state for state in State}
    last: State = environment.state

    def rested(event: TimelineEvent) -> bool:
        nonlocal last
        if event.environment != environment.id or event.kind not in states:
            return False
        before, last = last, states[event.kind]
        freeze_failed = before is State.FREEZING and last is State.IDLE
        return last in (State.FROZEN, State.GONE) or freeze_failed or is_kept()

    await wait_for(
        timeline,
        rested,
        since=timeline.last_seq,
        timeout=_PATIENCE,
        what=f"environment {environment.id} comes to rest",
    )
