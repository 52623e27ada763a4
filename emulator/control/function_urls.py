"""URLs of functions and aliases; what answers under them is :mod:`emulator.urls`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from emulator.control.control import Control, Operation
from emulator.control.paging import page
from emulator.control.registry import FunctionRecord
from emulator.control.resources import find_resource
from emulator.errors import FunctionNotFoundError, ResourceConflictError
from emulator.urls import Cors, UrlConfig, make_url_id

__all__ = [
    "OPERATIONS",
    "apply_url",
    "create_function_url_config",
    "delete_function_url_config",
    "get_function_url_config",
    "list_function_url_configs",
    "update_function_url_config",
]

_NO_FUNCTION = "Function does not exist"  # [R]
_NOTHING = "The resource you requested does not exist."
_CORS = {
    "AllowCredentials": "allow_credentials",
    "AllowHeaders": "allow_headers",
    "AllowMethods": "allow_methods",
    "AllowOrigins": "allow_origins",
    "ExposeHeaders": "expose_headers",
    "MaxAge": "max_age",
}

_Json = dict[str, Any]


async def create_function_url_config(control: Control, request: _Json) -> _Json:
    """A URL, which is there at once."""
    name, qualifier = _existing(control, request)
    urls = control.service.urls
    if urls.find(name, qualifier) is not None:
        raise ResourceConflictError(  # [R] with both blanks
            f"Failed to create function url config for [functionArn = {control.arn(name, qualifier)}]. "
            "Error message:  FunctionUrlConfig exists for this Lambda function"
        )
    now = control.clock.now()
    config = UrlConfig(
        make_url_id(control.service.settings.emulator.account, name, qualifier),
        name,
        qualifier,
        auth=request["AuthType"],
        cors=_cors(request.get("Cors")),
        invoke_mode=request.get("InvokeMode", "BUFFERED"),
        created_at=now,
        modified_at=now,
    )
    _keep(control, config)
    told = _told(control, config)
    del told["LastModifiedTime"]
    return {**told, "InvokeMode": request.get("InvokeMode")}  # [R] only what was said


async def get_function_url_config(control: Control, request: _Json) -> _Json:
    """One URL."""
    return _told(control, _find(control, request))


async def update_function_url_config(control: Control, request: _Json) -> _Json:
    """Some of it otherwise; the address stays."""
    _existing(control, request)
    config = replace(_find(control, request), modified_at=control.clock.now())
    if "AuthType" in request:
        config = replace(config, auth=request["AuthType"])
    if "InvokeMode" in request:
        config = replace(config, invoke_mode=request["InvokeMode"])
    if "Cors" in request:
        config = replace(config, cors=_cors(request["Cors"]))
    _keep(control, config)
    return {**_told(control, config), "InvokeMode": request.get("InvokeMode")}


async def delete_function_url_config(control: Control, request: _Json) -> _Json:
    """It answers no more."""
    config = _find(control, request)
    control.service.urls.remove(config.url_id)
    if (record := control.registry.functions.get(config.function)) is not None:
        record.url_configs.pop(config.qualifier or "", None)
    control.changed()
    return {}


async def list_function_url_configs(control: Control, request: _Json) -> _Json:
    """All URLs of a function and of its aliases."""
    name = control.named(request).name
    if name not in control.registry.functions:
        raise FunctionNotFoundError(_NO_FUNCTION)
    told = [_told(control, config) for config in control.service.urls.of(name)]
    return page(told, request, "FunctionUrlConfigs", lambda config: str(config["FunctionArn"]))


def apply_url(control: Control, record: FunctionRecord, key: str) -> None:
    """Have the URL that a record has for a qualifier."""
    kept, qualifier = record.url_configs[key], key or None
    control.service.urls.add(
        UrlConfig(
            make_url_id(control.service.settings.emulator.account, record.name, qualifier),
            record.name,
            qualifier,
            auth=kept["auth"],
            cors=_cors(kept["cors"]),
            invoke_mode=kept["invoke_mode"],
            created_at=kept["created_at"],
            modified_at=kept["modified_at"],
        )
    )


def _existing(control: Control, request: _Json) -> tuple[str, str | None]:
    try:
        resource = find_resource(control, request)
    except FunctionNotFoundError:
        raise FunctionNotFoundError(_NO_FUNCTION) from None
    return resource.record.name, resource.qualifier


def _find(control: Control, request: _Json) -> UrlConfig:
    name, qualifier = control.named(request)
    config = control.service.urls.find(name, qualifier)
    if config is None:
        raise FunctionNotFoundError(_NOTHING)
    return config


def _keep(control: Control, config: UrlConfig) -> None:
    control.service.urls.add(config)
    record = control.registry.functions[config.function]
    record.url_configs[config.qualifier or ""] = {
        "auth": config.auth,
        "cors": _cors_told(config.cors),
        "invoke_mode": config.invoke_mode,
        "created_at": config.created_at,
        "modified_at": config.modified_at,
    }
    control.changed()


def _cors(given: _Json | None) -> Cors | None:
    return Cors(**{_CORS[member]: value for member, value in given.items()}) if given else None


def _cors_told(cors: Cors | None) -> _Json | None:
    if cors is None:
        return None
    told = {member: getattr(cors, key) for member, key in _CORS.items()}
    return {
        member: list(value) if isinstance(value, tuple) else value
        for member, value in told.items()
        if value not in (None, (), False)
    }


def _told(control: Control, config: UrlConfig) -> _Json:
    return {
        "FunctionUrl": control.service.urls.address(config),
        "FunctionArn": control.arn(config.function, config.qualifier),
        "AuthType": config.auth,
        "Cors": _cors_told(config.cors),
        "CreationTime": _moment(config.created_at),
        "LastModifiedTime": _moment(config.modified_at),
        "InvokeMode": config.invoke_mode,
    }


def _moment(moment: float) -> str:
    """[X] ``2023-11-20T16:59:22.123456Z``."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(moment))}.{int(moment % 1 * 1_000_000):06d}Z"


OPERATIONS: Mapping[str, Operation] = {
    "CreateFunctionUrlConfig": create_function_url_config,
    "DeleteFunctionUrlConfig": delete_function_url_config,
    "GetFunctionUrlConfig": get_function_url_config,
    "ListFunctionUrlConfigs": list_function_url_configs,
    "UpdateFunctionUrlConfig": update_function_url_config,
}
