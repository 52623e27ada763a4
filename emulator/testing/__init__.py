"""What the pytest plugin is made of."""

from __future__ import annotations

__all__: list[str] = []
