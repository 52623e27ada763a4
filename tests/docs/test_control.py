"""What docs/control.md says of operations, compared with what there is."""

from __future__ import annotations

import re
from pathlib import Path

from emulator.control.operations import OPERATIONS, SERVED_ELSEWHERE
from emulator.control.service_model import load_service_model

PAGE = (Path(__file__).parent.parent.parent / "docs" / "control.md").read_text()


def test_the_list_of_operations() -> None:
    """Each of AWS's operations stands in the list that is true of it, in order, and the counts are right."""
    names = sorted(load_service_model().operations)
    works = [name for name in names if name in OPERATIONS or name in SERVED_ELSEWHERE]
    missing = [name for name in names if name not in works]
    section = PAGE.partition("\n## Operations\n")[2].partition("\n## ")[0]
    said, counted, not_there = section.partition("**Not implemented**")
    assert counted
    assert re.findall(r"`([A-Z][A-Za-z]+)`", said) == works
    assert re.findall(r"`([A-Z][A-Za-z]+)`", not_there.partition(":\n")[2]) == missing
    assert f"({len(works)} of {len(names)})" in said
    assert f"({len(missing)})" in not_there


def test_no_operation_is_made_up() -> None:
    """What works is in AWS's model."""
    assert OPERATIONS.keys() | SERVED_ELSEWHERE <= load_service_model().operations.keys()
