"""The page of drivers is about the drivers there are."""

from __future__ import annotations

from pathlib import Path

from tests.drivers.drivers import DRIVERS, WAYS
from tests.drivers.trial import TROUBLES

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "drivers.md"


def test_every_driver_has_a_cell_for_every_trouble() -> None:
    """Each way's table has the troubles as columns and all drivers that have that way as rows, and all of them ran."""
    text = PAGE.read_text(encoding="utf-8")
    assert "not run" not in text
    for way in WAYS:
        section = text.partition(f"\n## {way}\n")[2].partition("\n## ")[0]
        rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")]
        head, *drivers = rows
        assert [cell.strip(" |") for cell in head[1:]] == [trouble.title for trouble in TROUBLES]
        assert [row[0].strip(" |") for row in drivers] == [driver.title for driver in DRIVERS if way in driver.ways]
        assert all(len(row) == len(head) for row in drivers)
