"""Settings of the unit tests."""

from __future__ import annotations

from hypothesis import settings

# No limit on the time of one example: how long it takes on a busy machine says nothing about what is tested.
settings.register_profile("unit", deadline=None, max_examples=60)
settings.load_profile("unit")
