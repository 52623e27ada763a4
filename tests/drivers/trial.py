"""One driver, one way to hold its connection, one trouble: what its function shows, for real."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from emulator import Emulator, Function
from emulator.conditions import Condition, SeenError, Stage, error_of, find_condition
from emulator.embedded import DeployedFunction, InvocationResult
from tests.drivers.drivers import Driver

__all__ = ["TROUBLES", "Finding", "KilledInTransaction", "TrialError", "run_trial"]

_PATIENCE = 6  # invocations after which a connection that still fails is called poisoned
_HOLD = 1.0  # seconds that a transaction is held open, for somebody to end its session
_LOOK_AGAIN = 0.12  # seconds; the server makes its list of transactions anew when nobody has read it for 0.1 s
_DEADLINE = 20.0  # seconds for a transaction to be seen
_REST = 0.6  # seconds; HikariCP asks no connection that was used half a second ago
_names = itertools.count(1)


class TrialError(Exception):
    """What was to be tried did not come about."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a trial has shown.

    Attributes:
        error: of the first invocation that felt the trouble; ``None`` where the function noticed nothing.
        failed: how many invocations in a row failed.
        recovery_ms: what these and the first good one after them took; ``None`` where none was good.
        opened: how many sessions the server was asked for in the whole trial.
        held: how many of them it still holds at the end.
        lost: how many orders the caller was told of that the table does not have.
    """

    error: SeenError | None
    failed: int
    recovery_ms: float | None
    opened: int
    held: int
    lost: int = 0

    @property
    def poisoned(self) -> bool:
        """Whether it would have gone on failing."""
        return self.recovery_ms is None


class KilledInTransaction:
    """The server ends a session that is in the middle of a transaction: an administrator's KILL, a limit, a proxy."""

    name = "killed-in-transaction"
    title = "killed in a transaction"
    what = "The server ends the session between INSERT and COMMIT."
    reason = "The driver hears of it when it speaks next, and what it had written is rolled back."
    begins_with = 2

    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        return MappingProxyType({})

    def invoke(self, stage: Stage, function: DeployedFunction, payload: Any, nth: int) -> InvocationResult:
        """The first invocation is left alone; the second one's transaction is held open, and ended from outside."""
        if nth != self.begins_with:
            return function.invoke(payload)
        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(function.invoke, {**payload, "hold": _HOLD})
            _end_transaction(stage.emulator, running.done)
            return running.result()


def _end_transaction(emulator: Emulator, is_over: Callable[[], bool]) -> None:
    until = time.monotonic() + _DEADLINE
    with emulator.connect(autocommit=True) as administrator, administrator.cursor() as cursor:
        while time.monotonic() < until and not is_over():
            cursor.execute(
                "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx "
                "WHERE trx_mysql_thread_id <> CONNECTION_ID() AND trx_rows_modified > 0"
            )
            if found := cursor.fetchone():
                cursor.execute("KILL %s", found)
                return
            time.sleep(_LOOK_AGAIN)
    raise TrialError("no transaction was seen that could have been ended")


TROUBLES: tuple[Condition, ...] = (
    find_condition("frozen-past-wait-timeout"),
    find_condition("nat"),
    find_condition("recycled-silently"),
    KilledInTransaction(),
    find_condition("database-restarted"),
)


def run_trial(emulator: Emulator, driver: Driver, way: str, trouble: Condition, *, rest: float = _REST) -> Finding:
    """Two invocations with the trouble at the second, and as many more as it takes until one is good.

    Arguments:
        rest: seconds of real time before the trouble. Time that is skipped goes by for the server and the path, and not
            on the function's own clock, by which some drivers decide whether to ask a connection.

    Raises:
        TrialError: the function does not work even without any trouble.
    """
    deployed = emulator.add(_function(driver, way))
    stage = Stage(emulator)
    try:
        with stage.under(trouble, deployed):
            first = trouble.invoke(stage, deployed, {}, 1)
            _must_be_good(first, driver, way)
            time.sleep(rest)
            finding = _recover(emulator, deployed, [first, trouble.invoke(stage, deployed, {}, 2)])
    finally:
        deployed.recycle("fin")
    return finding


def _function(driver: Driver, way: str) -> Function:
    settings: dict[str, Any] = {} if driver.runtime is None else {"runtime": driver.runtime}
    name = f"{driver.sample}-{way}-{next(_names)}"
    handler = driver.handler.format(way)
    return Function(name=name, code=driver.code, handler=handler, memory=1769, timeout=15, **settings)


def _must_be_good(result: InvocationResult, driver: Driver, way: str) -> None:
    if (error := error_of(result)) is not None:
        raise TrialError(f"{driver.sample}, {way}: it fails without any trouble: {error}")


def _recover(emulator: Emulator, function: DeployedFunction, results: list[InvocationResult]) -> Finding:
    error = error_of(results[-1])
    failed = 0
    while error_of(results[-1]) is not None and failed < _PATIENCE:
        failed += 1
        results.append(function.invoke({}))
    recovered = error_of(results[-1]) is None
    spent = sum(result.report.duration_ms for result in results[1:])
    evidence = function.evidence()
    held = sum(1 for session in emulator.connections() if session.function == function.name)
    told = [result.payload["order"] for result in results if error_of(result) is None]
    lost = _missing(emulator, told)
    return Finding(error, failed, spent if recovered else None, len(evidence.opened()), held, lost)


def _missing(emulator: Emulator, orders: list[int]) -> int:
    """How many of these orders are not there."""
    database = emulator.database_variables()["DB_NAME"]
    with emulator.connect(database=database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM orders WHERE id IN %s", (orders,))
        ((found,),) = cursor.fetchall()
    return len(orders) - int(found)
