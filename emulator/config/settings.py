"""The settings of an emulator: all tables of the configuration together, and what is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from emulator.concurrency import Concurrency
from emulator.config.checking import checked
from emulator.config.tables import (
    DatabaseSettings,
    EmulatorSettings,
    FunctionSettings,
    LoggingSettings,
    PolicySettings,
    RouteSettings,
    RuntimeSettings,
    ScheduleSettings,
    Table,
)
from emulator.errors import ConfigurationError
from emulator.http_events.routes import HttpRoute
from emulator.model import Function, Logging
from emulator.runtimes import Runtimes, own_runtime
from emulator.schedules import Schedule
from emulator.urls import Cors

__all__ = ["Settings"]


class Settings(Table):
    """The whole file."""

    emulator: EmulatorSettings = Field(default_factory=EmulatorSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    policy: PolicySettings = Field(default_factory=PolicySettings)
    runtimes: dict[str, RuntimeSettings] = Field(default_factory=dict)
    functions: dict[str, FunctionSettings] = Field(default_factory=dict)
    routes: list[RouteSettings] = Field(default_factory=list)
    schedules: list[ScheduleSettings] = Field(default_factory=list)

    def make_runtimes(self) -> Runtimes:
        """AWS's runtimes, and those of the file.

        Raises:
            ConfigurationError: one of the file's is none.
        """
        own = {
            name: own_runtime(name, image=table.image, command=tuple(table.command))
            for name, table in self.runtimes.items()
        }
        return Runtimes(own)

    def make_functions(self, base: Path) -> list[Function]:
        """The functions of the file; relative code folders are below ``base``.

        Raises:
            ConfigurationError: a value that AWS would refuse, or a runtime that there is not.
        """
        runtimes = self.make_runtimes()
        made: list[Function] = []
        for name, table in self.functions.items():
            given = table.model_dump(exclude_unset=True, exclude={"policy", "code", "layers", "logging"})
            function = Function(
                name=name,
                code=(base / table.code).resolve() if table.code is not None else None,
                layers=[(base / layer).resolve() for layer in table.layers],
                logging=_make_logging(name, table.logging),
                policy=table.policy.model_dump(exclude_unset=True),
                **given,
            )
            if function.image is None:
                _require_runtime(function, runtimes)
            made.append(function)
        return made

    def make_routes(self) -> list[HttpRoute]:
        """The routes of the file.

        Raises:
            ConfigurationError: a path that cannot be served, or a function that is not there.
        """
        made = []
        for table in self.routes:
            given = table.model_dump(exclude_unset=True, exclude={"cors"})
            cors = Cors(**table.cors.model_dump()) if table.cors is not None else None
            route = HttpRoute(**{"method": table.method, **given}, cors=cors)
            self._check_function(f"route {route.key}", route.function)
            made.append(route)
        return made

    def make_schedules(self) -> list[Schedule]:
        """The schedules of the file; one without a name has that of its function and its place.

        Raises:
            ConfigurationError: an expression that AWS would refuse, a name twice, or a function that is not there.
        """
        made: dict[str, Schedule] = {}
        for number, table in enumerate(self.schedules, 1):
            given = table.model_dump(exclude_unset=True)
            schedule = Schedule(**{**given, "name": table.name or f"{table.function}-{number}"})
            self._check_function(f"schedule {schedule.name}", schedule.function)
            if schedule.name in made:
                raise ConfigurationError(f"there are two schedules {schedule.name!r}", cure="Give each its own name.")
            made[schedule.name] = schedule
        return list(made.values())

    def _check_function(self, of: str, name: str) -> None:
        if name not in self.functions:
            raise ConfigurationError(
                f"{of}: there is no function {name!r}",
                cure=f"There are {', '.join(self.functions)}." if self.functions else "Describe it in [functions].",
            )

    def make_concurrency(self) -> Concurrency:
        """The places of the account, none of them taken."""
        return Concurrency(
            self.emulator.concurrency,
            scaling=self.emulator.scaling,
            request_rate=self.emulator.request_rate == "aws",
        )

    def with_template(self, tables: Mapping[str, Any], source: str) -> Settings:
        """These settings and those of a template; what the file says of one of its functions goes before.

        Arguments:
            tables: ``functions``, ``routes`` and ``schedules``, with absolute paths.
            source: the template's name, for errors.

        Raises:
            ConfigurationError: with the template, the key, what was found and what is allowed.
        """
        values = self.model_dump(exclude_unset=True)
        functions = values.get("functions", {})
        both = {name: {**table, **functions.get(name, {})} for name, table in tables["functions"].items()}
        merged = {
            **values,
            "functions": {**functions, **both},
            **{key: [*values.get(key, []), *tables[key]] for key in ("routes", "schedules")},
        }
        return checked(Settings, merged, source)

    def with_debugger(self, port: int, function: str | None = None) -> Settings:
        """These settings with a debug port for one function; its name may be left out where there is only one.

        Raises:
            ConfigurationError: there is no such function, or there are several to choose from.
        """
        names = ", ".join(self.functions)
        if function is None and len(self.functions) == 1:
            function = next(iter(self.functions))
        if function is None:
            raise ConfigurationError(
                f"--debug-port {port} is for one function, and there are several: {names}"
                if names
                else f"--debug-port {port} without any function",
                cure="Say which one with --debug-function NAME." if names else "Describe it in [functions].",
            )
        if function not in self.functions:
            raise ConfigurationError(
                f"--debug-function {function}: there is no such function",
                cure=f"There are {names}." if names else "Describe it in [functions].",
            )
        values = self.model_dump(exclude_unset=True)
        values["functions"][function]["debug_port"] = port
        return checked(Settings, values, "the command line")

    def with_values(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with some values replaced, checked like a file: ``{"emulator": {"port": 0}}``.

        Of a table the keys that are named are replaced, of a list, which only ``routes`` is, the whole.
        """
        values = self.model_dump(exclude_unset=True)
        for table, change in changes.items():
            values[table] = {**values.get(table, {}), **change} if isinstance(change, Mapping) else change
        return checked(Settings, values, "the command line")


def _make_logging(function: str, table: LoggingSettings) -> Logging:
    try:
        return Logging(**table.model_dump(exclude_unset=True))
    except ConfigurationError as error:
        raise ConfigurationError(f"function {function}: {error.message}", cure=error.cure) from error


def _require_runtime(function: Function, runtimes: Runtimes) -> None:
    try:
        runtimes.find(function.runtime)
    except ConfigurationError as error:
        raise ConfigurationError(f"function {function.name}: {error.message}", cure=error.cure) from error
