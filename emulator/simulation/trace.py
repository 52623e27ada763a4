"""Traces: what really happened, read from a file.

========================  ================================================================================
CSV                       a heading with ``timestamp``, ``function`` and, if known, ``duration_ms``, in any order
JSON lines                one object a line, with the same names
Azure Functions, 2019     counts a minute: ``HashOwner,HashApp,HashFunction,Trigger,1,...,1440``
========================  ================================================================================

Which of them a file is, its first line tells. Every complaint names the line.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Self, TextIO

from emulator.errors import ConfigurationError
from emulator.model import Function
from emulator.simulation.workload import Workload, WorkloadBuilder

__all__ = ["read_trace"]

_AZURE = ["hashowner", "hashapp", "hashfunction", "trigger"]
_COLUMNS = "timestamp,function,duration_ms"
_PART = 12  # letters of each hash that make the name of a function: a name may have 64 in all


def read_trace(path: Path, chance: Random, *, functions: Collection[str] = (), until: float | None = None) -> Workload:
    """The events of a file, the first one at 0 s; of counts a minute the first minute begins there.

    Arguments:
        chance: spreads the events of a minute over it, where only their number is known.
        functions: only these.
        until: only the events of the first so many seconds.

    Raises:
        ConfigurationError: it cannot be read, with the line, what was found and what is allowed.
    """
    wanted = _Wanted(functions)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(_Lines(path, file), WorkloadBuilder(str(path), until), chance, wanted, until)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}", cure="Name another file with --trace."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path} is no text in UTF-8: {error.reason}", cure="Unpack it first, if it is packed."
        ) from error


class _Lines:
    """The lines of a file that are not empty, each with its number."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._file = path, file
        self.number = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        while True:
            line = next(self._file)
            self.number += 1
            if line.strip():
                return line

    def wrong(self, found: str, cure: str) -> ConfigurationError:
        return ConfigurationError(f"{self._path}, line {self.number}: {found}", cure=cure)


class _Wanted:
    """Which functions of a trace are to be taken: those that are named, or all."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._found: set[str] = set()
        self._seen: dict[str, bool] = {}

    def takes(self, lines: _Lines, function: str, hash_: str = "") -> bool:
        """Whether its events count. The trace may call it by a hash as well."""
        known = self._seen.get(function)
        if known is None:
            try:
                Function(name=function, code=Path())
            except ConfigurationError as error:
                raise lines.wrong(error.message, error.cure) from error
            hits = {name for name in (function, hash_) if name in self._names}
            self._found |= hits
            known = self._seen[function] = bool(hits) or not self._names
        return known

    def check(self, path: str) -> None:
        if missing := sorted(set(self._names) - self._found):
            shown = sorted(self._seen)[:10]
            more = len(self._seen) - len(shown)
            raise ConfigurationError(
                f"{path} has no event of {', '.join(missing)}",
                cure=f"It has {', '.join(shown)}{f' and {more} more' if more else ''}.",
            )


def _read(lines: _Lines, builder: WorkloadBuilder, chance: Random, wanted: _Wanted, until: float | None) -> Workload:
    first = next(lines, None)
    if first is None:
        raise ConfigurationError(f"{builder.source} is empty", cure=f"A trace begins with a heading: {_COLUMNS}")
    minutes = None
    if first.lstrip().startswith("{"):
        _read_events(_objects(lines, first), lines, builder, wanted)
    else:
        heading = [name.strip().lower() for name in _cells(lines, first)]
        if heading[:1] == _AZURE[:1]:
            minutes = _read_counts(lines, heading, builder, chance, wanted, until)
        else:
            _read_events(_rows(lines, heading), lines, builder, wanted)
    wanted.check(builder.source)
    return builder.build() if minutes is None else builder.build(begin=0.0, span=minutes * 60.0)


# -- events, one by one ----------------------------------------------------------------------------------


def _objects(lines: _Lines, first: str) -> Iterator[dict[str, Any]]:
    line: str | None = first
    while line is not None:
        try:
            found = json.loads(line)
        except ValueError as error:
            raise lines.wrong(f"it is not JSON: {error}", "Each line is one JSON object.") from error
        if not isinstance(found, dict):
            raise lines.wrong("it is no JSON object", 'Write {"timestamp": 12.5, "function": "orders"}.')
        yield found
        line = next(lines, None)


def _rows(lines: _Lines, heading: list[str]) -> Iterator[dict[str, Any]]:
    missing = [name for name in ("timestamp", "function") if name not in heading]
    if missing:
        raise lines.wrong(
            f"the heading has no column {' and no column '.join(missing)}",
            f"The first line is {_COLUMNS}, the last of which may be left out; or that of the Azure Functions trace.",
        )
    for line in lines:
        cells = _cells(lines, line)
        if len(cells) != len(heading):
            raise lines.wrong(f"there are {len(cells)} values", f"The heading has {len(heading)}: {','.join(heading)}")
        yield dict(zip(heading, cells, strict=True))


def _cells(lines: _Lines, line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise lines.wrong(f"it is not CSV: {error}", "Values are separated by commas.") from error


def _read_events(entries: Iterable[dict[str, Any]], lines: _Lines, builder: WorkloadBuilder, wanted: _Wanted) -> None:
    is_date: bool | None = None
    for entry in entries:
        function = entry.get("function")
        if not isinstance(function, str) or not function.strip():
            raise lines.wrong(f"function is {function!r}", "It is the name of a function.")
        at, dated = _moment(entry.get("timestamp"), lines)
        if is_date is not None and dated is not is_date:
            raise lines.wrong(
                f"timestamp is {entry['timestamp']!r}, and the first one was a {'date' if is_date else 'number'}",
                "Write all of them as seconds, or all as dates.",
            )
        is_date = dated
        duration = _duration(entry.get("duration_ms"), lines)
        if wanted.takes(lines, function.strip()):
            builder.add(at, function.strip(), duration)


def _moment(value: Any, lines: _Lines) -> tuple[float, bool]:
    """Seconds since some beginning, and whether that is the epoch."""
    if (number := _number(value)) is not None:
        return number, False
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            pass
        else:
            return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp(), True
    raise lines.wrong(f"timestamp is {value!r}", "It is a number of seconds, or a date such as 2026-07-01T08:54:54.1Z.")


def _duration(value: Any, lines: _Lines) -> float:
    if value is None or (isinstance(value, str) and not value.strip()):
        return math.nan
    number = _number(value)
    if number is None or number < 0:
        raise lines.wrong(f"duration_ms is {value!r}", "It is a number of milliseconds, or left out.")
    return number / 1000


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


# -- counts a minute -------------------------------------------------------------------------------------


def _read_counts(
    lines: _Lines,
    heading: list[str],
    builder: WorkloadBuilder,
    chance: Random,
    wanted: _Wanted,
    until: float | None,
) -> int:
    """Answers how many minutes there are. [X] AzurePublicDataset, AzureFunctionsDataset2019."""
    minutes = heading[len(_AZURE) :]
    if heading[: len(_AZURE)] != _AZURE or minutes != [str(number + 1) for number in range(len(minutes))]:
        raise lines.wrong(
            "it begins as the Azure Functions trace does, and goes on otherwise",
            "Its heading is HashOwner,HashApp,HashFunction,Trigger,1,2,...,1440.",
        )
    end = len(heading) if until is None else len(_AZURE) + math.ceil(until / 60)
    for line in lines:
        cells = line.rstrip("\r\n").split(",")
        if len(cells) != len(heading):
            raise lines.wrong(f"there are {len(cells)} values", f"The heading has {len(heading)}.")
        _, application, function, _ = cells[: len(_AZURE)]
        name = f"{application[:_PART]}-{function[:_PART]}"  # a function's hash is its own only within its application
        if not wanted.takes(lines, name, function):
            continue
        for minute, cell in enumerate(cells[len(_AZURE) : end]):
            if cell == "0":
                continue
            if not cell.isdecimal():
                raise lines.wrong(f"the count of minute {minute + 1} is {cell!r}", "Counts are whole numbers.")
            for _ in range(int(cell)):
                builder.add((minute + chance.random()) * 60, name)
    return len(minutes)
