"""Between AWS's ``FunctionConfiguration`` and the function that runs: what was set, and what is shown. Pure.

What AWS has and this emulator cannot do is refused, where a function would not be what it seems to be; what only
describes it (``Role``, ``KMSKeyArn``, ``TracingConfig``, ``VpcConfig``, ``SnapStart``) is kept and shown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from emulator import text
from emulator.control.registry import Version
from emulator.errors import InvalidParameterValueError, NotImplementedHereError, ValidationError
from emulator.model import LATEST, RESERVED_VARIABLES, Function, Logging

__all__ = ["as_shown", "changed_settings", "function_of", "is_same", "new_settings", "settings_of"]

_Json = dict[str, Any]

_DEFAULTS: _Json = {
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "EphemeralStorage": {"Size": 512},
    "TracingConfig": {"Mode": "PassThrough"},
    "Architectures": ["x86_64"],
    "PackageType": "Zip",
    "SnapStart": {"ApplyOn": "None"},
}
_KEPT = (
    "Architectures",
    "DeadLetterConfig",
    "Description",
    "Environment",
    "EphemeralStorage",
    "Handler",
    "ImageConfig",
    "KMSKeyArn",
    "Layers",
    "LoggingConfig",
    "MemorySize",
    "PackageType",
    "Role",
    "Runtime",
    "SnapStart",
    "Timeout",
    "TracingConfig",
    "VpcConfig",
)
_REFUSED = (
    "CapacityProviderConfig",
    "CodeSigningConfigArn",
    "DurableConfig",
    "FileSystemConfigs",
    "PublishTo",
    "TenancyConfig",
)
_MOST = {
    "timeout": 900,
    "memorySize": 10_240,
    "ephemeralStorage.size": 10_240,
}  # the model has those of other functions
_MOST_LAYERS = 5  # [D]
_MOST_VARIABLES = 4096  # bytes [D]
_NO_VARIABLES = (
    "Lambda was unable to configure your environment variables because the environment variables you have provided "
)
_STATES = ("State", "StateReason", "StateReasonCode")
_UPDATES = ("LastUpdateStatus", "LastUpdateStatusReason", "LastUpdateStatusReasonCode")
_NOT_LISTED = (*_STATES, *_UPDATES, "RuntimeVersionConfig")  # [R]


# -- what a client has set -------------------------------------------------------------------------------


def new_settings(name: str, request: Mapping[str, Any]) -> _Json:
    """The settings of a new function, with AWS's defaults.

    Raises:
        InvalidParameterValueError: something is missing, or does not belong together.
        NotImplementedHereError: it asks for what this emulator does not have.
    """
    settings = _with({**_DEFAULTS, "LoggingConfig": _logging(name, {}, {})}, name, request)
    code = request.get("Code", {})
    if settings["PackageType"] == "Image":
        if any(key in settings for key in ("Runtime", "Handler")) or settings.get("Layers"):  # [X]
            raise InvalidParameterValueError(
                "Please don't provide Runtime or Handler or Layer when the intended function PackageType is Image."
            )
        if "ImageUri" not in code:
            raise InvalidParameterValueError("Please provide ImageUri when creating a function with packageType Image.")
        return settings
    if "ImageUri" in code:
        raise InvalidParameterValueError("Please don't provide ImageUri when creating a function with packageType Zip.")
    if "Runtime" not in settings or "Handler" not in settings:  # [X]
        raise InvalidParameterValueError(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    return settings


def changed_settings(name: str, before: _Json, request: Mapping[str, Any]) -> _Json:
    """The settings of a function with what a request says otherwise.

    Raises:
        InvalidParameterValueError, NotImplementedHereError: as :func:`new_settings`.
    """
    if before["PackageType"] == "Image" and any(request.get(key) for key in ("Runtime", "Handler", "Layers")):
        raise InvalidParameterValueError(
            "Please don't provide Runtime or Handler or Layer when the intended function PackageType is Image."
        )
    return _with(before, name, request)


def settings_of(function: Function, role: str) -> _Json:
    """The settings of a function that did not come by the API: from the file, or from a program."""
    settings = {
        **_DEFAULTS,
        "Role": role,
        **(_image_settings(function) if function.is_image else _code_settings(function)),
        "Timeout": function.timeout,
        "MemorySize": function.memory,
        "EphemeralStorage": {"Size": function.ephemeral_storage},
        "LoggingConfig": _logging(function.name, {}, _shown_logging(function.logging)),
    }
    if function.environment:
        settings["Environment"] = {"Variables": dict(function.environment)}
    return settings


def _code_settings(function: Function) -> _Json:
    return {"Handler": function.handler, "Runtime": function.runtime}


def _image_settings(function: Function) -> _Json:
    config = {
        "EntryPoint": list(function.entry_point),
        "Command": list(function.command),
        "WorkingDirectory": function.working_directory,
    }
    said = {member: value for member, value in config.items() if value}
    return {"PackageType": "Image", **({"ImageConfig": said} if said else {})}


def _with(before: _Json, name: str, request: Mapping[str, Any]) -> _Json:
    for member in _REFUSED:
        if request.get(member):
            raise NotImplementedHereError(
                f"{member} is not implemented by this emulator", cure="docs/control.md lists what is."
            )
    _check_values(request)
    settings = {**before, **{member: request[member] for member in _KEPT if request.get(member) is not None}}
    if "LoggingConfig" in request:
        settings["LoggingConfig"] = _logging(name, before["LoggingConfig"], request["LoggingConfig"])
    if "Environment" in request:
        settings["Environment"] = {"Variables": dict(request["Environment"].get("Variables", {}))}
    if not settings.get("DeadLetterConfig", {}).get("TargetArn"):
        settings.pop("DeadLetterConfig", None)
    return {member: value for member, value in settings.items() if value or member not in ("ImageConfig", "KMSKeyArn")}


def _check_values(request: Mapping[str, Any]) -> None:
    """[X] In AWS's words, as they are reported."""
    storage = (request.get("EphemeralStorage") or {}).get("Size")
    for value, (member, most) in zip(
        (request.get("Timeout"), request.get("MemorySize"), storage), _MOST.items(), strict=True
    ):
        if value is not None and value > most:
            raise ValidationError(
                f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: "
                f"Member must have value less than or equal to {most}"
            )
    if len(request.get("Layers") or ()) > _MOST_LAYERS:
        raise InvalidParameterValueError(f"Cannot reference more than {_MOST_LAYERS} layers.")
    variables = (request.get("Environment") or {}).get("Variables") or {}
    if reserved := sorted(variables.keys() & RESERVED_VARIABLES):
        raise InvalidParameterValueError(
            f"{_NO_VARIABLES}contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    measured = json.dumps(variables, separators=(",", ":"))
    if len(measured) > _MOST_VARIABLES:
        raise InvalidParameterValueError(f"{_NO_VARIABLES}exceeded the 4KB limit. String measured: {measured}")


def _logging(name: str, before: Mapping[str, Any], given: Mapping[str, Any]) -> _Json:
    """[R] Levels are there with JSON only, and begin with INFO."""
    config = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}", **before, **given}
    levels = ("ApplicationLogLevel", "SystemLogLevel")
    if config["LogFormat"] == "JSON":
        return {**dict.fromkeys(levels, "INFO"), **config}
    if given.keys() & set(levels):
        # [D] levels are for JSON; [I] the words
        raise InvalidParameterValueError("Log levels can only be set when LogFormat is JSON.")
    return {key: value for key, value in config.items() if key not in levels}


def _shown_logging(logging: Logging) -> _Json:
    config: _Json = {"LogFormat": logging.format}
    if logging.format == "JSON":
        config |= {"ApplicationLogLevel": logging.application_level, "SystemLogLevel": logging.system_level}
    if logging.group is not None:
        config["LogGroup"] = logging.group
    return config


# -- what runs -------------------------------------------------------------------------------------------


def function_of(name: str, version: Version, base: Function | None, layers: Sequence[Path] | None) -> Function:
    """The function that a version is.

    Arguments:
        base: the one before it, or ``$LATEST`` of it, for what AWS's settings do not say: policies and the like.
        layers: the archives that its settings name; ``None``: what it has besides them stays.

    Raises:
        ConfigurationError: a value that AWS would refuse as well.
    """
    settings = version.settings
    image = version.code.kind == "image"
    config = settings.get("ImageConfig", {}) if image else {}
    given: _Json = {
        "code": None if image else Path(version.code.folder),
        "memory": settings["MemorySize"],
        "timeout": settings["Timeout"],
        "ephemeral_storage": settings["EphemeralStorage"]["Size"],
        "environment": settings.get("Environment", {}).get("Variables", {}),
        "logging": _logging_of(name, settings["LoggingConfig"]),
        "version": version.number,
        "command": config.get("Command") or (),
        "entry_point": config.get("EntryPoint") or (),
        "working_directory": config.get("WorkingDirectory"),
    }
    for member, key in (("Runtime", "runtime"), ("Handler", "handler")):
        if member in settings:
            given[key] = settings[member]
    if image or base is None:
        given["image"] = version.code.image
    if layers is not None:
        given["layers"] = layers
    if base is None:
        return Function(name=name, **given)
    if version.number != LATEST:
        given |= {"provisioned_concurrency": 0, "url": None}
    return replace(base, **given)


def is_same(one: Function, other: Function) -> bool:
    """Whether both are the same to a client: what else is different AWS's settings do not say."""
    return replace(one, **_unsaid(other)) == other


def _unsaid(function: Function) -> _Json:
    members = ("policy", "reserved_concurrency", "provisioned_concurrency", "asynchronous", "url")
    return {member: getattr(function, member) for member in members}


def _logging_of(name: str, config: _Json) -> Logging:
    group = config["LogGroup"]
    return Logging(
        format=config["LogFormat"],
        application_level=config.get("ApplicationLogLevel", "INFO"),
        system_level=config.get("SystemLogLevel", "INFO"),
        group=None if group == f"/aws/lambda/{name}" else group,
    )


# -- what is shown ---------------------------------------------------------------------------------------


def as_shown(
    name: str,
    arn: str,
    region: str,
    version: Version,
    counted: tuple[str, int],
    layers: Sequence[_Json],
    *,
    listed: bool = False,
) -> _Json:
    """AWS's ``FunctionConfiguration``, as recorded.

    Arguments:
        counted: the code's SHA-256 and size.
        layers: what is shown of those that its settings name.
        listed: in a list, where its states are left out [R].
    """
    shown: _Json = {member: version.settings[member] for member in _KEPT if member in version.settings}
    shown |= {
        "FunctionName": name,
        "FunctionArn": arn,
        "Version": version.number,
        "CodeSha256": counted[0],
        "CodeSize": counted[1],
        "LastModified": text.iso_time(version.modified).replace("Z", "+0000"),
        "RevisionId": version.revision,
        # DIFFERS: nothing is snapshot here, so it is never On.
        "SnapStart": {**version.settings["SnapStart"], "OptimizationStatus": "Off"},
    }
    shown.pop("Layers", None)
    if layers:
        shown["Layers"] = list(layers)
    if (config := shown.pop("ImageConfig", None)) is not None:
        shown["ImageConfigResponse"] = {"ImageConfig": config}
    if (vpc := shown.get("VpcConfig")) is not None:
        shown["VpcConfig"] = {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", **vpc}
    if shown["PackageType"] == "Zip":
        build = hashlib.sha256(str(version.settings["Runtime"]).encode()).hexdigest()
        shown["RuntimeVersionConfig"] = {"RuntimeVersionArn": f"arn:aws:lambda:{region}::runtime:{build}"}
    states = (version.state, version.state_reason, version.state_reason_code)
    updates = (version.update, version.update_reason, version.update_reason_code)
    for members, values in ((_STATES, states), (_UPDATES, updates)):
        shown |= {member: value for member, value in zip(members, values, strict=True) if value is not None}
    return {key: value for key, value in shown.items() if not listed or key not in _NOT_LISTED}
