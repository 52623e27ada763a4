"""What the pytest plugin adds to a test: with a warm function, and with a database of the test's own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from emulator.testing.running import OneTest, SharedEmulator, settings_for_tests
from emulator.testing.watching import Connections
from tests.bench.figures import Figure

__all__ = ["measure_plugin"]

_ONCE = Path(__file__).parent.parent.parent / "sample_functions" / "connect_once"


def measure_plugin(sandbox: str, rounds: int) -> list[Figure]:
    """Everything around the invocation itself: what its fixtures do before it and after it."""
    settings = settings_for_tests({"emulator": {"sandbox": sandbox}})
    with SharedEmulator(settings, _ONCE.parent) as session:
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
        return [
            Figure.of(
                f"{sandbox}: a test with a warm function, without its invocation", _rounds(session, watched, rounds)
            ),
            Figure.of(f"{sandbox}: a test with a database of its own", _rounds(session, with_database, rounds)),
        ]


def _rounds(session: SharedEmulator, test: Callable[[OneTest], float], rounds: int) -> list[float]:
    """Seconds for each, less what the test says is not to be counted."""
    found = []
    for _ in range(rounds):
        begin = time.perf_counter()
        with session.test() as run:
            not_counted = test(run)
        found.append(time.perf_counter() - begin - not_counted)
    return found


if __name__ == "__main__":
    for figure in measure_plugin("process", 50):
        print(f"{figure.name}: {figure.median / 1000:.1f} ms (p99 {figure.p99 / 1000:.1f} ms)")
