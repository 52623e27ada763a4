"""Payload format 1.0: of REST APIs. [D] set-up-lambda-proxy-integrations."""

from __future__ import annotations

from typing import Any

from emulator.http_events.request import EventContext, HttpRequest, gateway_time
from emulator.http_events.response import HttpResponse, parsed, shaped

__all__ = ["event_1", "response_1"]

_MEMBERS = frozenset({"body", "headers", "isBase64Encoded", "multiValueHeaders", "statusCode"})


def event_1(request: HttpRequest, context: EventContext) -> dict[str, Any]:
    """The event; members that have nothing to say are ``null``."""
    # DIFFERS: [D] an API names the types that are binary. Here that is what is no UTF-8.
    body, is_base64 = request.body_of_event(typed=False)
    # DIFFERS: names of headers as clients usually write them; how this one did is not kept on the way here.
    headers = [(name.title(), value) for name, value in request.forwarded(context.trace_id)]
    query = request.pairs()
    return {
        "resource": context.resource,
        "path": request.path,
        "httpMethod": request.method,
        "headers": dict(headers),
        "multiValueHeaders": _collected(headers),
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _collected(query) or None,
        "pathParameters": context.parameters or None,
        "stageVariables": None,
        "requestContext": _request_context(request, context),
        "body": body,
        "isBase64Encoded": is_base64,
    }


def response_1(payload: bytes) -> HttpResponse | None:
    """What a function has answered, as a response; nothing where it cannot be one.

    [X] ``statusCode`` may be missing, but nothing may be there that is no member of a response.
    """
    try:
        value = parsed(payload)
    except ValueError:
        return None
    if not isinstance(value, dict) or not value.keys() <= _MEMBERS or not isinstance(value.get("body") or "", str):
        return None
    return shaped(value)


def _request_context(request: HttpRequest, context: EventContext) -> dict[str, Any]:
    stage = "" if context.stage == "$default" else f"/{context.stage}"
    unknown = (
        "accessKey accountId caller cognitoAuthenticationProvider cognitoAuthenticationType cognitoIdentityId "
        "cognitoIdentityPoolId principalOrgId user userArn"
    )
    identity = dict.fromkeys(unknown.split()) | {
        "sourceIp": request.source_ip,
        "userAgent": request.header("user-agent"),
    }
    return {
        "accountId": context.account,
        "apiId": context.api_id,
        "domainName": context.domain,
        "domainPrefix": context.prefix,
        "extendedRequestId": context.request_id,
        "httpMethod": request.method,
        "identity": identity,
        "path": f"{stage}{request.path}",
        "protocol": request.protocol,
        "requestId": context.request_id,
        "requestTime": gateway_time(context.now),
        "requestTimeEpoch": int(context.now * 1000),
        "resourceId": "local",
        "resourcePath": context.resource,
        "stage": context.stage,
    }


def _collected(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    collected: dict[str, list[str]] = {}
    for name, value in pairs:
        collected.setdefault(name, []).append(value)
    return collected
