"""A template, read: the configuration that it comes to, and what it says that has no effect here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.errors import ConfigurationError
from emulator.template.events import Calls, api_cors, rest_routes, rule_schedules, sam_events, v2_routes
from emulator.template.functions import (
    FUNCTIONS,
    LAYERS,
    Place,
    asynchronous_table,
    function_table,
    layer_folder,
    url_table,
)
from emulator.template.intrinsics import Resolver, function_name_of

__all__ = ["Template", "is_template", "read_template"]

_ENDINGS = (".yaml", ".yml", ".json", ".template")
_READ = {
    *FUNCTIONS,
    *LAYERS,
    "AWS::ApiGateway::Method",
    "AWS::ApiGateway::Resource",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::Events::Rule",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Url",
    "AWS::Scheduler::Schedule",
    "AWS::Serverless::HttpApi",
}
# These hold together what is read elsewhere, and say nothing themselves.
_FRAMES = {
    "AWS::ApiGateway::Deployment",
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::Stage",
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Stage",
    "AWS::Lambda::Permission",
    "AWS::Serverless::Api",
}
# What of an API changes who may come, or which ways there are.
_OF_AN_API = {
    "AWS::Serverless::Api": ("Auth", "Cors", "DefinitionBody", "DefinitionUri"),
    "AWS::Serverless::HttpApi": ("Auth", "DefinitionBody", "DefinitionUri"),
}


@dataclass(frozen=True, slots=True)
class Template:
    """What a template comes to.

    Attributes:
        tables: as of a configuration file: ``functions``, ``routes``, ``schedules``.
        passed_over: what has no effect here, each once.
    """

    tables: Mapping[str, Any]
    passed_over: Sequence[str]


def is_template(path: Path) -> bool:
    """Whether a file is one by its name; all others are configuration files."""
    return path.suffix in _ENDINGS


def read_template(path: Path, parameters: Mapping[str, str], scratch: Path, *, region: str, account: str) -> Template:
    """Read an AWS SAM or CloudFormation template.

    Arguments:
        parameters: values of its parameters.
        scratch: an empty folder of ours, for code that the template has inline.

    Raises:
        ConfigurationError: it cannot be read, or what it describes cannot be had here.
    """
    document = _with_globals(_parsed(path), path)
    passed_over: dict[str, None] = {}

    def tell(what: str) -> None:
        passed_over[what] = None

    try:
        resolver = Resolver(document, parameters, region=region, account=account, unknown=lambda what: tell(what))
        tables = _tables(
            document, resolver, Place(path.resolve().parent, scratch, lambda what: tell(what)), region, account
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error.message}", cure=error.cure) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{path}: a part of it has another shape than CloudFormation gives it: {error}",
            cure="sam validate --lint names the place.",
        ) from error
    return Template(tables, tuple(passed_over))


def _tables(document: Mapping[str, Any], resolver: Resolver, place: Place, region: str, account: str) -> dict[str, Any]:
    resources = _resolved(document["Resources"], resolver, place)
    for key, resource in resources.items():
        if resource["Type"] in LAYERS:
            folder = layer_folder(key, resource.get("Properties") or {}, resource.get("Metadata") or {}, place)
            place.layers[f"arn:aws:lambda:{region}:{account}:layer:{key}:1"] = folder
        elif resource["Type"] in FUNCTIONS:
            name = function_name_of(key, resource)
            place.functions[f"arn:aws:lambda:{region}:{account}:function:{name}"] = name
    functions: dict[str, Any] = {}
    calls: Calls = ([], [])
    for key, resource in resources.items():
        if resource["Type"] in FUNCTIONS:
            name = function_name_of(key, resource)
            if name in functions:
                raise ConfigurationError(f"two functions are called {name}", cure="Give each its own FunctionName.")
            functions[name] = function_table(key, name, resource, place)
            events = (resource.get("Properties") or {}).get("Events") or {}
            for kind, found in zip(calls, sam_events(key, name, events, place), strict=True):
                kind += found
    _apply_others(resources, functions, place)
    calls[0].extend([*v2_routes(resources, place), *rest_routes(resources, place)])
    calls[1].extend(rule_schedules(resources, place))
    if cors := api_cors(resources):
        for route in calls[0]:
            if route["version"] == "2.0":
                route["cors"] = cors
    return {"functions": functions, "routes": calls[0], "schedules": calls[1]}


def _resolved(resources: Mapping[str, Any], resolver: Resolver, place: Place) -> dict[str, Any]:
    """Those that are read here and whose condition holds, with every intrinsic function answered."""
    found = {}
    for key, resource in resources.items():
        if not isinstance(resource, dict) or "Type" not in resource:
            raise ConfigurationError(f"the resource {key} has no Type", cure="Each resource has a Type.")
        if "Condition" in resource and not resolver.holds(resource["Condition"]):
            continue
        for member in _OF_AN_API.get(resource["Type"], ()):
            if member in (resource.get("Properties") or {}):
                place.passed_over(f"{key}.{member}")
        if resource["Type"] in _FRAMES:
            continue
        if resource["Type"] not in _READ:
            place.passed_over(f"{key} ({resource['Type']})")
            continue
        found[key] = {**resource, "Properties": resolver.resolve(resource.get("Properties") or {})}
    return found


def _apply_others(resources: Mapping[str, Any], functions: dict[str, Any], place: Place) -> None:
    """Resources of their own that say something of a function."""
    for key, resource in resources.items():
        properties = dict(resource.get("Properties") or {})
        if resource["Type"] not in ("AWS::Lambda::Url", "AWS::Lambda::EventInvokeConfig"):
            continue
        target = properties.get("TargetFunctionArn", properties.get("FunctionName"))
        name = place.functions.get(str(target), target)
        if name not in functions:
            place.passed_over(f"{key} ({resource['Type']}) of {target}")
        elif resource["Type"] == "AWS::Lambda::Url":
            functions[name]["url"] = url_table(properties)
        else:
            table = asynchronous_table(key, {"EventInvokeConfig": properties}, place)
            functions[name]["asynchronous"] = functions[name].get("asynchronous", {}) | table


def _parsed(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(f"{path} cannot be read: {reason}", cure="Name a template.") from error
    try:
        found = json.loads(text) if path.suffix == ".json" else _from_yaml(text)
    except ValueError as error:
        raise ConfigurationError(f"{path} cannot be parsed: {error}", cure="Correct it at that place.") from error
    if not isinstance(found, dict) or not isinstance(found.get("Resources"), dict):
        raise ConfigurationError(f"{path} has no Resources, so it is no template", cure="Name a SAM template.")
    return found


def _from_yaml(text: str) -> Any:
    try:
        import yaml
        from samtranslator.yaml_helper import yaml_parse
    except ImportError as error:
        raise ConfigurationError(
            f"reading templates takes AWS's own reader: {error}", cure="pip install 'lambda-freezer[templates]'"
        ) from error
    try:
        return yaml_parse(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _with_globals(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """SAM's ``Globals`` put into the resources that they are for, by AWS's own rules."""
    if "Globals" not in document:
        return document
    from samtranslator.plugins.globals.globals import Globals, InvalidGlobalsSectionException
    from samtranslator.public.sdk.resource import SamResource

    try:
        found = Globals(document)
    except InvalidGlobalsSectionException as error:
        raise ConfigurationError(f"{path}: {error.message}", cure="Correct Globals.") from error
    resources = {}
    for key, resource in document["Resources"].items():
        if isinstance(resource, dict) and str(resource.get("Type", "")).startswith("AWS::Serverless::"):
            merged = found.merge(resource["Type"], SamResource(resource).properties, key)
            resource = {**resource, "Properties": merged}
        resources[key] = resource
    return {**document, "Resources": resources}
