"""So many environments of one function at once: each waits at a gate until all are there."""

from __future__ import annotations

import contextlib
import fcntl
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.bench.children import wait_until
from tests.bench.client import Door
from tests.bench.errors import BenchError
from tests.bench.product import FUNCTIONS, MEMORY, Product, product

__all__ = ["AT_ONCE", "FUNCTION", "Gathered", "Sessions", "crowd_code", "crowd_settings", "gather", "running_with"]

FUNCTION = "waiting"
Sessions = Literal["lean", "pymysql", ""]
"""By which client each environment opens a session of the database; without one there is no database."""
AT_ONCE = 8  # that start at the same time: all at once would only be in each other's way on a few processors
_PATIENCE = 600.0
_LOOK_AGAIN = 0.05  # seconds; each look costs the emulator a millisecond


@contextlib.contextmanager
def crowd_code() -> Iterator[Path]:
    """A copy of the function's code, which holds its gate."""
    with tempfile.TemporaryDirectory(prefix="lambda-freezer-bench-") as made:
        Path(made).chmod(0o755)
        code = Path(made) / "code"
        shutil.copytree(FUNCTIONS / FUNCTION, code)
        (code / "gate").touch()
        yield code


def crowd_settings(code: Path, count: int, *, sandbox: str, sessions: Sessions, **emulator: Any) -> dict[str, Any]:
    """A function for a crowd of so many, and one that has a single environment; with a database for their sessions."""
    waiting: dict[str, Any] = {"code": str(code), "memory": MEMORY, "timeout": 900}
    if sessions:
        waiting["environment"] = {"WITH_SESSION": sessions}
    database: dict[str, Any] = {"server": "local", "max_connections": count + 20} if sessions else {"server": "none"}
    return {
        "emulator": {"sandbox": sandbox, "concurrency": count + 100, **emulator},
        "database": database,
        "policy": {"idle_timeout": "off", "max_lifetime": "off"},
        "functions": {FUNCTION: waiting, "echo": {"code": str(FUNCTIONS / "echo"), "memory": MEMORY, "timeout": 30}},
    }


@dataclass(frozen=True, slots=True)
class Gathered:
    """``seconds`` from the first request until all were frozen."""

    ours: Product
    seconds: float


@contextlib.contextmanager
def running_with(
    count: int, *, sandbox: str, sessions: Sessions, tick: Callable[[], None], **emulator: Any
) -> Iterator[Gathered]:
    """The product with so many frozen environments.

    Raises:
        BenchError: it does not come to that many.
    """
    with (
        crowd_code() as code,
        product(crowd_settings(code, count, sandbox=sandbox, sessions=sessions, **emulator)) as ours,
    ):
        yield Gathered(ours, gather(ours, code / "gate", count, tick))


def gather(ours: Product, gate: Path, count: int, tick: Callable[[], None] = lambda: None) -> float:
    """Have so many environments, those there are already included, and wait until all are frozen; seconds.

    Raises:
        BenchError: it does not come to that many.
    """
    _raise_file_limit(count + 200)
    mine = len(ours.get(f"/environments?function={FUNCTION}")["environments"])
    others = sum(ours.states().values()) - mine
    wanted = others + max(count, mine)
    begin = time.perf_counter()
    with contextlib.ExitStack() as stack, gate.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        clients: list[socket.socket] = []
        deadline = time.monotonic() + _PATIENCE
        while True:
            arrived = ours.states().get("invoking", 0)
            while len(clients) < count and len(clients) - arrived < AT_ONCE:
                clients.append(stack.enter_context(_ask(ours.door(FUNCTION))))
            if arrived >= count:
                break
            if time.monotonic() > deadline:
                raise BenchError(f"{arrived} of {count} environments after {_PATIENCE:g} s: {ours.states()}")
            time.sleep(_LOOK_AGAIN)
            tick()
        fcntl.flock(file, fcntl.LOCK_UN)
        for client in clients:
            _read(client, ours)
    wait_until(lambda: ours.states().get("frozen", 0) >= wanted, "all are frozen", seconds=_PATIENCE, every=_LOOK_AGAIN)
    return time.perf_counter() - begin


def _ask(door: Door) -> socket.socket:
    client = socket.create_connection((door.host, door.port), timeout=_PATIENCE)
    body = b'{"wait":true}'
    client.sendall(
        b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (door.path.encode(), len(body), body)
    )
    return client


def _read(client: socket.socket, ours: Product) -> None:
    answer = client.recv(65536)
    if not answer.startswith(b"HTTP/1.1 200") or b"x-amz-function-error" in answer.lower():
        lines = [line for line in ours.log(FUNCTION).splitlines() if "rror" in line]
        raise BenchError(f"an environment did not come about: {'; '.join(lines[-3:]) or answer!r}")


def _raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
