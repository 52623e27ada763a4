"""What the pytest plugin adds to a test: with a warm function, and with a database of the test's own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from emulator.testing.running import OneTest, SharedEmulator, settings_for_tests
from emulator.testing.watching import Connections
from tests.bench.figures import Row, Spread
from tests.bench.part import Scale

__all__ = ["plugin"]

_ONCE = Path(__file__).parent.parent.parent / "sample_functions" / "connect_once"


def plugin(scale: Scale) -> list[Row]:
    """Everything around the invocation itself: what its fixtures do before it and after it."""
    rounds = scale.pick(10, 50)
    with SharedEmulator(settings_for_tests({"emulator": {"sandbox": "process"}}), _ONCE.parent) as session:
        connections = Connections(session.emulator, lambda: ())

        def watched(test: OneTest) -> float:
            """One warm invocation, watched; answers how much of it was the invocation."""
            once = test.deploy(_ONCE)
            with connections.watch(once) as seen:
                begin = time.perf_counter()
                once.invoke({})
                spent = time.perf_counter() - begin
            seen.assert_opened(at_most=0)
            return spent

        def with_database(test: OneTest) -> float:
            test.database.execute("CREATE TABLE orders (id INT PRIMARY KEY)")
            return 0.0

        with session.test() as test:
            test.deploy(_ONCE).invoke({})
        rows = []
        for name, run, limit in (
            ("a test with a warm function, less its invocation", watched, 0.02),
            ("a test with a database of its own", with_database, 0.15),
        ):
            spread = Spread.of(_rounds(session, run, rounds))
            rows.append(
                Row(part="plugin", name=name, measured=spread, value=spread.median, value_unit="s", limit=limit)
            )
            scale.tick()
        return rows


def _rounds(session: SharedEmulator, test: Callable[[OneTest], float], rounds: int) -> list[float]:
    """Seconds for each, less what the test says is not to be counted."""
    found = []
    for _ in range(rounds):
        begin = time.perf_counter()
        with session.test() as run:
            not_counted = test(run)
        found.append(time.perf_counter() - begin - not_counted)
    return found
