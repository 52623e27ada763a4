"""The records the emulator speaks in: functions, invocations, and what can be seen of environments.

Pure and frozen. Sizes are MiB where the name says memory or storage (as in AWS's own settings) and
bytes where it says bytes; times are seconds unless the name ends in ``_ms``. The room is long because every other one
is about these records, and nothing in it does anything.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, NewType, NoReturn

from emulator.errors import ConfigurationError
from emulator.event_settings import Asynchronous
from emulator.urls import UrlSettings

__all__ = [
    "KEEPALIVE",
    "LATEST",
    "MAX_EVENT_PAYLOAD_BYTES",
    "MAX_PAYLOAD_BYTES",
    "MAX_RESPONSE_BYTES",
    "MAX_STREAM_BYTES",
    "PROVISIONED_LIFETIME",
    "RESERVED_VARIABLES",
    "Answer",
    "ConnectionsSummary",
    "EnvironmentId",
    "EnvironmentView",
    "FreezerReport",
    "Function",
    "InitializationType",
    "Logging",
    "NetworkReport",
    "NetworkRung",
    "Reclaim",
    "Report",
    "RequestId",
    "RungReport",
    "SandboxView",
    "Session",
]

EnvironmentId = NewType("EnvironmentId", str)
RequestId = NewType("RequestId", str)

LATEST = "$LATEST"
"""The version of a function that is not published: what is deployed, and can be changed."""

MAX_PAYLOAD_BYTES = 6_291_456  # [R] "Request must be smaller than 6291456 bytes"
MAX_EVENT_PAYLOAD_BYTES = 1_048_576  # [D] asynchronous invocations, since 2025-10
MAX_RESPONSE_BYTES = 6_291_556  # [C] 6 MiB + 100
MAX_STREAM_BYTES = 200 * 2**20  # [D] "200 MB"; [I] mebibytes, as where AWS says 6 MB

_NAME = re.compile(r"[a-zA-Z0-9-_]{1,64}")
_LOG_GROUP = re.compile(r"[\.\-_/#A-Za-z0-9]{1,512}")  # [D] API_LoggingConfig
_VARIABLE = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")
# [D] configuration-envvars: these belong to Lambda.
RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_MAX_CONCURRENCY",
        "AWS_LAMBDA_METADATA_API",
        "AWS_LAMBDA_METADATA_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
_MAX_VARIABLES_BYTES = 4096


_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_SYSTEM_LEVELS = ("DEBUG", "INFO", "WARN")
_MANY = 1_000_000
_MAX_LAYERS = 5  # [D] gettingstarted-limits
_MAX_WORDS, _MAX_FOLDER = 1500, 1000  # [D] API_ImageConfig


class InitializationType(StrEnum):
    """Why an environment is initialised; in ``AWS_LAMBDA_INITIALIZATION_TYPE`` and in telemetry."""

    ON_DEMAND = "on-demand"
    PROVISIONED_CONCURRENCY = "provisioned-concurrency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    """How a function's log is written; AWS's ``LoggingConfig``.

    Arguments:
        format: ``Text`` or ``JSON``.
        application_level: with ``JSON`` the least level of the function's own lines that is kept.
        system_level: with ``JSON`` the least level of Lambda's own lines that is kept.
        group: name of the log group; ``/aws/lambda/<function>`` where there is none.

    Raises:
        ConfigurationError: a value that AWS would refuse.
    """

    format: str = "Text"
    application_level: str = "INFO"
    system_level: str = "INFO"
    group: str | None = None

    def __post_init__(self) -> None:
        self._check("format", self.format, ("Text", "JSON"))
        self._check("application_level", self.application_level, _LEVELS)
        self._check("system_level", self.system_level, _SYSTEM_LEVELS)
        if self.group is not None and not _LOG_GROUP.fullmatch(self.group):
            raise ConfigurationError(
                f"{self.group!r} is not a name for a log group",
                cure="A name is 1 to 512 letters, digits and the signs . - _ / #.",
            )

    def _check(self, key: str, value: str, allowed: tuple[str, ...]) -> None:
        if value not in allowed:
            raise ConfigurationError(f"logging {key} is {value!r}", cure=f"{key} is one of {', '.join(allowed)}.")


def _default_runtime() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """What the user deployed.

    Arguments:
        name: 1 to 64 letters, digits, ``-`` and ``_``.
        code: the folder that becomes ``/var/task``; ``None`` for an image that brings its code.
        handler: ``module.function`` as the runtime takes it; of no meaning to an image that brings its code.
        runtime: AWS's identifier, such as ``python3.12``, or a name of the configuration's own table; by default the
            Python that runs the emulator.
        memory: MiB, 128 to 10,240.
        timeout: whole seconds, 1 to 900.
        ephemeral_storage: MiB of ``/tmp``, 512 to 10,240.
        environment: variables of the function; Lambda's own names are refused.
        image: a container image to use instead of the one the runtime stands for; without ``code`` it is the function.
        entry_point: what is run in that image instead of its own entry point; empty for its own.
        command: the arguments of that, instead of the handler or of the image's own; empty for those.
        working_directory: where it is run; ``/var/task`` where there is code, else as the image says.
        layers: folders or zip archives, at most five, merged in this order into ``/opt``.
        logging: format and levels of its log.
        policy: the settings of the ``[policy]`` table that are different for this function; or rules of
            :mod:`emulator.policies`, which take the place of that table: ``IdleTimeout("7m") | MaxLifetime("2h")``.
        reserved_concurrency: places of the account that are this function's: no other gets them, and it gets no more.
            0 switches it off.
        provisioned_concurrency: how many environments are initialised ahead of requests.
        asynchronous: what becomes of its asynchronous events; also as a mapping of the same names.
        url: how it answers under a URL of its own; also as ``True``, or a mapping of the same names. Without it there
            is none.
        debug_port: where a debugger can attach to its runtime, which then serves one event at a time.
        version: the number of a published version, which the control plane gives; what is deployed is ``$LATEST``.

    Raises:
        ConfigurationError: a value that AWS would refuse as well, with what is allowed.
    """

    name: str
    code: Path | None = None
    handler: str = "app.handler"
    runtime: str = field(default_factory=_default_runtime)
    memory: int = 128
    timeout: int = 3
    ephemeral_storage: int = 512
    environment: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None
    entry_point: Sequence[str] = ()
    command: Sequence[str] = ()
    working_directory: str | None = None
    layers: Sequence[Path] = ()
    logging: Logging = field(default_factory=Logging)
    policy: object = field(default_factory=dict)
    reserved_concurrency: int | None = None
    provisioned_concurrency: int = 0
    asynchronous: Asynchronous = field(default_factory=Asynchronous)
    url: UrlSettings | None = None
    debug_port: int | None = None
    version: str = LATEST

    def __post_init__(self) -> None:
        if self.code is not None:
            object.__setattr__(self, "code", Path(self.code))
        object.__setattr__(self, "layers", tuple(Path(layer) for layer in self.layers))
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"{self.name!r} is not a function name",
                cure="A name is 1 to 64 letters, digits, hyphens and underscores.",
            )
        self._check_range("memory", self.memory, 128, 10_240, "MiB")
        self._check_range("timeout", self.timeout, 1, 900, "seconds")
        self._check_range("ephemeral_storage", self.ephemeral_storage, 512, 10_240, "MiB")
        if not self.runtime.strip():
            self._refuse("runtime is empty", 'It names what runs the code, as in runtime = "python3.12".')
        self._check_image()
        if self.is_image:  # [C] what stands for the handler there
            object.__setattr__(self, "handler", self.command[-1] if self.command else "")
        elif not self.handler.strip():
            self._refuse("handler is empty", 'It names what to call, as in handler = "app.handler".')
        if any("\0" in word for word in (self.handler, *self.command, *self.entry_point, self.working_directory or "")):
            self._refuse("handler has a NUL in it", "No program can be called with one.")
        if len(self.layers) > _MAX_LAYERS:
            self._refuse(f"it has {len(self.layers)} layers", f"A function may have {_MAX_LAYERS}.")
        self._check_environment()
        self._check_concurrency()
        self._check_asynchronous()
        self._check_url()
        if self.debug_port is not None and not 1 <= self.debug_port <= 65_535:
            self._refuse(f"debug_port is {self.debug_port!r}", "A port is a whole number from 1 to 65,535.")

    def _check_image(self) -> None:
        if self.code is None and self.image is None:
            self._refuse("code is missing", "It names the folder with the handler's file; only an image has it inside.")
        for key in ("entry_point", "command"):
            words: Any = getattr(self, key)
            if isinstance(words, str) or not all(isinstance(word, str) for word in words):
                self._refuse(f"{key} is {words!r}", f'{key} is a list of strings, as in ["/usr/bin/app", "--quiet"].')
            if len(words) > _MAX_WORDS:
                self._refuse(f"{key} has {len(words):,} words", f"It may have {_MAX_WORDS:,}.")
            object.__setattr__(self, key, tuple(words))
        folder: Any = self.working_directory
        if folder is not None and not isinstance(folder, str):
            self._refuse(f"working_directory is {folder!r}", "It is a folder inside the image, as a string.")
        if folder is not None and len(folder) > _MAX_FOLDER:
            self._refuse(f"working_directory has {len(folder):,} characters", f"It may have {_MAX_FOLDER:,}.")
        if self.image is None and (self.entry_point or self.command or folder):
            self._refuse(
                "entry_point, command and working_directory are for images",
                "Name an image; what else is run is a matter of the runtime.",
            )

    def _check_concurrency(self) -> None:
        if self.reserved_concurrency is not None:
            self._check_range("reserved_concurrency", self.reserved_concurrency, 0, _MANY, "places")
        self._check_range("provisioned_concurrency", self.provisioned_concurrency, 0, _MANY, "environments")
        if self.reserved_concurrency is not None and self.reserved_concurrency < self.provisioned_concurrency:
            self._refuse(  # [R] that AWS refuses it, too
                f"reserved_concurrency {self.reserved_concurrency} is lower than its provisioned_concurrency "
                f"{self.provisioned_concurrency}",
                "What is initialised ahead takes places of those that are reserved.",
            )

    def _check_asynchronous(self) -> None:
        given: Asynchronous | Mapping[str, Any] = self.asynchronous
        if isinstance(given, Mapping):
            if unknown := sorted(given.keys() - {key.name for key in fields(Asynchronous)}):
                self._refuse(f"asynchronous has no {unknown[0]}", "docs/configuration.md lists what it has.")
            try:
                given = Asynchronous(**given)
            except ConfigurationError as error:
                self._refuse(error.message, error.cure)
            object.__setattr__(self, "asynchronous", given)
        if any(place.function == self.name for place in given.destinations):
            self._refuse("it is a destination for itself", "Name another function, a file or an address.")  # [R]

    def _check_url(self) -> None:
        try:
            object.__setattr__(self, "url", UrlSettings.of(self.url))
        except ConfigurationError as error:
            self._refuse(error.message, error.cure)

    @property
    def key(self) -> str:
        """What tells it from all others that run here: its name, and of a published version ``name:version``."""
        return self.name if self.version == LATEST else f"{self.name}:{self.version}"

    @property
    def folder(self) -> Path:
        """Its code; for those who have seen that there is some."""
        assert self.code is not None, "only a function that is an image has no code folder"
        return self.code

    @property
    def is_image(self) -> bool:
        """Its code is in its image [D] ``PackageType`` ``Image``."""
        return self.code is None

    @property
    def log_group(self) -> str:
        """[D] ``/aws/lambda/<function>``, where it has not named another one."""
        return self.logging.group or f"/aws/lambda/{self.name}"

    def _check_range(self, key: str, value: int, low: int, high: int, unit: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self._refuse(f"{key} is {value!r}", f"{key} is a whole number of {unit} from {low:,} to {high:,}.")

    def _check_environment(self) -> None:
        for key, value in dict[str, Any](self.environment).items():
            if not isinstance(value, str):
                self._refuse(f"environment variable {key} is {value!r}", "Values of variables are strings.")
            if "\0" in value:
                self._refuse(f"environment variable {key} has a NUL in it", "No variable can have one.")
            if not _VARIABLE.fullmatch(key):
                self._refuse(
                    f"{key!r} is not a name for an environment variable",
                    "A name starts with a letter and has two or more letters, digits and underscores.",
                )
            if key in RESERVED_VARIABLES:
                self._refuse(f"environment variable {key} is reserved", "Lambda sets it itself; take another name.")
        measured = json.dumps(dict(self.environment), separators=(",", ":"))
        if len(measured) > _MAX_VARIABLES_BYTES:
            self._refuse(f"its environment variables take {len(measured):,} bytes", "Together they may take 4 KB.")

    def _refuse(self, found: str, cure: str) -> NoReturn:
        raise ConfigurationError(f"function {self.name}: {found}", cure=cure)


KEEPALIVE = 7200 + 9 * 75.0
"""Seconds after which a kernel with Linux's defaults gives up a peer that does not answer its probes."""


PROVISIONED_LIFETIME = 2 * 3600.0
"""Seconds. [D] "periodically"; [I] as long as others live that are in constant use."""


class Reclaim(StrEnum):
    """How the connections of an environment end when the environment does."""

    SILENT = "silent"  # nobody tells the server; one day it finds out by itself
    FIN = "fin"  # the kernel closes the sockets of ended processes
    RST = "rst"  # the kernel resets them
    GRACEFUL = "graceful"  # the function is told to end, and may close them itself


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client gets: known as soon as the runtime posted its response."""

    payload: bytes
    function_error: str | None = None  # "Unhandled", or nothing
    error_type: str | None = None  # for logs and telemetry; the payload is passed on untouched


@dataclass(frozen=True, slots=True)
class Report:
    """One finished invocation: known when every party is parked again, or the environment failed.

    Attributes:
        duration_ms: from handing the event out until everybody was parked again.
        billed_ms: duration and init, rounded up to whole milliseconds.
        init_ms: length of the Init phase; only on the first invocation of an environment.
        max_memory_mb: the most that the environment ever used, in MiB.
        logs: what the function and Lambda wrote for this invocation, START to REPORT.
    """

    request_id: RequestId
    environment_id: EnvironmentId
    log_stream: str
    cold_start: bool
    duration_ms: float
    billed_ms: int
    memory_mb: int
    max_memory_mb: int
    init_ms: float | None = None
    status: str | None = None  # None for success, else "timeout" or "error"
    error_type: str | None = None
    logs: bytes = b""


@dataclass(frozen=True, slots=True)
class SandboxView:
    """Where an environment runs. ``pid`` is the host's number of its first process, 0 if unknown."""

    kind: str
    id: str
    pid: int
    address: str


@dataclass(frozen=True, slots=True)
class EnvironmentView:
    """An environment as the inspection API shows it. Moments are seconds since the epoch."""

    id: EnvironmentId
    function: str
    version: str
    state: str
    sandbox: SandboxView
    log_stream: str
    created_at: float
    invocations: int
    cold: bool
    last_request_id: RequestId | None
    frozen_since: float | None
    freezes: int
    idle_seconds: float
    connections: int | None
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Session:
    """One session of the database server, joined to the environment that opened it.

    Attributes:
        id: the server's thread id.
        environment: who opened it; ``None`` where that is not known, for it was not one of ours.
        request_id: the invocation that runs in that environment, or the last one that did.
        command: as the server says it: ``Sleep``, ``Query``, ...
        seconds: how long it has been doing that.
        zombie: the environment is gone and the server still holds the session.
        locked_rows: how many rows an open transaction of it locks; ``None`` where it has none.
        drops_in: seconds until the server gives a sleeping one up if nothing comes; ``None`` while it is at work.
    """

    id: int
    environment: EnvironmentId | None
    environment_state: str | None
    function: str | None
    request_id: RequestId | None
    user: str
    database: str | None
    command: str
    seconds: float
    statement: str | None
    client_address: str
    zombie: bool
    locked_rows: int | None = None
    drops_in: float | None = None


@dataclass(frozen=True, slots=True)
class ConnectionsSummary:
    """Counts over all sessions of functions, and the limits of the server they run against."""

    connected: int
    active: int
    sleeping: int
    zombies: int
    max_connections: int
    wait_timeout: int


@dataclass(frozen=True, slots=True)
class RungReport:
    """One rung of the freezer ladder, as probed at start; medians in microseconds."""

    name: str
    available: bool
    reason: str
    freeze_us: float | None = None
    thaw_us: float | None = None


@dataclass(frozen=True, slots=True)
class FreezerReport:
    """The freezer in force and the ladder, best first; what stands below may not have been tried."""

    name: str
    rungs: tuple[RungReport, ...]


@dataclass(frozen=True, slots=True)
class NetworkRung:
    """One means of silencing a network, as tried at start; times in microseconds."""

    name: str
    available: bool
    reason: str
    off_us: float | None = None
    on_us: float | None = None


@dataclass(frozen=True, slots=True)
class NetworkReport:
    """How silent a frozen environment's network is here.

    Attributes:
        fidelity: ``full``: nothing is answered while frozen, and nothing tells of the end; ``death-only``: only the
            latter; ``none``: neither.
        mechanism: the means in force.
        note: what is not covered, in a sentence.
    """

    fidelity: str
    mechanism: str
    note: str
    rungs: tuple[NetworkRung, ...]
