"""The table of the bench: amounts with units, marks and verdicts, for a terminal and for the docs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.bench.figures import Row, Spread, missing
from tests.bench.table import amount, markdown, table

MET = Row(
    part="warm",
    name="warm invoke",
    measured=Spread(100e-6, 206e-6, 366e-6, 1.2e-3, 1000),
    peer="RIE",
    against=470e-6,
    value=0.44,
    limit=0.5,
    note="frozen after 1,000 of 1,000",
)
MISSED = Row(
    part="throughput",
    name="invocations a second",
    measured=Spread(4000.0, 5000.0, 6000.0, 6000.0, 3),
    unit="/s",
    peer="floor",
    against=10_000.0,
    value=0.5,
    limit=0.6,
    at_least=True,
)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (206e-6, "s", "206 µs"),
        (0.0206, "s", "20.6 ms"),
        (2.06, "s", "2.06 s"),
        (-5e-6, "s", "-5 µs"),
        (6.5 * 2**20, "B", "6.5 MiB"),
        (3.5 * 2**30, "B", "3.50 GiB"),
        (10_345.4, "/s", "10,345/s"),
        (0.27, "%", "0.27 %"),
        (0.44, "x", "0.44 x"),
        (1 / 40, "x", "0.025 x"),
        (0.5, "B/invocation", "0.5 B/invocation"),
    ],
)
def test_an_amount_has_its_unit_and_few_digits(value: float, unit: str, shown: str) -> None:
    """As a person would write it."""
    assert amount(value, unit) == shown


def test_the_terminal_shows_the_verdict_as_a_word() -> None:
    """Colour alone would tell nothing in a file; figures, the peer's figure, the comparison and the mark are there."""
    out = Console(file=io.StringIO(), width=240)
    out.print(table([MET, MISSED, missing("forked", "forked processes", "not available in this build")]))
    assert isinstance(out.file, io.StringIO)
    lines = [line.split() for line in out.file.getvalue().splitlines() if line.strip()]
    assert "206 µs 366 µs 100 µs 1.2 ms 1000 RIE 470 µs 0.44 x ≤ 0.50 x met frozen" in " ".join(lines[1])
    assert "5,000/s 6,000/s 4,000/s 6,000/s 3 floor 10,000/s 0.50 x ≥ 0.60 x missed" in " ".join(lines[2])
    assert " ".join(lines[3]) == "forked processes not available in this build"


def test_the_docs_get_a_row_for_each_and_the_reason_where_there_is_no_figure() -> None:
    """A table of markdown whose lines all have as many cells."""
    lines = markdown([MET, MISSED, missing("forked", "forked processes", "not available in this build")]).splitlines()
    assert lines[2] == "| warm invoke | 206 µs | 366 µs | RIE | 470 µs | 0.44 x | ≤ 0.50 x | met |"
    assert lines[4].startswith("| forked processes | not available in this build |")
    assert {line.count("|") for line in lines} == {9}
