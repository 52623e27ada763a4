"""Layers: published from an archive, listed, got, deleted, and found again by the ARNs that functions name.

A version that was deleted serves the functions that have it on [R]. What is in an archive is looked at when it comes:
it is unpacked once, beside everything else, so that what AWS would not unpack is refused at once.

DIFFERS: ``Location`` is the address of a file on this machine. With ``S3Bucket="hot-reload"`` a layer is the folder
``S3Key`` itself, as it is with the code of functions.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emulator import text
from emulator.control import policies
from emulator.control.code import HOT_RELOAD, MAX_ZIPPED_BYTES
from emulator.control.control import Control, Operation
from emulator.control.paging import page
from emulator.control.resources import check_revision
from emulator.errors import (
    CodeError,
    ForbiddenError,
    FunctionNotFoundError,
    InvalidParameterValueError,
    RequestTooLargeError,
    ValidationError,
)
from emulator.layers import MAX_UNZIPPED_BYTES, unpack_layer

__all__ = [
    "OPERATIONS",
    "add_layer_version_permission",
    "delete_layer_version",
    "get_layer_version",
    "get_layer_version_by_arn",
    "get_layer_version_policy",
    "layer_members",
    "layer_paths",
    "list_layer_versions",
    "list_layers",
    "publish_layer_version",
    "remove_layer_version_permission",
    "total_size",
]

_NOTHING = "The resource you requested does not exist."
_NAME = re.compile(r"(?:arn:aws[a-zA-Z-]*:lambda:([a-z0-9-]+):(\d{12}):layer:)?([a-zA-Z0-9-_]+)")
_VERSION = re.compile(r"arn:aws[a-zA-Z-]*:lambda:([a-z0-9-]+):(\d{12}):layer:([a-zA-Z0-9-_]+):(\d+)")
_CONDITIONS = {"OrganizationId": ("StringEquals", "aws:PrincipalOrgID")}
_BROKEN = "Could not unzip uploaded file. Please check your file, then try to upload again."  # [R]

_Json = dict[str, Any]


# -- versions --------------------------------------------------------------------------------------------


async def publish_layer_version(control: Control, request: _Json) -> _Json:
    """A new version of a layer, or of a new one."""
    name = _name(control, request["LayerName"])
    content = request["Content"]
    if content.get("S3Bucket") == HOT_RELOAD:
        stored = _folder(content.get("S3Key", ""))
    elif (archive := content.get("ZipFile")) is not None:
        stored = await _store(control, name, archive)
    else:
        raise InvalidParameterValueError(
            f"There is no S3 here. Send the archive itself as ZipFile; or name a folder of this machine as S3Key, with "
            f"{HOT_RELOAD} as S3Bucket."
        )
    layer = control.registry.layers.setdefault(name, {"next": 1, "versions": {}, "deleted": {}})
    number, layer["next"] = layer["next"], layer["next"] + 1
    version: _Json = {
        "number": number,
        "description": request.get("Description", ""),
        "license": request.get("LicenseInfo"),
        "runtimes": request.get("CompatibleRuntimes", []),
        "architectures": request.get("CompatibleArchitectures", []),
        "created": control.clock.now(),
        "policy": {},
        "revision": None,
        **stored,
    }
    layer["versions"][str(number)] = version
    control.changed()
    return _whole(control, name, version)


async def get_layer_version(control: Control, request: _Json) -> _Json:
    """One version."""
    name, version = _find(control, request)
    return _whole(control, name, version)


async def get_layer_version_by_arn(control: Control, request: _Json) -> _Json:
    """One version, by its ARN."""
    name, number = _parse(control, request["Arn"])
    version = control.registry.layers.get(name, {"versions": {}})["versions"].get(number)
    if version is None:
        raise FunctionNotFoundError(_NOTHING)
    return _whole(control, name, version)


async def delete_layer_version(control: Control, request: _Json) -> _Json:
    """One version less; none that is not there is missed [R]."""
    name, number = _name(control, request["LayerName"]), _number(request)
    layer = control.registry.layers.get(name)
    version = layer["versions"].pop(str(number), None) if layer is not None else None
    if layer is not None and version is not None:
        layer["deleted"][str(number)] = version
        control.changed()
    return {}


async def list_layer_versions(control: Control, request: _Json) -> _Json:
    """All versions of a layer, the newest first."""
    name = _name(control, request["LayerName"])
    layer = control.registry.layers.get(name, {"versions": {}})
    fitting = [version for version in reversed(layer["versions"].values()) if _fits(version, request)]
    told = [_short(control, name, version) for version in fitting]
    return page(told, request, "LayerVersions", lambda version: str(version["Version"]))


async def list_layers(control: Control, request: _Json) -> _Json:
    """All layers that have a version, each with its newest one."""
    told = []
    for name in sorted(control.registry.layers):
        versions = control.registry.layers[name]["versions"].values()
        fitting = [version for version in versions if _fits(version, request)]
        if fitting:
            newest = _short(control, name, fitting[-1])
            told.append({"LayerName": name, "LayerArn": _arn(control, name), "LatestMatchingVersion": newest})
    return page(told, request, "Layers", lambda layer: str(layer["LayerName"]))


# -- policies --------------------------------------------------------------------------------------------


async def add_layer_version_permission(control: Control, request: _Json) -> _Json:
    """One more statement."""
    name, version = _existing(control, request)
    # [R] the statement is looked at before the revision
    _check_policy_revision(version, request, adding=True)
    statement = {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": policies.principal(request["Principal"]),
        "Action": request["Action"],
        "Resource": _arn(control, name, version["number"]),
        **policies.conditions(request, _CONDITIONS),
    }
    policies.add_statement(version["policy"], statement)
    version["revision"] = text.new_request_id()
    control.changed()
    return {"Statement": policies.to_text(statement), "RevisionId": version["revision"]}


async def remove_layer_version_permission(control: Control, request: _Json) -> _Json:
    """One statement less."""
    _, version = _existing(control, request)
    if version["policy"] and request["StatementId"] in version["policy"]:
        _check_policy_revision(version, request)
    policies.remove_statement(version["policy"], request["StatementId"])
    version["revision"] = text.new_request_id()
    control.changed()
    return {}


async def get_layer_version_policy(control: Control, request: _Json) -> _Json:
    """All statements."""
    _, version = _existing(control, request)
    if not version["policy"]:
        raise FunctionNotFoundError("No policy is associated with the given resource.")
    return {"Policy": policies.document(version["policy"]), "RevisionId": version["revision"]}


def _check_policy_revision(version: _Json, request: _Json, *, adding: bool = False) -> None:
    if not (adding and request["StatementId"] in version["policy"]):
        check_revision(request.get("RevisionId"), version["revision"], "GetLayerPolicy")


# -- for functions ---------------------------------------------------------------------------------------


def layer_paths(control: Control, arns: Sequence[str], before: Sequence[str] = ()) -> list[Path]:
    """The archives and folders of the layers that a function names.

    Arguments:
        before: what the function had until now: of these a version may be deleted.

    Raises:
        InvalidParameterValueError: one is not there, is of another region, or is named twice [R].
    """
    by_name: dict[str, str] = {}
    paths = []
    for arn in arns:
        match = _VERSION.fullmatch(arn)
        if match is not None and match[1] != control.service.settings.emulator.region:
            raise InvalidParameterValueError(
                "Layers are not in the same region as the function. "
                f"Layers are expected to be in region {control.service.settings.emulator.region}."
            )
        name, number = _parse(control, arn)
        version = _kept(control, name, number, deleted_too=arn in before)
        if version is None:
            raise InvalidParameterValueError(f"Layer version {arn} does not exist.")
        if name in by_name:
            raise InvalidParameterValueError(
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{by_name[name]} and {arn} are versions of the same layer."
            )
        by_name[name] = arn
        paths.append(Path(version["path"]))
    return paths


def layer_members(control: Control, arns: Sequence[str]) -> list[_Json]:
    """What a function's configuration shows of its layers."""
    told = []
    for arn in arns:
        name, number = _parse(control, arn)
        version = _kept(control, name, number, deleted_too=True)
        told.append({"Arn": arn, "CodeSize": version["size"] if version is not None else 0})
    return told


def total_size(layers: _Json) -> int:
    """Bytes of all archives.

    Arguments:
        layers: as the registry has them.
    """
    return sum(version["size"] for layer in layers.values() for version in layer["versions"].values())


def _kept(control: Control, name: str, number: str, *, deleted_too: bool) -> _Json | None:
    layer = control.registry.layers.get(name)
    if layer is None:
        return None
    version: _Json | None = layer["versions"].get(number)
    return layer["deleted"].get(number) if version is None and deleted_too else version


# -- inside ----------------------------------------------------------------------------------------------


async def _store(control: Control, name: str, archive: bytes) -> _Json:
    if len(archive) > MAX_ZIPPED_BYTES:
        raise RequestTooLargeError(f"Zipped size must be smaller than {MAX_ZIPPED_BYTES} bytes")
    return await asyncio.to_thread(_write, control.folder / "layers", name, archive)


def _write(folder: Path, name: str, archive: bytes) -> _Json:
    """Keep an archive, if it can be unpacked; nothing of one that cannot be is left."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as passing:
        path = Path(passing, "layer.zip")
        path.write_bytes(archive)
        try:
            unpack_layer(path, Path(passing, "opt"))
        except CodeError as error:
            too_large = str(MAX_UNZIPPED_BYTES) in error.message.replace(",", "")
            raise InvalidParameterValueError(error.message if too_large else _BROKEN, cure=error.message) from error
        kept = folder / f"{name}-{text.new_request_id()}.zip"
        shutil.move(path, kept)
        kept.chmod(0o644)
    digest = hashlib.sha256(archive).digest()
    return {"path": str(kept), "size": len(archive), "sha256": base64.b64encode(digest).decode()}


def _folder(given: str) -> _Json:
    path = Path(given)
    if not path.is_absolute() or not path.is_dir():
        raise InvalidParameterValueError(f"{given} is not a folder of this machine; S3Key is its whole path.")
    return {"path": str(path), "size": 0, "sha256": base64.b64encode(hashlib.sha256(given.encode()).digest()).decode()}


def _find(control: Control, request: _Json) -> tuple[str, _Json]:
    name, number = _name(control, request["LayerName"]), _number(request)
    version = _kept(control, name, str(number), deleted_too=False)
    if version is None:
        raise FunctionNotFoundError(_NOTHING)
    return name, version


def _existing(control: Control, request: _Json) -> tuple[str, _Json]:
    """As :func:`_find`; [R] operations on policies have other words for what is not there."""
    name, number = _name(control, request["LayerName"]), _number(request)
    version = _kept(control, name, str(number), deleted_too=False)
    if version is None:
        raise FunctionNotFoundError(f"Layer version {_arn(control, name, number)} does not exist.")
    return name, version


def _number(request: _Json) -> int:
    number: int = request["VersionNumber"]
    if number < 1:
        raise InvalidParameterValueError("Layer Version Cannot be less than 1")  # [R]
    return number


def _name(control: Control, given: str) -> str:
    match = _NAME.fullmatch(given)
    if match is None:
        raise ValidationError(
            f"1 validation error detected: Value '{given}' at 'layerName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: " + _NAME.pattern
        )
    _check_place(control, given, match[1], match[2])
    return match[3]


def _parse(control: Control, arn: str) -> tuple[str, str]:
    match = _VERSION.fullmatch(arn)
    if match is None:
        raise InvalidParameterValueError(f"Layer version {arn} does not exist.")
    _check_place(control, arn, match[1], match[2])
    return match[3], match[4]


def _check_place(control: Control, given: str, region: str | None, account: str | None) -> None:
    emulator = control.service.settings.emulator
    if region not in (None, emulator.region) or account not in (None, emulator.account):
        raise ForbiddenError(
            f"User: arn:aws:iam::{emulator.account}:root is not authorized to perform: lambda:GetLayerVersion on "
            f"resource: {given} because no resource-based policy allows the lambda:GetLayerVersion action"
        )


def _arn(control: Control, name: str, number: int | None = None) -> str:
    emulator = control.service.settings.emulator
    arn = f"arn:aws:lambda:{emulator.region}:{emulator.account}:layer:{name}"
    return arn if number is None else f"{arn}:{number}"


def _fits(version: _Json, request: _Json) -> bool:
    runtime, architecture = request.get("CompatibleRuntime"), request.get("CompatibleArchitecture")
    return (runtime is None or runtime in version["runtimes"]) and (
        architecture is None or architecture in version["architectures"]
    )


def _short(control: Control, name: str, version: _Json) -> _Json:
    return {
        "LayerVersionArn": _arn(control, name, version["number"]),
        "Version": version["number"],
        "Description": version["description"],
        "CreatedDate": _date(version["created"]),
        "CompatibleRuntimes": version["runtimes"],
        "CompatibleArchitectures": version["architectures"],
        "LicenseInfo": version["license"],
    }


def _whole(control: Control, name: str, version: _Json) -> _Json:
    content = {
        "Location": Path(version["path"]).as_uri(),
        "CodeSha256": version["sha256"],
        "CodeSize": version["size"],
    }
    return {**_short(control, name, version), "LayerArn": _arn(control, name), "Content": content}


def _date(moment: float) -> str:
    """[R] ``2023-11-20T17:04:38.123+0000``."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(moment))}.{int(moment % 1 * 1000):03d}+0000"


OPERATIONS: Mapping[str, Operation] = {
    "AddLayerVersionPermission": add_layer_version_permission,
    "DeleteLayerVersion": delete_layer_version,
    "GetLayerVersion": get_layer_version,
    "GetLayerVersionByArn": get_layer_version_by_arn,
    "GetLayerVersionPolicy": get_layer_version_policy,
    "ListLayerVersions": list_layer_versions,
    "ListLayers": list_layers,
    "PublishLayerVersion": publish_layer_version,
    "RemoveLayerVersionPermission": remove_layer_version_permission,
}
