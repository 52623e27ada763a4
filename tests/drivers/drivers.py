"""The drivers that are compared: each a sample function, whose handler's name says how it holds its connection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["DRIVERS", "SAMPLES", "WAYS", "Driver"]

SAMPLES = Path(__file__).resolve().parent.parent.parent / "sample_functions"

WAYS = {
    "leave": "opened in the handler, never closed",
    "close": "opened in the handler, closed there",
    "connection": "one connection, opened once, outside of the handler, without the driver's pool",
    "once": "opened once, outside of the handler, used as the driver has it by default, which mostly is a pool",
    "checked": "opened once, and asked before each use, with what the driver offers for that",
    "nullpool": "an engine that is kept, and no connection (SQLAlchemy)",
}
"""How a connection is held, by the handler's name."""


_EVERY_WAY = ("leave", "close", "once", "checked")
_WITHOUT_POOL = (*_EVERY_WAY, "connection")


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A driver in its language's public runtime.

    Attributes:
        sample: its folder.
        title: language and driver, for the table.
        runtime: AWS's identifier; ``None`` for the Python that runs the emulator.
        handler: the handler's name, with ``{}`` for the way.
        built: whether the sample has to be built first, by ``./dev build-samples``.
        ways: which of them it has.
    """

    sample: str
    title: str
    runtime: str | None = None
    handler: str = "{}"
    built: bool = True
    ways: tuple[str, ...] = _EVERY_WAY

    @property
    def code(self) -> Path:
        """Its deployment package."""
        return SAMPLES / self.sample / "build" if self.built else SAMPLES / self.sample


DRIVERS = (
    Driver(sample="go_database_sql", title="Go, database/sql and go-sql-driver", runtime="provided.al2023"),
    Driver(sample="go_gorm", title="Go, GORM", runtime="provided.al2023"),
    Driver(sample="node_mysql2", title="Node.js, mysql2", runtime="nodejs20.x", handler="index.{}", ways=_WITHOUT_POOL),
    Driver(sample="node_serverless_mysql", title="Node.js, serverless-mysql", runtime="nodejs20.x", handler="index.{}"),
    Driver(
        sample="java_hikaricp", title="Java, HikariCP", runtime="java17", handler="shop.Orders::{}", ways=_WITHOUT_POOL
    ),
    Driver(sample="rust_sqlx", title="Rust, sqlx", runtime="provided.al2023"),
    Driver(sample="python_pymysql", title="Python, PyMySQL", handler="app.{}", built=False),
    Driver(
        sample="python_sqlalchemy",
        title="Python, SQLAlchemy",
        handler="app.{}",
        ways=(*_EVERY_WAY, "nullpool"),
    ),
    Driver(sample="shell_bootstrap", title="Shell, the mysql client", runtime="provided.al2023"),
)
