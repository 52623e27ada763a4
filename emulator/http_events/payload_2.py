"""Payload format 2.0: of function URLs and of HTTP APIs.

[D] urls-invocation, http-api-develop-integrations-lambda; [R] events that functions have logged.
"""

from __future__ import annotations

from typing import Any

from emulator.http_events.request import EventContext, HttpRequest, gateway_time
from emulator.http_events.response import HttpResponse, inferred, parsed, shaped

__all__ = ["event_2", "response_2"]


def event_2(request: HttpRequest, context: EventContext, *, raw: bool = True) -> dict[str, Any]:
    """The event; members that have nothing to say are left out, as AWS leaves them out [R].

    Arguments:
        raw: the path stays as it came, as of a URL [R]; an HTTP API has it unquoted [X].
    """
    path = request.raw_path if raw else request.path
    body, is_base64 = request.body_of_event()
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": context.route_key,
        "rawPath": path,
        "rawQueryString": request.query,
    }
    if cookies := [each.strip() for name, value in request.headers if name == "cookie" for each in value.split(";")]:
        event["cookies"] = [cookie for cookie in cookies if cookie]
    forwarded = request.forwarded(context.trace_id)
    event["headers"] = _joined([(name, value) for name, value in forwarded if name != "cookie"])
    if request.query:
        event["queryStringParameters"] = _joined(request.pairs())
    if context.parameters:
        event["pathParameters"] = context.parameters
    event["requestContext"] = _request_context(request, context, path)
    if body is not None:
        event["body"] = body
    event["isBase64Encoded"] = is_base64
    return event


def response_2(payload: bytes) -> HttpResponse | None:
    """What a function has answered, as a response; nothing where it cannot be one.

    An answer without ``statusCode`` is the body of a 200, whatever else is in it.
    """
    try:
        value = parsed(payload)
    except ValueError:
        return None
    return shaped(value) if isinstance(value, dict) and "statusCode" in value else inferred(value)


def _request_context(request: HttpRequest, context: EventContext, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {"accountId": context.account, "apiId": context.api_id}
    if context.iam is not None:
        found |= {"authentication": None, "authorizer": {"iam": context.iam}}
    return found | {
        "domainName": context.domain,
        "domainPrefix": context.prefix,
        "http": {
            "method": request.method,
            "path": path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": request.header("user-agent"),
        },
        "requestId": context.request_id,
        "routeKey": context.route_key,
        "stage": context.stage,
        "time": gateway_time(context.now),
        "timeEpoch": int(context.now * 1000),
    }


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined
