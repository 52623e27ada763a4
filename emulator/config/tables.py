"""The tables of ``lambda-freezer.toml``: which keys each has, and which values these take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from emulator.config.values import Duration, DurationOrOff, SpanOrOff, in_seconds
from emulator.event_settings import MAX_AGE, MAX_RETRIES, MIN_AGE
from emulator.model import KEEPALIVE, PROVISIONED_LIFETIME, Reclaim
from emulator.policies import PRESETS, EvictionOrder, Selection
from emulator.policies.own import is_own_name

__all__ = [
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
    "Table",
    "UrlTable",
]

_MANY = 1_000_000_000


def _switched(value: Any) -> Any:
    return {} if value is True else None if value is False else value


def _policy_name(value: str) -> str:
    if value not in PRESETS and not is_own_name(value):
        raise ValueError(f"there are {', '.join(PRESETS)}, and your own as module:Class")
    return value


class Table(BaseModel):
    """What every table has in common: no key that is not known, and no change of a value."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EmulatorSettings(Table):
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
    quiet: Duration = 0.05
    old_formats: bool = Field(default=False, strict=True)
    origins: bool = Field(default=False, strict=True)
    hot_reload: bool = Field(default=True, strict=True)
    log_folder: Path | None = None
    streaming_bandwidth: Literal["unlimited", "aws"] = "unlimited"
    seed: int | None = Field(default=None, strict=True)
    scaling: int = Field(default=1000, ge=1, strict=True)
    request_rate: Literal["unlimited", "aws"] = "unlimited"
    provisioned_lifetime: Duration = PROVISIONED_LIFETIME
    speed: float = Field(default=1.0, ge=1, le=86_400, strict=True, allow_inf_nan=False)
    timeline_events: int = Field(default=100_000, ge=1, le=10_000_000, strict=True)
    timeline_file: Path | None = None
    state: Path | None = None


class DatabaseSettings(Table):
    """The ``[database]`` table."""

    server: str = Field(default="auto", pattern=r"^(auto|local|docker|none|mysql://.+)$")
    profile: str | None = None
    max_connections: int | None = Field(default=None, ge=1, le=100_000, strict=True)
    wait_timeout: Annotated[int, BeforeValidator(in_seconds), Field(ge=1, le=31_536_000)] | None = None
    path: Literal["direct", "nat", "firewall"] = "direct"
    keepalive: Duration = KEEPALIVE


class PolicySettings(Table):
    """The ``[policy]`` table; a key that is left out is the preset's."""

    name: Annotated[str, AfterValidator(_policy_name)] = "aws"
    select: Selection | None = None
    idle_timeout: SpanOrOff | None = None
    max_lifetime: SpanOrOff | None = None
    max_invocations: int | None = Field(default=None, ge=0, le=_MANY, strict=True)
    half_of_idle: DurationOrOff | None = None
    histogram: DurationOrOff | None = None
    chance: float | None = Field(default=None, ge=0, le=1, strict=True)
    after_error: bool | None = Field(default=None, strict=True)
    memory_limit: int | None = Field(default=None, ge=0, le=_MANY, strict=True)
    eviction: EvictionOrder = EvictionOrder.LRU
    reclaim: Reclaim = Reclaim.SILENT


class LoggingSettings(Table):
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


class AsynchronousSettings(Table):
    """The ``asynchronous`` table of a function."""

    retries: int = Field(default=MAX_RETRIES, ge=0, le=MAX_RETRIES, strict=True)
    max_age: Annotated[float, BeforeValidator(in_seconds), Field(ge=MIN_AGE, le=MAX_AGE)] = MAX_AGE
    on_success: str | None = None
    on_failure: str | None = None
    dead_letter: str | None = None


class CorsSettings(Table):
    """The ``cors`` table of a URL or of a route."""

    allow_origins: list[str] = Field(default_factory=list)
    allow_methods: list[str] = Field(default_factory=list)
    allow_headers: list[str] = Field(default_factory=list)
    expose_headers: list[str] = Field(default_factory=list)
    max_age: Annotated[int, BeforeValidator(in_seconds), Field(ge=0, le=86_400)] | None = None
    allow_credentials: bool = Field(default=False, strict=True)


class UrlTable(Table):
    """The ``url`` table of a function; ``url = true`` is one with nothing in it."""

    auth: Literal["NONE", "AWS_IAM"] = "NONE"
    invoke_mode: Literal["BUFFERED", "RESPONSE_STREAM"] = "BUFFERED"
    cors: CorsSettings | None = None


class RouteSettings(Table):
    """One ``[[routes]]`` table."""

    path: str
    function: str
    method: str = "ANY"
    qualifier: str | None = None
    version: Literal["2.0", "1.0"] = "2.0"
    stage: str = "$default"
    cors: CorsSettings | None = None


class ScheduleSettings(Table):
    """One ``[[schedules]]`` table."""

    function: str
    expression: str
    name: str | None = None
    input: str | None = None
    timezone: str = "UTC"
    source: Literal["aws.events", "aws.scheduler"] = "aws.events"


class FunctionSettings(Table):
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


class RuntimeSettings(Table):
    """One ``[runtimes.NAME]`` table."""

    image: str | None = None
    command: list[str] = Field(default_factory=list)
