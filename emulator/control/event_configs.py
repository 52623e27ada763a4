"""What becomes of asynchronous events: ``EventInvokeConfig`` of functions, versions and aliases.

DIFFERS: destinations are functions of this emulator; there are no queues, topics and buses. Whoever has a file or an
address as a destination says so in the configuration, and it is shown here as it stands there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.control.control import Control, Operation
from emulator.control.paging import page
from emulator.control.registry import FunctionRecord
from emulator.control.resources import find_resource
from emulator.errors import FunctionNotFoundError, InvalidParameterValueError
from emulator.event_settings import MAX_AGE, MAX_RETRIES, Asynchronous, Destination
from emulator.model import LATEST

__all__ = [
    "OPERATIONS",
    "apply_event_config",
    "asynchronous_of",
    "delete_function_event_invoke_config",
    "get_function_event_invoke_config",
    "list_function_event_invoke_configs",
    "put_function_event_invoke_config",
    "update_function_event_invoke_config",
]

_NO_FUNCTION = "The function doesn't exist."  # [R]
_SERVICES = ("lambda", "sqs", "sns", "events", "s3")

_Json = dict[str, Any]


async def put_function_event_invoke_config(control: Control, request: _Json) -> _Json:
    """Another config in the place of the one before [R]."""
    return _set(control, request, {})


async def update_function_event_invoke_config(control: Control, request: _Json) -> _Json:
    """Some of it otherwise."""
    record, qualifier = _existing(control, request)
    before = _configs(control, record).get(qualifier)
    if before is None:
        raise _none(control, record.name, qualifier)
    return _set(control, request, before)


async def get_function_event_invoke_config(control: Control, request: _Json) -> _Json:
    """What there is for a function, a version or an alias."""
    name, qualifier = control.named(request)
    record = control.registry.functions.get(name)
    config = _configs(control, record).get(qualifier or LATEST) if record is not None else None
    if config is None:
        raise _none(control, name, qualifier or LATEST)
    return _told(control, name, qualifier or LATEST, config)


async def delete_function_event_invoke_config(control: Control, request: _Json) -> _Json:
    """As at the beginning."""
    name, qualifier = control.named(request)
    record = control.registry.functions.get(name)
    key = qualifier or LATEST
    if record is None or key not in _configs(control, record):
        raise _none(control, name, key)
    record.event_configs.pop(key, None)
    _apply(control, record, key, None)
    control.changed()
    return {}


async def list_function_event_invoke_configs(control: Control, request: _Json) -> _Json:
    """All of a function."""
    record = control.registry.functions.get(control.named(request).name)
    if record is None:
        raise FunctionNotFoundError(_NO_FUNCTION)
    told = [_told(control, record.name, key, config) for key, config in sorted(_configs(control, record).items())]
    return page(told, request, "FunctionEventInvokeConfigs", lambda config: str(config["FunctionArn"]))


def asynchronous_of(config: Mapping[str, Any] | None, dead_letter: str | None = None) -> Asynchronous:
    """What a config says, in the words of the emulator.

    Arguments:
        config: as a record keeps it; ``None`` where there is none.
        dead_letter: where to an event goes that was given up: that is the function's.
    """
    config = config or {}
    return Asynchronous(
        retries=config.get("retries", MAX_RETRIES),
        max_age=config.get("max_age", MAX_AGE),
        on_success=config.get("on_success"),
        on_failure=config.get("on_failure"),
        dead_letter=dead_letter,
    )


def apply_event_config(control: Control, record: FunctionRecord, qualifier: str) -> None:
    """Have it hold what its record says of a qualifier."""
    _apply(control, record, qualifier, record.event_configs[qualifier])


def _set(control: Control, request: _Json, before: _Json) -> _Json:
    record, qualifier = _existing(control, request)
    config = {**before, "modified": control.clock.now()}
    given = False
    for member, key in (("MaximumRetryAttempts", "retries"), ("MaximumEventAgeInSeconds", "max_age")):
        if (value := request.get(member)) is not None:
            config[key], given = value, True
    if (destinations := request.get("DestinationConfig")) is not None:
        given = True
        for member, key in (("OnSuccess", "on_success"), ("OnFailure", "on_failure")):
            if member in destinations:
                config[key] = _destination(control, record, destinations, destinations[member].get("Destination"))
    if not given:
        raise InvalidParameterValueError("You must specify at least one of error handling or destination setting.")
    config = {key: value for key, value in config.items() if value is not None}
    _apply(control, record, qualifier, config)
    record.event_configs[qualifier] = config
    control.changed()
    return _told(control, record.name, qualifier, config)


def _existing(control: Control, request: _Json) -> tuple[FunctionRecord, str]:
    try:
        resource = find_resource(control, request)
    except FunctionNotFoundError:
        raise FunctionNotFoundError(_NO_FUNCTION) from None
    return resource.record, resource.qualifier or LATEST


def _destination(control: Control, record: FunctionRecord, told: _Json, arn: str | None) -> str | None:
    """Checked as AWS checks it [R]."""
    if not arn:
        return None
    service = arn.split(":")[2] if arn.count(":") >= 5 else ""
    if service not in _SERVICES:
        success, failure = (
            f"{kind}(destination={told[kind]['Destination']})" if told.get(kind, {}).get("Destination") else "null"
            for kind in ("OnSuccess", "OnFailure")
        )
        raise InvalidParameterValueError(
            f"The provided destination config DestinationConfig(onSuccess={success}, onFailure={failure}) is invalid."
        )
    if service != "lambda":
        raise InvalidParameterValueError(
            f"The destination ARN {arn} is invalid. This emulator has functions as destinations, and no {service}; "
            "files and HTTP addresses can be named in its configuration."
        )
    name = control.named({"FunctionName": arn}).name
    if name == record.name:
        raise InvalidParameterValueError("You can't specify the function as a destination for itself.")
    if name not in control.registry.functions:
        raise InvalidParameterValueError(f"The destination ARN {arn} is invalid.")
    return arn


def _apply(control: Control, record: FunctionRecord, qualifier: str, config: _Json | None) -> None:
    functions = control.service.functions
    settings = asynchronous_of(config, functions.named(record.name).asynchronous.dead_letter)
    if qualifier in record.aliases:
        functions.set_alias_asynchronous(record.name, qualifier, settings if config is not None else None)
        return
    functions.set_asynchronous(record.name if qualifier == LATEST else f"{record.name}:{qualifier}", settings)


def _configs(control: Control, record: FunctionRecord) -> dict[str, _Json]:
    """Those that were put, and what the configuration file says of ``$LATEST``."""
    settings = control.service.functions.named(record.name).asynchronous
    said = (settings.retries, settings.max_age, settings.on_success, settings.on_failure)
    if LATEST in record.event_configs or said == (MAX_RETRIES, MAX_AGE, None, None):
        return record.event_configs
    config: _Json = {"retries": said[0], "max_age": int(said[1]), "modified": record.latest.modified}
    for key, given in (("on_success", said[2]), ("on_failure", said[3])):
        if given is not None:
            function = Destination.of(given).function
            config[key] = control.arn(function) if function is not None else given
    return {LATEST: config, **record.event_configs}


def _none(control: Control, name: str, qualifier: str) -> FunctionNotFoundError:
    return FunctionNotFoundError(f"The function {control.arn(name, qualifier)} doesn't have an EventInvokeConfig")


def _told(control: Control, name: str, qualifier: str, config: _Json) -> _Json:
    destinations = {
        member: {"Destination": config[key]} if key in config else {}
        for member, key in (("OnSuccess", "on_success"), ("OnFailure", "on_failure"))
    }
    return {
        "LastModified": config["modified"],
        "FunctionArn": control.arn(name, qualifier),
        "MaximumRetryAttempts": config.get("retries"),
        "MaximumEventAgeInSeconds": config.get("max_age"),
        "DestinationConfig": destinations,
    }


OPERATIONS: Mapping[str, Operation] = {
    "DeleteFunctionEventInvokeConfig": delete_function_event_invoke_config,
    "GetFunctionEventInvokeConfig": get_function_event_invoke_config,
    "ListFunctionEventInvokeConfigs": list_function_event_invoke_configs,
    "PutFunctionEventInvokeConfig": put_function_event_invoke_config,
    "UpdateFunctionEventInvokeConfig": update_function_event_invoke_config,
}
