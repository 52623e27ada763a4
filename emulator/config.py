"""Settings: ``lambda-freezer.toml`` and what may stand in it.

The room is long because it is one list: every table with its keys, and what a wrong one is told.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from emulator.concurrency import Concurrency
from emulator.errors import ConfigurationError
from emulator.event_settings import MAX_AGE, MAX_RETRIES, MIN_AGE
from emulator.http_events.routes import HttpRoute
from emulator.model import KEEPALIVE, PROVISIONED_LIFETIME, Function, Logging, Reclaim
from emulator.policies import (
    PRESETS,
    AfterError,
    Chance,
    EvictionOrder,
    HalfOfIdle,
    Histogram,
    IdleTimeout,
    MaxInvocations,
    MaxLifetime,
    MemoryPressure,
    Policy,
    Selection,
)
from emulator.policies.memory import pressure_of
from emulator.policies.own import as_policy, is_own_name, load_own
from emulator.runtimes import Runtimes, own_runtime
from emulator.schedules import Schedule
from emulator.spans import LONGEST, Span, seconds_of
from emulator.urls import Cors

__all__ = [
    "CONFIG_FILE",
    "AsynchronousSettings",
    "CorsSettings",
    "DatabaseSettings",
    "EmulatorSettings",
    "FunctionSettings",
    "LoggingSettings",
    "PolicySettings",
    "RouteSettings",
    "RuntimeSettings",
    "ScheduleSettings",
    "Settings",
    "UrlTable",
    "load_settings",
    "make_policy",
    "make_pressure",
    "parse_duration",
    "policy_settings",
    "policy_table",
]

CONFIG_FILE = "lambda-freezer.toml"

_OFF = "off"
_MANY = 1_000_000_000
_KINDS = {  # of value, by pydantic's names for what it found instead
    "model_type": "input should be a table, such as { key = value }",
    "dict_type": "input should be a table, such as { key = value }",
    "list_type": "input should be a list, such as [first, second]",
}


def _duration(value: Any) -> Any:
    return seconds_of(value) if isinstance(value, str) else value


def _span(value: Any) -> float | str:
    if value == _OFF:
        return _OFF
    span = Span.of(value)
    return span.low if span.is_fixed else str(value)


def _period(value: Any) -> float | str:
    if value == _OFF:
        return _OFF
    span = Span.of(value)
    if not span.is_fixed:
        raise ValueError('one duration is wanted here, such as "5m"')
    return span.low


def _switched(value: Any) -> Any:
    return {} if value is True else None if value is False else value


def _policy_name(value: str) -> str:
    if value not in PRESETS and not is_own_name(value):
        raise ValueError(f"there are {', '.join(PRESETS)}, and your own as module:Class")
    return value


def _written(form: str) -> WithJsonSchema:
    """How it is told to clients: seconds, or a text of this form."""
    number = {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST}
    return WithJsonSchema({"anyOf": [number, {"type": "string", "pattern": f"^({form}|{_OFF})$"}]})


_TIME = r"([0-9]+(\.[0-9]+)? *[dhms] *)+"
_Duration = Annotated[float, BeforeValidator(_duration), Field(gt=0)]
"""Seconds, as a number or as ``"7m"``."""
_Span = Annotated[float | str, BeforeValidator(_span), _written(f"{_TIME}(\\.\\.{_TIME})?")]
"""The same, or a range to draw from, ``"5m..10m"``, which stays as it was written; or ``"off"``."""
_Period = Annotated[float | str, BeforeValidator(_period), _written(_TIME)]
"""A duration, or ``"off"``."""


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
    fork_server: bool = Field(default=False, strict=True)
    concurrency: int = Field(default=1000, ge=0, strict=True)
    prewarmed: int = Field(default=0, ge=0, le=1000, strict=True)
    network: Literal["auto", "netlink", "helper", "disconnect", "none"] = "auto"
    quiet: _Duration = 0.05
    old_formats: bool = Field(default=False, strict=True)
    origins: bool = Field(default=False, strict=True)
    hot_reload: bool = Field(default=True, strict=True)
    log_folder: Path | None = None
    streaming_bandwidth: Literal["unlimited", "aws"] = "unlimited"
    seed: int | None = Field(default=None, strict=True)
    scaling: int = Field(default=1000, ge=1, strict=True)
    request_rate: Literal["unlimited", "aws"] = "unlimited"
    provisioned_lifetime: _Duration = PROVISIONED_LIFETIME
    speed: float = Field(default=1.0, ge=1, le=86_400, strict=True, allow_inf_nan=False)
    timeline_events: int = Field(default=100_000, ge=1, le=10_000_000, strict=True)
    timeline_file: Path | None = None
    state: Path | None = None


class DatabaseSettings(_Table):
    """The ``[database]`` table."""

    server: str = Field(default="auto", pattern=r"^(auto|local|docker|none|mysql://.+)$")
    profile: str | None = None
    max_connections: int | None = Field(default=None, ge=1, le=100_000, strict=True)
    wait_timeout: Annotated[int, BeforeValidator(_duration), Field(ge=1, le=31_536_000)] | None = None
    path: Literal["direct", "nat", "firewall"] = "direct"
    keepalive: _Duration = KEEPALIVE


class PolicySettings(_Table):
    """The ``[policy]`` table; a key that is left out is the preset's."""

    name: Annotated[str, AfterValidator(_policy_name)] = "aws"
    select: Selection | None = None
    idle_timeout: _Span | None = None
    max_lifetime: _Span | None = None
    max_invocations: int | None = Field(default=None, ge=0, le=_MANY, strict=True)
    half_of_idle: _Period | None = None
    histogram: _Period | None = None
    chance: float | None = Field(default=None, ge=0, le=1, strict=True)
    after_error: bool | None = Field(default=None, strict=True)
    memory_limit: int | None = Field(default=None, ge=0, le=_MANY, strict=True)
    eviction: EvictionOrder = EvictionOrder.LRU
    reclaim: Reclaim = Reclaim.SILENT


class LoggingSettings(_Table):
    """The ``logging`` table of a function."""

    format: Literal["Text", "JSON"] = "Text"
    application_level: Literal["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"] = "INFO"
    system_level: Literal["DEBUG", "INFO", "WARN"] = "INFO"
    group: str | None = None

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        if self.format == "Text" and self.model_fields_set & {"application_level", "system_level"}:
            raise ValueError('only a log with format = "JSON" has levels')
        return self


class AsynchronousSettings(_Table):
    """The ``asynchronous`` table of a function."""

    retries: int = Field(default=MAX_RETRIES, ge=0, le=MAX_RETRIES, strict=True)
    max_age: Annotated[float, BeforeValidator(_duration), Field(ge=MIN_AGE, le=MAX_AGE)] = MAX_AGE
    on_success: str | None = None
    on_failure: str | None = None
    dead_letter: str | None = None


class CorsSettings(_Table):
    """The ``cors`` table of a URL or of a route."""

    allow_origins: list[str] = Field(default_factory=list)
    allow_methods: list[str] = Field(default_factory=list)
    allow_headers: list[str] = Field(default_factory=list)
    expose_headers: list[str] = Field(default_factory=list)
    max_age: Annotated[int, BeforeValidator(_duration), Field(ge=0, le=86_400)] | None = None
    allow_credentials: bool = Field(default=False, strict=True)


class UrlTable(_Table):
    """The ``url`` table of a function; ``url = true`` is one with nothing in it."""

    auth: Literal["NONE", "AWS_IAM"] = "NONE"
    invoke_mode: Literal["BUFFERED", "RESPONSE_STREAM"] = "BUFFERED"
    cors: CorsSettings | None = None


class RouteSettings(_Table):
    """One ``[[routes]]`` table."""

    path: str
    function: str
    method: str = "ANY"
    qualifier: str | None = None
    version: Literal["2.0", "1.0"] = "2.0"
    stage: str = "$default"
    cors: CorsSettings | None = None


class ScheduleSettings(_Table):
    """One ``[[schedules]]`` table."""

    function: str
    expression: str
    name: str | None = None
    input: str | None = None
    timezone: str = "UTC"
    source: Literal["aws.events", "aws.scheduler"] = "aws.events"


class FunctionSettings(_Table):
    """One ``[functions.NAME]`` table. Its ``policy`` says only what is different from ``[policy]``."""

    code: Path | None = None
    handler: str = "app.handler"
    runtime: str | None = None
    memory: Annotated[int, Field(strict=True)] = 128
    timeout: Annotated[int, Field(strict=True)] = 3
    ephemeral_storage: Annotated[int, Field(strict=True)] = 512
    environment: dict[str, str] = Field(default_factory=dict)
    image: str | None = None
    entry_point: list[str] = Field(default_factory=list)
    command: list[str] = Field(default_factory=list)
    working_directory: str | None = None
    layers: list[Path] = Field(default_factory=list)
    logging: LoggingSettings = Field(default_factory=LoggingSettings)
    policy: PolicySettings = Field(default_factory=PolicySettings)
    reserved_concurrency: int | None = Field(default=None, ge=0, strict=True)
    provisioned_concurrency: int = Field(default=0, ge=0, strict=True)
    asynchronous: AsynchronousSettings = Field(default_factory=AsynchronousSettings)
    url: Annotated[UrlTable | None, BeforeValidator(_switched)] = None
    debug_port: Annotated[int, Field(strict=True)] | None = None


class RuntimeSettings(_Table):
    """One ``[runtimes.NAME]`` table."""

    image: str | None = None
    command: list[str] = Field(default_factory=list)


class Settings(_Table):
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
        return _checked(merged, source)

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
        return _checked(values, "the command line")

    def with_values(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with some values replaced, checked like a file: ``{"emulator": {"port": 0}}``.

        Of a table the keys that are named are replaced, of a list, which only ``routes`` is, the whole.
        """
        values = self.model_dump(exclude_unset=True)
        for table, change in changes.items():
            values[table] = {**values.get(table, {}), **change} if isinstance(change, Mapping) else change
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
        settings.make_routes()
        settings.make_schedules()
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error.message}", cure=error.cure) from error
    return settings, base


def parse_duration(value: str) -> float:
    """Seconds, from ``7m``, ``1h30m`` or a plain number.

    Raises:
        ConfigurationError: it is neither.
    """
    try:
        return float(value) if value.replace(".", "", 1).isdigit() else seconds_of(value)
    except ValueError as error:
        raise ConfigurationError(f"{value!r} is no span of time", cure=f"{error}.") from error


_RULES: tuple[tuple[str, type[Any], Callable[[Any], object]], ...] = (
    ("idle_timeout", IdleTimeout, IdleTimeout),
    ("histogram", Histogram, Histogram),
    ("half_of_idle", HalfOfIdle, HalfOfIdle),
    ("max_lifetime", MaxLifetime, MaxLifetime),
    ("max_invocations", MaxInvocations, MaxInvocations),
    ("chance", Chance, Chance),
    ("after_error", AfterError, lambda _: AfterError()),
)
"""By key: which rule it stands for, and how that is made of the value."""
_OF_THE_EMULATOR = ("memory_limit", "eviction")


def make_policy(
    settings: PolicySettings | Policy,
    overrides: object = None,
    base: Path | None = None,
    where: str = "a function's policy",
) -> Policy:
    """The policy that settings describe; then the function's own over it.

    Arguments:
        settings: the ``[policy]`` table, or a policy that a program has composed.
        overrides: what is different for the function, in the keys of that table; or a policy, which replaces it.
        base: the folder of the configuration, where a ``module:Class`` is looked for.
        where: how complaints about the overrides call them.

    Raises:
        ConfigurationError: a value that cannot be, or a class that is no rule.
    """
    if overrides is not None and not isinstance(overrides, Mapping):
        policy = as_policy(overrides)
        if pressure_of(policy) is not None:
            raise _not_of_a_function(where, "MemoryPressure")
        return policy
    given = overrides or {}
    for key in _OF_THE_EMULATOR:
        if key in given:
            raise _not_of_a_function(where, key)
    own = policy_settings(given, where)
    if isinstance(settings, Policy) and "name" not in given:
        return _with_settings(settings, own)
    values = {} if isinstance(settings, Policy) else settings.model_dump(exclude_unset=True)
    wanted = policy_settings({**values, **own.model_dump(exclude_unset=True)}, where)
    preset = PRESETS.get(wanted.name)
    return _with_settings(Policy(wanted.name, preset) if preset is not None else load_own(wanted.name, base), wanted)


def make_pressure(settings: PolicySettings | Policy) -> MemoryPressure | None:
    """What all idle environments together may take; nothing where that is not limited."""
    if isinstance(settings, Policy):
        return pressure_of(settings)
    return MemoryPressure(settings.memory_limit, settings.eviction) if settings.memory_limit else None


def policy_settings(values: Mapping[str, Any], where: str) -> PolicySettings:
    """A ``[policy]`` table that does not come from a file.

    Raises:
        ConfigurationError: with the key, what was found and what is allowed.
    """
    return _checked({"policy": dict(values)}, where).policy


def policy_table(policy: object) -> dict[str, Any]:
    """What stands in a ``[policy]`` table for it, as JSON has it; nothing for a policy that a program has composed."""
    if isinstance(policy, Mapping):
        policy = policy_settings(policy, "a function's policy")
    return policy.model_dump(mode="json", exclude_unset=True) if isinstance(policy, PolicySettings) else {}


def _with_settings(policy: Policy, settings: PolicySettings) -> Policy:
    """The policy with what the settings say otherwise: a key replaces, adds or takes away one rule."""
    rules = list(policy.rules)
    for key, kind, make in _RULES:
        value = getattr(settings, key)
        if value is None:
            continue
        place = next((number for number, rule in enumerate(rules) if type(rule) is kind), len(rules))
        made = [] if value == _OFF or not value else [make(value)]
        rules = [rule for rule in rules if type(rule) is not kind]
        rules[place:place] = made
        if key == "histogram" and made and settings.idle_timeout is None:  # it is an idle timeout, and comes instead
            rules = [rule for rule in rules if type(rule) is not IdleTimeout]
    selection = settings.select if settings.select is not None else policy.selection
    reclaim = settings.reclaim if "reclaim" in settings.model_fields_set else policy.reclaim
    return replace(policy, rules=tuple(rules), selection=selection, reclaim=reclaim)


def _not_of_a_function(where: str, key: str) -> ConfigurationError:
    return ConfigurationError(
        f"{where}: {key} is a matter of the whole emulator", cure="Say it in [policy], for all functions together."
    )


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
    message = _KINDS.get(details["type"]) or details["msg"].removeprefix("Value error, ")
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
