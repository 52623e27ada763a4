"""Kinds of values that stand in more than one table: spans of time, as numbers or in words."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from emulator.errors import ConfigurationError
from emulator.spans import LONGEST, Span, seconds_of

__all__ = ["OFF", "Duration", "DurationOrOff", "SpanOrOff", "in_seconds", "parse_duration"]

OFF = "off"


def in_seconds(value: Any) -> Any:
    """Seconds of a text such as ``"7m"``; what is none stays as it is, for others to judge.

    Raises:
        ValueError: a text that is no span of time.
    """
    return seconds_of(value) if isinstance(value, str) else value


def parse_duration(value: str) -> float:
    """Seconds, from ``7m``, ``1h30m`` or a plain number.

    Raises:
        ConfigurationError: it is neither.
    """
    try:
        return float(value) if value.replace(".", "", 1).isdigit() else seconds_of(value)
    except ValueError as error:
        raise ConfigurationError(f"{value!r} is no span of time", cure=f"{error}.") from error


def _span(value: Any) -> float | str:
    if value == OFF:
        return OFF
    span = Span.of(value)
    return span.low if span.is_fixed else str(value)


def _period(value: Any) -> float | str:
    if value == OFF:
        return OFF
    span = Span.of(value)
    if not span.is_fixed:
        raise ValueError('one duration is wanted here, such as "5m"')
    return span.low


def _written(form: str) -> WithJsonSchema:
    """How it is told to clients: seconds, or a text of this form."""
    number = {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST}
    return WithJsonSchema({"anyOf": [number, {"type": "string", "pattern": f"^({form}|{OFF})$"}]})


_TIME = r"([0-9]+(\.[0-9]+)? *[dhms] *)+"
Duration = Annotated[float, BeforeValidator(in_seconds), Field(gt=0)]
"""Seconds, as a number or as ``"7m"``."""
SpanOrOff = Annotated[float | str, BeforeValidator(_span), _written(f"{_TIME}(\\.\\.{_TIME})?")]
"""The same, or a range to draw from, ``"5m..10m"``, which stays as it was written; or ``"off"``."""
DurationOrOff = Annotated[float | str, BeforeValidator(_period), _written(_TIME)]
"""A duration, or ``"off"``."""
