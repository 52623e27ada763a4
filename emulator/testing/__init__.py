"""What tests of functions are made of, with pytest or without: watching what one does to the database.

with Emulator() as emulator:
    orders = emulator.add(Function(name="orders", code="functions/orders"))
    with watch(orders) as seen:
        orders.invoke({"id": 1})
        orders.invoke({"id": 2})
    seen.assert_reused()

The names are imported when they are first used, so that what pytest loads for everybody stays small.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.testing.database import PrivateDatabase as PrivateDatabase
    from emulator.testing.deploying import Deployments as Deployments
    from emulator.testing.watching import Connections as Connections
    from emulator.testing.watching import Seen as Seen
    from emulator.testing.watching import watch as watch

_HOMES = {
    "Connections": "emulator.testing.watching",
    "Deployments": "emulator.testing.deploying",
    "PrivateDatabase": "emulator.testing.database",
    "Seen": "emulator.testing.watching",
    "watch": "emulator.testing.watching",
}

__all__ = ["Connections", "Deployments", "PrivateDatabase", "Seen", "watch"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
