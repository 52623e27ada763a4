"""Settings: ``lambda-freezer.toml`` and what may stand in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from emulator.errors import ConfigurationError
from emulator.event_settings import MAX_AGE, MAX_RETRIES, MIN_AGE
from emulator.model import KEEPALIVE, PROVISIONED_LIFETIME, Function, Logging, Reclaim
from emulator.policy import PRESETS, IdleTimeout, MaxInvocations, MaxLifetime, Policy, Rule

__all__ = [
    "CONFIG_FILE",
    "AsynchronousSettings",
    "DatabaseSettings",
    "EmulatorSettings",
    "FunctionSettings",
    "LoggingSettings",
    "PolicySettings",
    "Settings",
    "load_settings",
    "make_policy",
    "parse_duration",
]

CONFIG_FILE = "lambda-freezer.toml"

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)\s*(d|h|m|s)\s*)+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(d|h|m|s)")
_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}


def _duration(value: Any) -> Any:
    if isinstance(value, str):
        if not _DURATION.fullmatch(value.strip()):
            raise ValueError('a duration is written like "7m", "1h30m" or "90s"')
        return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(value))
    return value


_Duration = Annotated[float, BeforeValidator(_duration), Field(gt=0)]
"""Seconds, as a number or as ``"7m"``."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EmulatorSettings(_Table):
    """The ``[emulator]`` table."""

    host: str = "127.0.0.1"
    port: int = Field(default=3001, ge=0, le=65_535, strict=True)
    account: str = Field(default="123456789012", pattern=r"^\d{12}$")
    region: str = Field(default="us-east-1", pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    sandbox: Literal["auto", "container", "process"] = "auto"
    freezer: Literal["auto", "cgroup-v2", "cgroup-v1", "signals", "engine"] = "auto"
    concurrency: int = Field(default=1000, ge=0, strict=True)
    network: Literal["auto", "netlink", "helper", "disconnect", "none"] = "auto"
    quiet: _Duration = 0.05
    old_formats: bool = Field(default=False, strict=True)
    log_folder: Path | None = None
    streaming_bandwidth: Literal["unlimited", "aws"] = "unlimited"
    scaling: int = Field(default=1000, ge=1, strict=True)
    request_rate: Literal["unlimited", "aws"] = "unlimited"
    provisioned_lifetime: _Duration = PROVISIONED_LIFETIME


class DatabaseSettings(_Table):
    """The ``[database]`` table."""

    server: str = Field(default="auto", pattern=r"^(auto|local|docker|none|mysql://.+)$")
    max_connections: int | None = Field(default=None, ge=1, le=100_000, strict=True)
    path: Literal["direct", "nat", "firewall"] = "direct"
    keepalive: _Duration = KEEPALIVE


class PolicySettings(_Table):
    """The ``[policy]`` table; a key that is left out is the preset's."""

    name: Literal["aws", "always-cold", "keep-warm"] = "aws"
    idle_timeout: _Duration | None = None
    max_lifetime: _Duration | None = None
    max_invocations: int | None = Field(default=None, ge=0, strict=True)
    reclaim: Reclaim = Reclaim.SILENT


class LoggingSettings(_Table):
    """The ``logging`` table of a function."""

    format: Literal["Text", "JSON"] = "Text"
    application_level: Literal["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"] = "INFO"
    system_level: Literal["DEBUG", "INFO", "WARN"] = "INFO"
    group: str | None = None


class AsynchronousSettings(_Table):
    """The ``asynchronous`` table of a function."""

    retries: int = Field(default=MAX_RETRIES, ge=0, le=MAX_RETRIES, strict=True)
    max_age: Annotated[float, BeforeValidator(_duration), Field(ge=MIN_AGE, le=MAX_AGE)] = MAX_AGE
    on_success: str | None = None
    on_failure: str | None = None
    dead_letter: str | None = None


class FunctionSettings(_Table):
    """One ``[functions.NAME]`` table. Its ``policy`` says only what is different from ``[policy]``."""

    code: Path
    handler: str = "app.handler"
    runtime: str | None = None
    memory: Annotated[int, Field(strict=True)] = 128
    timeout: Annotated[int, Field(strict=True)] = 3
    ephemeral_storage: Annotated[int, Field(strict=True)] = 512
    environment: dict[str, str] = Field(default_factory=dict)
    image: str | None = None
    layers: list[Path] = Field(default_factory=list, max_length=5)
    logging: LoggingSettings = Field(default_factory=LoggingSettings)
    policy: PolicySettings = Field(default_factory=PolicySettings)
    reserved_concurrency: int | None = Field(default=None, ge=0, strict=True)
    provisioned_concurrency: int = Field(default=0, ge=0, strict=True)
    asynchronous: AsynchronousSettings = Field(default_factory=AsynchronousSettings)


class Settings(_Table):
    """The whole file."""

    emulator: EmulatorSettings = Field(default_factory=EmulatorSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    policy: PolicySettings = Field(default_factory=PolicySettings)
    functions: dict[str, FunctionSettings] = Field(default_factory=dict)

    def make_functions(self, base: Path) -> list[Function]:
        """The functions of the file; relative code folders are below ``base``.

        Raises:
            ConfigurationError: a value that AWS would refuse.
        """
        made = []
        for name, table in self.functions.items():
            given = table.model_dump(exclude_unset=True, exclude={"policy", "code", "layers", "logging"})
            made.append(
                Function(
                    name=name,
                    code=(base / table.code).resolve(),
                    layers=[(base / layer).resolve() for layer in table.layers],
                    logging=Logging(**table.logging.model_dump(exclude_unset=True)),
                    policy=table.policy.model_dump(exclude_unset=True),
                    **given,
                )
            )
        return made

    def with_values(self, changes: Mapping[str, Mapping[str, Any]]) -> Settings:
        """These settings with some values replaced, checked like a file: ``{"emulator": {"port": 0}}``."""
        values = self.model_dump(exclude_unset=True)
        for table, pairs in changes.items():
            values[table] = {**values.get(table, {}), **pairs}
        return _checked(values, "the command line")


def load_settings(path: Path | None) -> tuple[Settings, Path]:
    """The settings of a file and the folder that its paths are relative to.

    Without a path, ``lambda-freezer.toml`` of the working directory is read if it is there.

    Raises:
        ConfigurationError: with the file, the key, what was found and what is allowed.
    """
    if path is None:
        path = Path(CONFIG_FILE)
        if not path.exists():
            return Settings(), Path.cwd()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}", cure="Name another file with --config."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}", cure="https://toml.io shows the format.") from error
    settings, base = _checked(values, str(path)), path.resolve().parent
    try:
        settings.make_functions(base)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error.message}", cure=error.cure) from error
    return settings, base


def parse_duration(value: str) -> float:
    """Seconds, from ``7m``, ``1h30m`` or a plain number.

    Raises:
        ConfigurationError: it is neither.
    """
    try:
        return float(value) if value.replace(".", "", 1).isdigit() else float(_duration(value))
    except ValueError as error:
        raise ConfigurationError(f"{value!r} is no span of time", cure=f"{error}.") from error


def make_policy(settings: PolicySettings, overrides: Mapping[str, Any] | None = None) -> Policy:
    """The preset of that name, with what the settings say otherwise; then the function's own over both."""
    values = settings.model_dump(exclude_unset=True)
    if overrides:
        values.update(overrides)
        settings = _checked({"policy": values}, "a function's policy").policy
    rules: dict[type[Rule], Rule] = {type(rule): rule for rule in PRESETS[settings.name]}
    if settings.idle_timeout is not None:
        rules[IdleTimeout] = IdleTimeout(settings.idle_timeout)
    if settings.max_lifetime is not None:
        rules[MaxLifetime] = MaxLifetime(settings.max_lifetime)
    if settings.max_invocations:
        rules[MaxInvocations] = MaxInvocations(settings.max_invocations)
    elif settings.max_invocations == 0:
        rules.pop(MaxInvocations, None)
    return Policy(settings.name, tuple(rules.values()), settings.reclaim)


def _checked(values: Mapping[str, Any], source: str) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        complaints = [_complaint(details) for details in error.errors()]
        raise ConfigurationError(
            "\n".join(f"{source}: {complaint}" for complaint in complaints),
            cure="docs/configuration.md lists every key with what it takes.",
        ) from error


def _complaint(details: Any) -> str:
    *tables, key = (str(part) for part in details["loc"])
    where = f"[{'.'.join(tables)}] {key}" if tables else f"[{key}]"
    if details["type"] == "extra_forbidden":
        known = ", ".join(_known_keys(tables))
        return f"{where} is not a setting; there are: {known}"
    if details["type"] == "missing":
        return f"{where} is missing"
    message = details["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return f"{where} is {details['input']!r}: {message}"


def _known_keys(tables: list[str]) -> list[str]:
    match tables:
        case []:
            return sorted(Settings.model_fields)
        case ["emulator"]:
            return sorted(EmulatorSettings.model_fields)
        case ["database"]:
            return sorted(DatabaseSettings.model_fields)
        case ["functions", _, "logging"]:
            return sorted(LoggingSettings.model_fields)
        case ["functions", _, "asynchronous"]:
            return sorted(AsynchronousSettings.model_fields)
        case ["policy"] | ["functions", _, "policy"]:
            return sorted(PolicySettings.model_fields)
        case _:
            return sorted(FunctionSettings.model_fields)
