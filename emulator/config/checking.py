"""Values against tables: what is wrong with them, with the place, what was found and what is allowed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from emulator.config.tables import (
    AsynchronousSettings,
    CorsSettings,
    DatabaseSettings,
    EmulatorSettings,
    FunctionSettings,
    LoggingSettings,
    PolicySettings,
    RouteSettings,
    RuntimeSettings,
    ScheduleSettings,
    Table,
    UrlTable,
)
from emulator.errors import ConfigurationError

__all__ = ["checked"]

T = TypeVar("T", bound=Table)

_KINDS = {  # of value, by pydantic's names for what it found instead
    "model_type": "input should be a table, such as { key = value }",
    "dict_type": "input should be a table, such as { key = value }",
    "list_type": "input should be a list, such as [first, second]",
}


def checked(file: type[T], values: Mapping[str, Any], source: str) -> T:
    """The settings that values are.

    Arguments:
        file: of which kind they are to be: the whole file.
        source: where the values come from, for the complaints.

    Raises:
        ConfigurationError: with the key, what was found and what is allowed.
    """
    try:
        return file.model_validate(values)
    except ValidationError as error:
        complaints = [_complaint(details, file.model_fields) for details in error.errors()]
        raise ConfigurationError(
            "\n".join(f"{source}: {complaint}" for complaint in complaints),
            cure="docs/configuration.md lists every key with what it takes.",
        ) from error


def _complaint(details: Any, tables_of_file: Collection[str]) -> str:
    *tables, key = (str(part) for part in details["loc"])
    where = f"[{'.'.join(tables)}] {key}" if tables else f"[{key}]"
    if details["type"] == "extra_forbidden":
        known = ", ".join(_known_keys(tables, tables_of_file))
        return f"{where} is not a setting; there are: {known}"
    if details["type"] == "missing":
        return f"{where} is missing"
    message = _KINDS.get(details["type"]) or details["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return f"{where} is {details['input']!r}: {message}"


def _known_keys(tables: list[str], tables_of_file: Collection[str]) -> list[str]:
    match tables:
        case []:
            return sorted(tables_of_file)
        case ["emulator"]:
            return sorted(EmulatorSettings.model_fields)
        case ["database"]:
            return sorted(DatabaseSettings.model_fields)
        case ["functions", _, "url"]:
            return sorted(UrlTable.model_fields)
        case ["functions", _, "url", "cors"] | ["routes", _, "cors"]:
            return sorted(CorsSettings.model_fields)
        case ["schedules", _]:
            return sorted(ScheduleSettings.model_fields)
        case ["routes", _]:
            return sorted(RouteSettings.model_fields)
        case ["runtimes", _]:
            return sorted(RuntimeSettings.model_fields)
        case ["functions", _, "logging"]:
            return sorted(LoggingSettings.model_fields)
        case ["functions", _, "asynchronous"]:
            return sorted(AsynchronousSettings.model_fields)
        case ["policy"] | ["functions", _, "policy"]:
            return sorted(PolicySettings.model_fields)
        case _:
            return sorted(FunctionSettings.model_fields)
