"""How blocks look, without colour and within the width."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console

from emulator.lessons.blocks import Bar, Bars, Block, Code, Sessions, Step, Table, measured
from emulator.lessons.pictures import CONTENT_WIDTH, drawn, source_of
from emulator.model import EnvironmentId, Session

SESSION = Session(
    id=7,
    environment=EnvironmentId("0123456789abcdef"),
    environment_state="frozen",
    function="open_once",
    request_id=None,
    user="lambda",
    database="lambda",
    command="Sleep",
    seconds=1.0,
    statement=None,
    client_address="",
    zombie=False,
    drops_in=28800.0,
)


def seen(block: Block) -> list[str]:
    console = Console(width=CONTENT_WIDTH, file=StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(drawn(block))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_bars_are_as_long_as_what_they_stand_for() -> None:
    """Living, zombies and what is missing, one after the other, each with its own sign; and the limit through all."""
    bars = Bars((Bar("now", 2), Bar("recycled", 0, zombies=2), Bar("storm", 2, zombies=1, missing=1)), limit=4)
    assert seen(bars) == [
        f"     now  {'█' * 20}{' ' * 20}┆  2",
        f"recycled  {'░' * 20}{' ' * 20}┆  2",
        f"   storm  {'█' * 20}{'░' * 10}{'×' * 10}┆  3 + 1 missing",
        "",
        "█ held by an environment   ░ zombie   × missing   ┆ 4",
    ]


def test_a_limit_is_seen_in_a_bar_that_goes_beyond_it() -> None:
    """At its place."""
    line = seen(Bars((Bar("storm", 10, missing=10),), limit=10))[0]
    assert line.count("┆") == 1
    assert line.index("┆") == line.index("█") + 20


def test_a_little_is_not_nothing() -> None:
    """Of what is there one sign is drawn, however long the others are; of nothing none."""
    lines = seen(Bars((Bar("a", 1000.0, figure="1000 ms"), Bar("b", 0.1, figure="0.1 ms"), Bar("c", 0, figure="-"))))
    assert [line.count("█") for line in lines] == [40, 1, 0]


def test_bars_with_long_labels_get_shorter() -> None:
    """Nothing is cut off at the right."""
    lines = seen(Bars((Bar("a label that is quite long" * 2, 5, missing=2),), limit=5))
    assert "5 + 2 missing" in lines[0]
    assert all(len(line) <= CONTENT_WIDTH for line in lines)


def test_a_long_list_of_sessions_is_cut_and_counted() -> None:
    """Six rows, how many more there are, and how many of how many are taken."""
    lines = seen(Sessions(tuple(replace(SESSION, id=number, zombie=True) for number in range(9)), limit=12))
    assert [line.split()[0] for line in lines[1:7]] == list("012345")
    assert "✝ zombie" in lines[1]
    assert lines[7:] == ["… and 3 more", "9 of 12 connections taken"]


def test_a_list_of_sessions_says_whose_they_are() -> None:
    """And where there are none, it says so."""
    assert seen(Sessions((SESSION,)))[1].split() == ["7", "Sleep", "open_once", "01234567", "❄", "frozen", "8", "h"]
    assert seen(Sessions(())) == ["the server holds no sessions of functions"]


def test_a_marked_line_of_code_is_seen_without_colour() -> None:
    """By a sign; and only the lines asked for are shown."""
    code = Code("counter/app.py", mark=("count += 1",), since="count = 0", until="time.sleep")
    assert source_of(code)[0].startswith("count = 0")
    assert seen(code)[-1] == "▸     count += 1"


def test_figures_of_a_line_stay_in_it() -> None:
    """A step is one line with its sign; a table has its headings."""
    assert seen(Step(f"count {measured(3)}, warm")) == ["→ count 3, warm"]
    assert seen(Table(("A", "B"), (("1", "x"),), numbers=(0,))) == ["A  B", "1  x"]
