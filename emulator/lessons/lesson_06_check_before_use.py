"""Check before use: an environment that was frozen past ``wait_timeout``."""

from __future__ import annotations

import re

from emulator.embedded import InvocationResult
from emulator.lessons.blocks import (
    Ask,
    Code,
    Part,
    Reveal,
    Say,
    Screen,
    Step,
    Story,
    Table,
    brief,
    expect,
    given,
    measured,
    ms,
    proven,
    span,
)
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage, failure_of, payload_of

__all__ = ["LESSON"]

_NIGHT = 9.0  # hours
_AWAKE = 1.4  # seconds, longer than the shortest wait_timeout there is


def _code_of(result: InvocationResult) -> str:
    """The number of MySQL's error, or the driver's own complaint."""
    found = re.search(r"\((\d{4}),", failure_of(result))
    return found[1] if found else failure_of(result)


def _tell(stage: Stage) -> Story:
    once = stage.add("open_once")
    yield Screen(Part.CODE, "Opened once, used for ever")
    yield Code("open_once/app.py", mark=("connect()", "return"))
    payload_of(once.invoke({}))

    yield Screen(Part.RUN, "In the evening")
    yield stage.process_list()
    wait_timeout = stage.emulator.connections_summary().wait_timeout
    yield Say(f"The server gives up a session that has said nothing for {span(wait_timeout)}: its wait_timeout.")
    yield Ask(
        f"Nobody orders for {_NIGHT:.0f} hours. Then an event comes. What does it get?",
        ("an answer, for the driver connects again", "an error", "nothing, it hangs until the timeout"),
    )
    yield Screen(Part.RUN, "The next morning")
    stage.emulator.fast_forward(hours=_NIGHT)
    yield Step(f"{measured(f'{_NIGHT:.0f} hours')} skipped; sessions: {measured(len(stage.sessions()))}")
    failed = [once.invoke({}) for _ in range(3)]
    for number, result in enumerate(failed, 1):
        error = brief(f"{result.payload['errorType']} {failure_of(result)}")
        yield Step(f"event {measured(number)}: {measured(error)}")
    expect(all(result.function_error for result in failed), "every event fails from then on")
    expect(len({result.environment_id for result in failed}) == 1, "the environment stays")
    yield Reveal(
        1,
        "The server closed it and the function slept. An error does not end an environment, so the next events get "
        "the same broken connection: it is poisoned until it is recycled.",
    )
    codes = {"asleep": _code_of(failed[0])}
    once.recycle()

    yield Screen(Part.WHY, "Three numbers for one thing")
    with_short = stage.add("open_once")
    stage.set_server("wait_timeout", 1)
    codes["awake"] = _code_of(with_short.invoke({"seconds": _AWAKE}))
    stage.set_server("wait_timeout", wait_timeout)
    yield Table(
        ("THE FUNCTION WAS", "ERROR", "BECAUSE"),
        (
            ("frozen", codes["asleep"], "the server's word of farewell was lost"),
            ("awake, and silent", codes["awake"], "the server's word had arrived"),
        ),
    )
    server = (stage.emulator.status().database or "").partition(",")[0]
    yield Say(
        f"{given(2013)} is lost connection, {given(2006)} is gone away. MySQL since {given('8.0.24')} says "
        f"{given(4031)} to those who are awake; this server is {measured(server)}. Look for all three."
    )
    expect(codes["asleep"] == "2013" and codes["awake"] in ("2006", "4031"), "the numbers are those of the drivers")
    yield from _cure(stage)


def _cure(stage: Stage) -> Story:
    checked = stage.add("check_before_use")
    yield Screen(Part.CURE, "Ask before you rely on it")
    yield Code("check_before_use/app.py", mark=("ping",))

    yield Screen(Part.PROOF, "The same night")
    evening = payload_of(checked.invoke({}))
    warm = checked.invoke({})
    stage.emulator.fast_forward(hours=_NIGHT)
    morning = checked.invoke({})
    later = checked.invoke({})
    yield Step(f"evening: session {measured(evening)}")
    yield Step(f"morning: session {measured(payload_of(morning))}, after {ms(morning.report.duration_ms)}")
    yield Step(f"later: session {measured(payload_of(later))}, after {ms(later.report.duration_ms)}")
    yield proven(
        "the first event of the morning opened a new one, the next used it again",
        payload_of(warm) == evening != payload_of(morning) == payload_of(later),
    )
    yield Say("A ping is one question and one answer. Ask it once for each event, not once for each statement.")


LESSON = Lesson(
    number=6,
    name="check-before-use",
    title="Check before use",
    question=(
        "An environment is frozen for a night. The server does not wait that long for a client that says nothing. "
        "What does the first event of the morning get?"
    ),
    tell=_tell,
    remember=(
        "A frozen function does not hear that the server has closed.",
        "Without a check, every event after that fails, not only the first.",
        "Check once an event, and open it again: ping, pre-ping, is-valid.",
        "A retry on the error works too, where the statement may run twice.",
    ),
)
