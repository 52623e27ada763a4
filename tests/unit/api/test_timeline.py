"""Where a reader of the timeline's stream goes on."""

from __future__ import annotations

import pytest

from emulator.api.timeline import place_of


@pytest.mark.parametrize(
    ("last_event_id", "place"),
    [
        ("ab12:17", 17),
        ("ab12:0", 0),
        ("cd34:17", 0),
        ("17", 0),
        ("ab12:", 0),
        ("ab12:-1", 0),
        ("ab12:1e3", 0),
        ("ab12:٣", 0),
        ("ab12:" + "9" * 5000, 0),
        ("", 0),
    ],
)
def test_a_reader_goes_on_where_it_was_or_begins_anew(last_event_id: str, place: int) -> None:
    """Only a number of this very run is a place; anything else, however strange, is the beginning."""
    assert place_of(last_event_id, "ab12") == place
