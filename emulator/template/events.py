"""What calls the functions of a template: routes of HTTP and REST APIs, and schedules. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from emulator.template.functions import Place, cors_table

__all__ = ["Calls", "api_cors", "rest_routes", "rule_schedules", "sam_events", "v2_routes"]

Calls = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""Tables of ``[[routes]]`` and of ``[[schedules]]``."""

_DEFAULT = "$default"


def sam_events(logical_id: str, name: str, events: Mapping[str, Any], place: Place) -> Calls:
    """The ``Events`` of an ``AWS::Serverless::Function``, whose intrinsic functions are answered."""
    routes: list[dict[str, Any]] = []
    schedules: list[dict[str, Any]] = []
    for event_id, event in events.items():
        properties = event.get("Properties") or {}
        if "Auth" in properties:
            place.passed_over(f"{logical_id}.Events.{event_id}.Auth")
        match event.get("Type"):
            case "HttpApi":
                routes.append(_http_api(name, properties))
            case "Api":
                routes.append(_route(name, properties.get("Method", "ANY"), properties.get("Path", "/"), "1.0"))
            case "Schedule" | "ScheduleV2" as kind:
                schedules += _schedule(f"{logical_id}{event_id}", name, properties, scheduler=kind == "ScheduleV2")
            case kind:
                place.passed_over(f"{logical_id}.Events.{event_id} ({kind})")
    return routes, schedules


def _http_api(name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    version = properties.get("PayloadFormatVersion", "2.0")
    if "Path" not in properties:  # [D] without a path it is the API's default route
        return _route(name, "ANY", _DEFAULT, version)
    return _route(name, properties.get("Method", "ANY"), properties["Path"], version)


def _schedule(name: str, function: str, properties: Mapping[str, Any], *, scheduler: bool) -> list[dict[str, Any]]:
    expression = properties.get("Schedule", properties.get("ScheduleExpression"))
    if properties.get("Enabled", True) in (False, "false") or properties.get("State") == "DISABLED":
        return []
    table: dict[str, Any] = {"name": properties.get("Name", name), "function": function, "expression": expression}
    if scheduler:
        table["source"] = "aws.scheduler"
    if zone := properties.get("ScheduleExpressionTimezone"):
        table["timezone"] = zone
    if (given := properties.get("Input")) is not None:
        table["input"] = given
    return [table]


def v2_routes(resources: Mapping[str, Any], place: Place) -> Iterator[dict[str, Any]]:
    """The routes of ``AWS::ApiGatewayV2::Route`` whose integrations are functions."""
    integrations = {
        key: resource.get("Properties") or {}
        for key, resource in resources.items()
        if resource.get("Type") == "AWS::ApiGatewayV2::Integration"
    }
    for key, resource in resources.items():
        if resource.get("Type") != "AWS::ApiGatewayV2::Route":
            continue
        properties = resource.get("Properties") or {}
        target = str(properties.get("Target", "")).removeprefix("integrations/")
        integration = integrations.get(target, {})
        name = _function_in(integration.get("IntegrationUri"), place)
        if name is None:
            place.passed_over(f"{key} (AWS::ApiGatewayV2::Route)")
            continue
        version = integration.get("PayloadFormatVersion", "1.0")
        method, _, path = str(properties.get("RouteKey", _DEFAULT)).rpartition(" ")
        yield _route(name, method or "ANY", path, version)


def rest_routes(resources: Mapping[str, Any], place: Place) -> Iterator[dict[str, Any]]:
    """The routes of ``AWS::ApiGateway::Method`` whose integrations are functions."""
    parts = {
        key: resource.get("Properties") or {}
        for key, resource in resources.items()
        if resource.get("Type") == "AWS::ApiGateway::Resource"
    }

    def path_of(key: str, depth: int = 0) -> str:
        if key not in parts or depth > len(parts):  # the root, or a circle
            return ""
        return f"{path_of(str(parts[key].get('ParentId', '')), depth + 1)}/{parts[key].get('PathPart', '')}"

    for key, resource in resources.items():
        if resource.get("Type") != "AWS::ApiGateway::Method":
            continue
        properties = resource.get("Properties") or {}
        name = _function_in((properties.get("Integration") or {}).get("Uri"), place)
        if name is None:
            place.passed_over(f"{key} (AWS::ApiGateway::Method)")
            continue
        path = path_of(str(properties.get("ResourceId", ""))) or "/"
        yield _route(name, properties.get("HttpMethod", "ANY"), path, "1.0")


def rule_schedules(resources: Mapping[str, Any], place: Place) -> Iterator[dict[str, Any]]:
    """The schedules of ``AWS::Events::Rule`` and ``AWS::Scheduler::Schedule`` whose targets are functions."""
    for key, resource in resources.items():
        properties = resource.get("Properties") or {}
        match resource.get("Type"):
            case "AWS::Events::Rule" if "ScheduleExpression" in properties:
                targets = properties.get("Targets") or []
            case "AWS::Events::Rule":
                place.passed_over(f"{key} (AWS::Events::Rule with an EventPattern)")
                continue
            case "AWS::Scheduler::Schedule":
                targets = [properties.get("Target") or {}]
            case _:
                continue
        for number, target in enumerate(targets, 1):
            if (name := place.functions.get(target.get("Arn"))) is None:
                place.passed_over(f"{key} ({resource['Type']}) to {target.get('Arn')}")
                continue
            given = {**properties, **({"Input": target["Input"]} if "Input" in target else {})}
            scheduler = resource["Type"] == "AWS::Scheduler::Schedule"
            if len(targets) > 1:
                given["Name"] = f"{given.get('Name', key)}-{target.get('Id', number)}"
            yield from _schedule(key, name, given, scheduler=scheduler)


def _function_in(uri: Any, place: Place) -> str | None:
    """The function that an integration leads to: its ARN is all of the URI, or stands in it."""
    if not isinstance(uri, str):
        return None
    return next((name for arn, name in place.functions.items() if uri == arn or f"/{arn}/" in uri), None)


def _route(function: str, method: Any, path: Any, version: Any) -> dict[str, Any]:
    table = {"function": function, "method": str(method).upper(), "path": str(path), "version": str(version)}
    return table | ({"stage": "Prod"} if version == "1.0" else {})  # the stage that SAM makes [D]


def api_cors(resources: Mapping[str, Any]) -> dict[str, Any]:
    """The ``cors`` table of the template's HTTP API, where it has one."""
    for resource in resources.values():
        if resource.get("Type") == "AWS::Serverless::HttpApi":
            return cors_table((resource.get("Properties") or {}).get("CorsConfiguration"))
    return {}
