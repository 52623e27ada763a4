"""What is to be audited, and how: from a name or a folder, and the options of the command."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.conditions import CONDITIONS, Condition, find_condition
from emulator.conditions.kinds import KEPT_WARM
from emulator.config import Settings
from emulator.database.profiles import profile_named
from emulator.errors import ConfigurationError

__all__ = ["Plan", "make_plan"]

_HANDLERS = {"app.py": "app.handler", "lambda_function.py": "lambda_function.lambda_handler"}
_STORM = 10  # environments: what a small machine starts in a few seconds
_CONCURRENCY = 10
_ROOMY: Mapping[str, Any] = {"memory": 512, "timeout": 10}  # of a function of which nothing but its folder is known


@dataclass(frozen=True, slots=True)
class Plan:
    """What to audit.

    Attributes:
        settings: of an emulator of its own, with this one function.
        payload: of every invocation, parsed.
        conditions: in the order in which they are played.
        limit: ``max_connections`` to compare with; ``None`` for the server's own.
        limit_of: whose that is, in words.
        concurrency: environments at once.
        pool: sessions of one to reckon with; ``None`` for what is measured.
    """

    settings: Settings
    function: str
    payload: Any
    conditions: tuple[Condition, ...]
    limit: int | None
    limit_of: str
    concurrency: int
    pool: int | None


def make_plan(
    function: str,
    payload: Any,
    settings: Settings,
    base: Path,
    *,
    handler: str | None = None,
    conditions: Sequence[str] = (),
    profile: str | None = None,
    max_connections: int | None = None,
    concurrency: int | None = None,
    pool: int | None = None,
) -> Plan:
    """The plan that an ``audit`` command asks for.

    Arguments:
        function: its name in the settings, or the folder of its code.
        settings, base: the configuration, and the folder that its paths are relative to.
        handler: of a folder that the settings do not know.

    Raises:
        ConfigurationError: there is no such function, or two options contradict each other.
        ConditionError: there is no such condition.
    """
    if profile is not None and max_connections is not None:
        raise ConfigurationError("--profile and --max-connections both say the limit", cure="Leave one of them out.")
    name, table = _find(function, settings, base, handler)
    reserved = table.get("reserved_concurrency")
    wanted = concurrency or reserved or _CONCURRENCY
    at_once = min(wanted, reserved) if reserved else wanted
    limit = profile_named(profile).max_connections if profile is not None else max_connections
    theirs = settings.database.server.startswith("mysql:")
    database = {} if limit is None or theirs else {"max_connections": limit}
    whole = settings.model_dump(exclude_unset=True)
    whole["functions"] = {name: {**table, "provisioned_concurrency": 0, "policy": dict(KEPT_WARM)}}
    whole["emulator"] = {**whole.get("emulator", {}), "port": 0}
    whole["database"] = {**whole.get("database", {}), **database}
    return Plan(
        settings=Settings.model_validate(whole),
        function=name,
        payload=payload,
        conditions=_conditions(conditions, min(at_once, _STORM)),
        limit=limit if limit is not None else settings.database.max_connections,
        limit_of=profile or ("as asked for" if limit is not None else "the server's own"),
        concurrency=at_once,
        pool=pool,
    )


def _find(function: str, settings: Settings, base: Path, handler: str | None) -> tuple[str, dict[str, Any]]:
    """The function's name and its table."""
    folder = Path(function).resolve()
    for name, known in settings.functions.items():
        is_it = known.code is not None and folder.is_dir() and (base / known.code).resolve() == folder
        if name == function or is_it:
            return name, known.model_dump(exclude_unset=True)
    if not folder.is_dir():
        there = f"There are {', '.join(settings.functions)}." if settings.functions else "The configuration has none."
        raise ConfigurationError(
            f"{function!r} is neither a function nor a folder", cure=f"{there} A folder of code will do as well."
        )
    if handler is None:
        handler = next((known for file, known in _HANDLERS.items() if (folder / file).is_file()), None)
    if handler is None:
        raise ConfigurationError(
            f"the handler in {function} is not known: there is neither {' nor '.join(_HANDLERS)}",
            cure="Name it: --handler module.function.",
        )
    name = re.sub(r"[^a-zA-Z0-9-_]+", "-", folder.name)[:64] or "function"
    return name, {**_ROOMY, "code": folder, "handler": handler}


def _conditions(names: Sequence[str], storm: int) -> tuple[Condition, ...]:
    wanted = names or [f"storm={storm}" if name == "storm" else name for name in CONDITIONS]
    return tuple(find_condition(name) for name in wanted)
