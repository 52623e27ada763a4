"""``/tmp`` is a cache, kept over a timeout."""

from __future__ import annotations

from emulator.lessons.blocks import (
    Ask,
    Bar,
    Bars,
    Code,
    Part,
    Reveal,
    Say,
    Screen,
    Step,
    Story,
    expect,
    measured,
    ms,
    proven,
)
from emulator.lessons.lesson import Lesson
from emulator.lessons.stage import Stage, payload_of

__all__ = ["LESSON"]


def _tell(stage: Stage) -> Story:
    stage.table("prices", "version INT, apple INT")
    stage.execute("INSERT INTO prices VALUES (1, 3)")
    prices = stage.add("tmp_cache", timeout=1)
    yield Screen(Part.CODE, "A slow report, kept in a file")
    yield Code("tmp_cache/app.py", mark=("CACHE.exists()", "CACHE.write_text"), since="CACHE =")

    yield Screen(Part.RUN, "Asked twice")
    first, second = prices.invoke({}), prices.invoke({})
    yield Bars(
        tuple(
            Bar(
                f"from the {payload_of(one)['from']}", one.report.duration_ms, figure=f"{one.report.duration_ms:.1f} ms"
            )
            for one in (first, second)
        )
    )
    yield Say("The file was written by the first event and read by the second: same environment, same disk.")
    expect([payload_of(one)["from"] for one in (first, second)] == ["database", "file"], "the file is read again")

    yield Ask(
        "The next event runs into its timeout. Where does the one after it find the prices?",
        ("nowhere, it asks the database again", "in the file", "it cannot start, the environment is lost"),
    )
    yield Screen(Part.RUN, "After a timeout")
    ended = prices.invoke({"seconds": 9})
    expect(ended.report.status == "timeout", "the event runs into its timeout")
    yield Step(f"the event was cut after {ms(ended.report.duration_ms)}, and its processes were killed")
    after = prices.invoke({})
    yield Step(f"the next one found the prices in the {payload_of(after)['from']}, in {ms(after.report.duration_ms)}")
    expect(payload_of(after)["from"] == "file", "the file outlives a timeout")
    yield Reveal(1, "A timeout takes the memory and leaves the disk. The environment is the same, with all its files.")

    prices.recycle()
    again = prices.invoke({})
    yield Screen(Part.RUN, "After a recycling")
    yield Step(f"the prices came from the {payload_of(again)['from']}, in {ms(again.report.duration_ms)}")
    yield Say("A new environment has an empty disk. So a file there is a cache: free, fast, and gone one day.")
    expect(payload_of(again)["from"] == "database", "a new environment has an empty disk")
    yield from _cure(stage)


def _cure(stage: Stage) -> Story:
    prices = stage.function("tmp_cache")
    stage.execute("UPDATE prices SET version = version + 1, apple = apple + 1")
    true = stage.number("SELECT apple FROM prices")
    stale = payload_of(prices.invoke({}))
    yield Screen(Part.WHY, "And it is never wrong?")
    yield Step(f"an apple costs {measured(true)} now, and the function says {measured(stale['apple'])}")
    yield Say(
        "Nobody tells an environment that the prices have changed. It may live for hours, so it may be wrong for hours."
    )
    expect(stale["apple"] != true, "a cache that is not checked gives the old price")

    checked = stage.add("tmp_cache_checked")
    yield Screen(Part.CURE, "A name that changes with the content")
    yield Say("Ask the cheap question each time, the slow one only when the answer has changed.")
    yield Code("tmp_cache_checked/app.py", mark=("SELECT version", "apple-{version}"), since="def handler")

    yield Screen(Part.PROOF, "The price goes up once more")
    bars, found = [], []
    for change in (False, False, True, False):
        if change:
            stage.execute("UPDATE prices SET version = version + 1, apple = apple + 1")
        result = checked.invoke({})
        answer = payload_of(result)
        found.append((answer["from"], answer["apple"] == stage.number("SELECT apple FROM prices")))
        bars.append(
            Bar(
                f"{answer['apple']} from the {answer['from']}",
                result.report.duration_ms,
                figure=f"{result.report.duration_ms:.1f} ms",
            )
        )
    yield Bars(tuple(bars))
    yield proven(
        "the report ran once for each price, and every answer was right",
        found == [("database", True), ("file", True)] * 2,
    )


LESSON = Lesson(
    number=2,
    name="tmp",
    title="A cache in /tmp, and a timeout",
    question="A function keeps a slow report in a file in /tmp. Who else finds that file, and for how long is it true?",
    tell=_tell,
    remember=(
        "A file in /tmp is there for the next event of the same environment.",
        "It outlives a timeout and a crash, which memory does not.",
        "It does not outlive a recycling, and other environments do not see it.",
        "Let its name say which version it holds, or look at its age.",
    ),
)
