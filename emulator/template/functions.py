"""Functions and layers of a template, as tables of the configuration. Pure but for the files of inline code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.errors import ConfigurationError

__all__ = [
    "FUNCTIONS",
    "LAYERS",
    "Place",
    "asynchronous_table",
    "cors_table",
    "function_table",
    "layer_folder",
    "url_table",
]

FUNCTIONS = ("AWS::Serverless::Function", "AWS::Lambda::Function")
LAYERS = ("AWS::Serverless::LayerVersion", "AWS::Lambda::LayerVersion")

# What has a meaning in AWS's console or bill only, or is done for every function here.
_WITHOUT_EFFECT = frozenset({"Architectures", "AutoPublishAliasAllProperties", "Description", "Tags", "PropagateTags"})
_SIMPLE = {"Handler": "handler", "Runtime": "runtime", "MemorySize": "memory", "Timeout": "timeout"}
_NUMBERS = frozenset({"memory", "timeout"})
_LOGGING = {
    "LogFormat": "format",
    "ApplicationLogLevel": "application_level",
    "SystemLogLevel": "system_level",
    "LogGroup": "group",
}
_CORS = {
    "AllowOrigins": "allow_origins",
    "AllowMethods": "allow_methods",
    "AllowHeaders": "allow_headers",
    "ExposeHeaders": "expose_headers",
    "MaxAge": "max_age",
    "AllowCredentials": "allow_credentials",
}
# [X] What CDK writes beside code that it would upload: where it lies, relative to the template.
_ASSET, _ASSET_OF = "aws:asset:path", "aws:asset:property"
_ENDINGS = {"python": "py", "nodejs": "js"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a template lies, and what is made for it.

    Attributes:
        folder: relative code is below it.
        scratch: inline code is written below it.
        layers: the folder of each layer of the template, by its ARN here.
        functions: the name of each function of the template, by its ARN here.
        passed_over: told what has no effect here.
    """

    folder: Path
    scratch: Path
    passed_over: Callable[[str], None]
    layers: dict[str, Path] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)


def layer_folder(logical_id: str, properties: Mapping[str, Any], metadata: Mapping[str, Any], place: Place) -> Path:
    """The folder or archive of a layer.

    Raises:
        ConfigurationError: its content is not on this machine.
    """
    content = properties.get("ContentUri", properties.get("Content"))
    if metadata.get(_ASSET_OF) == "Content":
        content = metadata.get(_ASSET)
    if not isinstance(content, str):
        raise ConfigurationError(
            f"layer {logical_id}: its content lies elsewhere: {content!r}", cure="ContentUri names a local folder."
        )
    return place.folder / content


def function_table(logical_id: str, name: str, resource: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """The ``[functions.NAME]`` table of a function resource, whose intrinsic functions are answered.

    Raises:
        ConfigurationError: its code is not on this machine, or a value has the wrong shape.
    """
    properties = dict(resource.get("Properties") or {})
    properties.pop("FunctionName", None)
    properties.pop("Events", None)  # read by emulator.template.events
    table: dict[str, Any] = {}
    for theirs, ours in _SIMPLE.items():
        if theirs in properties:
            value = properties.pop(theirs)
            table[ours] = _number(logical_id, theirs, value) if ours in _NUMBERS else value
    table |= _code(logical_id, name, properties, resource.get("Metadata") or {}, table, place)
    variables = (properties.pop("Environment", None) or {}).get("Variables") or {}
    if variables:
        table["environment"] = {key: _plain(logical_id, key, value) for key, value in variables.items()}
    if storage := properties.pop("EphemeralStorage", None):
        table["ephemeral_storage"] = _number(logical_id, "EphemeralStorage", storage.get("Size"))
    if logging := properties.pop("LoggingConfig", None):
        table["logging"] = {ours: logging[theirs] for theirs, ours in _LOGGING.items() if theirs in logging}
    if layers := _layers(logical_id, properties.pop("Layers", None) or [], place):
        table["layers"] = layers
    table |= _concurrency(logical_id, properties)
    if (url := properties.pop("FunctionUrlConfig", None)) is not None:
        table["url"] = url_table(url)
    if asynchronous := asynchronous_table(logical_id, properties, place):
        table["asynchronous"] = asynchronous
    for rest in sorted(properties.keys() - _WITHOUT_EFFECT):
        place.passed_over(f"{logical_id}.{rest}")
    return table


def _code(
    logical_id: str,
    name: str,
    properties: dict[str, Any],
    metadata: Mapping[str, Any],
    table: Mapping[str, Any],
    place: Place,
) -> dict[str, Any]:
    """``code`` or ``image`` of a function; takes what says so out of its properties."""
    package = properties.pop("PackageType", "Zip")
    code = properties.pop("CodeUri", None)
    given = properties.pop("Code", None)
    if metadata.get(_ASSET_OF) == "Code" and isinstance(asset := metadata.get(_ASSET), str) and package != "Image":
        given = asset
    inline = properties.pop("InlineCode", None)
    if isinstance(given, Mapping):
        inline = inline or given.get("ZipFile")
    elif given is not None:
        code = given
    if package == "Image":
        return _image(logical_id, properties, metadata, given, place)
    if inline is not None:
        return {"code": str(_written(name, str(inline), table, place))}
    if code is None and given is None:
        code = "."  # as SAM has it
    if not isinstance(code, str) or "://" in code:
        raise ConfigurationError(
            f"function {logical_id}: its code lies elsewhere: {code if code is not None else given!r}",
            cure="CodeUri names a folder of this machine, beside the template.",
        )
    return {"code": str(place.folder / code)}


def _image(
    logical_id: str, properties: dict[str, Any], metadata: Mapping[str, Any], code: Any, place: Place
) -> dict[str, Any]:
    uri = properties.pop("ImageUri", None) or (code.get("ImageUri") if isinstance(code, Mapping) else None)
    if uri is None and "Dockerfile" in metadata:
        # [D] the name that `sam build` gives it
        uri = f"{logical_id.lower()}:{metadata.get('DockerTag', 'latest')}"
    if not isinstance(uri, str):
        raise ConfigurationError(f"function {logical_id}: it names no image", cure="Give it an ImageUri.")
    config = properties.pop("ImageConfig", None) or {}
    names = {"EntryPoint": "entry_point", "Command": "command", "WorkingDirectory": "working_directory"}
    return {"image": uri, **{ours: config[key] for key, ours in names.items() if key in config}}


def _written(name: str, source: str, table: Mapping[str, Any], place: Place) -> Path:
    """Inline code as a file: ``index.py`` or ``index.js`` [D]."""
    runtime = str(table.get("runtime", "python"))
    ending = next((end for start, end in _ENDINGS.items() if runtime.startswith(start)), None)
    if ending is None:
        raise ConfigurationError(
            f"function {name}: inline code of {runtime}", cure="Inline code is Python or Node.js; take a folder."
        )
    folder = place.scratch / name
    folder.mkdir(parents=True)
    (folder / f"index.{ending}").write_text(source, encoding="utf-8")
    return folder


def _layers(logical_id: str, arns: Sequence[Any], place: Place) -> list[str]:
    found = []
    for arn in arns:
        if arn in place.layers:
            found.append(str(place.layers[arn]))
        else:
            place.passed_over(f"{logical_id}.Layers: {arn}")
    return found


def _concurrency(logical_id: str, properties: dict[str, Any]) -> dict[str, Any]:
    found = {}
    if (reserved := properties.pop("ReservedConcurrentExecutions", None)) is not None:
        found["reserved_concurrency"] = _number(logical_id, "ReservedConcurrentExecutions", reserved)
    if (provisioned := properties.pop("ProvisionedConcurrencyConfig", None)) is not None:
        amount = provisioned.get("ProvisionedConcurrentExecutions")
        found["provisioned_concurrency"] = _number(logical_id, "ProvisionedConcurrencyConfig", amount)
    return found


def url_table(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The ``url`` table, of a ``FunctionUrlConfig`` or an ``AWS::Lambda::Url``."""
    table: dict[str, Any] = {"auth": properties.get("AuthType", "AWS_IAM")}
    if "InvokeMode" in properties:
        table["invoke_mode"] = properties["InvokeMode"]
    if cors := cors_table(properties.get("Cors")):
        table["cors"] = cors
    return table


def cors_table(properties: Any) -> dict[str, Any]:
    """The ``cors`` table; SAM takes ``true``, a text for the origins, or all of it."""
    if properties is True:
        return {"allow_origins": ["*"], "allow_methods": ["*"], "allow_headers": ["*"]}
    if isinstance(properties, str):
        return {"allow_origins": [properties.strip("'")]}
    if not isinstance(properties, Mapping):
        return {}
    return {ours: properties[theirs] for theirs, ours in _CORS.items() if theirs in properties}


def asynchronous_table(logical_id: str, properties: dict[str, Any], place: Place) -> dict[str, Any]:
    """The ``asynchronous`` table, of an ``EventInvokeConfig`` and a dead letter queue."""
    table: dict[str, Any] = {}
    config = properties.pop("EventInvokeConfig", None) or {}
    if (retries := config.get("MaximumRetryAttempts")) is not None:
        table["retries"] = _number(logical_id, "MaximumRetryAttempts", retries)
    if (age := config.get("MaximumEventAgeInSeconds")) is not None:
        table["max_age"] = _number(logical_id, "MaximumEventAgeInSeconds", age)
    for theirs, ours in (("OnSuccess", "on_success"), ("OnFailure", "on_failure")):
        target = ((config.get("DestinationConfig") or {}).get(theirs) or {}).get("Destination")
        if target in place.functions:
            table[ours] = f"function:{place.functions[target]}"
        elif target is not None:
            place.passed_over(f"{logical_id}.{theirs}: {target}")
    return table


def _number(logical_id: str, what: str, value: Any) -> int:
    try:
        return int(value)  # parameters are texts
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"{logical_id}: {what} is {value!r}", cure=f"{what} is a whole number; give a parameter one."
        ) from None


def _plain(logical_id: str, key: str, value: Any) -> str:
    if value is None or isinstance(value, dict | list):
        raise ConfigurationError(
            f"{logical_id}: the variable {key} is {value!r}", cure="A variable is a text; a list is joined by !Join."
        )
    return str(value).lower() if isinstance(value, bool) else str(value)
