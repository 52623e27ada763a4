"""A template's parameters: the values that they have, checked as CloudFormation checks them. Pure.

[D] CloudFormation user guide, Parameters section syntax.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from emulator.errors import ConfigurationError

__all__ = ["as_text", "looked_up", "values_of"]

_STORED = "AWS::SSM::Parameter::Value<"  # the value is the name of one that AWS keeps


def values_of(described: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str | list[str]]:
    """Each parameter's value: what is given, or else the template's default.

    Arguments:
        described: the template's ``Parameters``.

    Raises:
        ConfigurationError: one has neither, has a value that the template does not allow, or is not of the template.
    """
    if strange := sorted(given.keys() - described.keys()):
        raise ConfigurationError(
            f"the template has no parameter {strange[0]!r}",
            cure=f"It has {', '.join(described)}." if described else "It has none.",
        )
    values: dict[str, str | list[str]] = {}
    for name, table in described.items():
        if name not in given and "Default" not in table:
            raise ConfigurationError(
                f"the parameter {name} has no default and no value", cure=f"Give it one: --parameter {name}=VALUE"
            )
        kind, value = str(table.get("Type", "String")), as_text(given.get(name, table.get("Default")))
        if kind.startswith(_STORED):
            kind = kind.removeprefix(_STORED).removesuffix(">")
        is_list = kind == "CommaDelimitedList" or kind.startswith("List<")
        parts = [part.strip() for part in value.split(",")] if is_list else [value]
        for part in parts:
            _check(name, kind, table, part)
        values[name] = parts if is_list else value
    return values


def looked_up(described: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """What to tell of each parameter whose value only AWS could look up; its name there stands for it."""
    kinds = {name: str(table.get("Type")) for name, table in described.items() if name not in given}
    return {
        name: f"Ref {name} ({kind} {described[name].get('Default')})"
        for name, kind in kinds.items()
        if kind.startswith(_STORED)
    }


def as_text(value: Any) -> str:
    """As CloudFormation writes it into a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(as_text(each) for each in value) if isinstance(value, list) else str(value)


def _check(name: str, kind: str, table: Mapping[str, Any], value: str) -> None:
    if cure := _problem(kind, table, value):
        said = table.get("ConstraintDescription")
        raise ConfigurationError(f"the parameter {name} is {value!r}", cure=f"{cure} {said}" if said else cure)


def _problem(kind: str, table: Mapping[str, Any], value: str) -> str | None:
    """What the template wants instead."""
    allowed = [as_text(each) for each in table.get("AllowedValues") or []]
    if allowed and value not in allowed:
        return f"The template allows {', '.join(allowed)}."
    if (pattern := table.get("AllowedPattern")) is not None and not _fits(str(pattern), value):
        return f"The template's AllowedPattern is {pattern}"
    measured: float = len(value)
    limits, unit = ("MinLength", "MaxLength"), "characters"
    if kind in ("Number", "List<Number>"):
        try:
            measured = float(value)
        except ValueError:
            return "It is a number."
        limits, unit = ("MinValue", "MaxValue"), ""
    low, high = (table.get(limit) for limit in limits)
    if low is not None and measured < float(low):
        return f"The template wants at least {low} {unit}".rstrip() + "."
    if high is not None and measured > float(high):
        return f"The template wants at most {high} {unit}".rstrip() + "."
    return None


def _fits(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:  # it is in Java's words, which are not all Python's
        return True
