"""The door of function URLs and of routes. It stands before the guard, for pages of any site may come through it.

A URL is reached under a host name of its own, ``{url-id}.lambda-url.localhost``, or, for clients that cannot find such
a name, under the emulator's with a path that begins with ``/_url/``. What other sites' pages may do there is said by
CORS, as on AWS. A name that somebody else could make lead here is none of these hosts, and is left to the guard.

[R] LocalStack's recordings against AWS, November 2025; [D] urls-configuration, urls-auth, urls-invocation.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from emulator import text
from emulator.api.guard import is_own_host
from emulator.api.http_call import (
    HttpCall,
    answer_of,
    check_size,
    host_of,
    plain_answer,
    request_of,
    with_headers,
)
from emulator.api.invoke import HttpAnswer, Receive, Scope, Send, error_answer, read_body, send_answer
from emulator.api.routes import RouteDoor
from emulator.errors import EmulatorError, FunctionNotFoundError
from emulator.http_events.cors import cors_headers, is_preflight, preflight_headers
from emulator.http_events.payload_2 import event_2, response_2
from emulator.http_events.request import EventContext, HttpRequest
from emulator.http_events.response import HttpResponse
from emulator.http_events.signing import iam_of
from emulator.invocation import Invocation
from emulator.service import Service
from emulator.urls import UrlConfig

__all__ = ["UrlDoor", "is_url_host"]

# Nobody can register a name below .localhost, and below on.aws only AWS can.
_HOST = re.compile(r"([a-z0-9]{1,63})\.lambda-url(?:\.([a-z0-9-]+))?\.(?:localhost|on\.aws)\.?(?::[0-9]{1,5})?")
_PATH = re.compile(r"/_url/([^/]+)(/.*)?")
_DENIED = ("x-amzn-errortype", "AccessDeniedException")
_UNKNOWN = plain_answer(403, b'{"Message":null}', _DENIED)  # [R]
_FORBIDDEN = plain_answer(  # [R] of a missing permission; [I] of a missing signature
    403,
    text.to_json(
        {
            "Message": "Forbidden. For troubleshooting Function URL authorization issues, see: "
            "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
        }
    ),
    _DENIED,
)
_FAILED = HttpResponse(502, [("content-type", "application/json")], b"Internal Server Error")  # [R]


def is_url_host(host: str) -> bool:
    """Whether a ``Host`` header names a function URL, be it one that there is or not."""
    return _HOST.fullmatch(host.lower()) is not None


class UrlDoor:
    """Serves what is for a function URL or a route; everything else goes on.

    Arguments:
        inner: the application behind it.
    """

    def __init__(self, service: Service, inner: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._service, self._inner = service, inner
        self._routes = RouteDoor(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
        host = host_of(scope).lower()
        if (match := _HOST.fullmatch(host)) is not None:
            await self._serve(self._by_host(match), raw_path, scope, receive, send)
        elif not host or is_own_host(host):
            if (match := _PATH.fullmatch(raw_path)) is not None:
                await self._by_path(match, scope, receive, send)
            elif not await self._routes.serve(raw_path, scope, receive, send):
                await self._inner(scope, receive, send)
        else:
            await self._inner(scope, receive, send)

    def _by_host(self, match: re.Match[str]) -> UrlConfig | None:
        is_here = match[2] in (None, self._service.settings.emulator.region)
        return self._service.urls.by_id(match[1]) if is_here else None

    async def _by_path(self, match: re.Match[str], scope: Scope, receive: Receive, send: Send) -> None:
        given = unquote(match[1])
        name, _, qualifier = given.partition(":")
        urls = self._service.urls
        config = urls.by_id(given) or urls.find(name, qualifier or None)
        if config is None:
            known = ", ".join(f"/_url/{each.name}/" for each in urls)
            cure = f"There are {known}." if known else "Say url = true in [functions.NAME]."
            body = text.to_json({"error": f"{given} has no function URL", "cure": cure})
            await send_answer(send, *answer_of(plain_answer(404, body)))
            return
        await self._serve(config, match[2] or "/", scope, receive, send)

    async def _serve(self, config: UrlConfig | None, raw_path: str, scope: Scope, receive: Receive, send: Send) -> None:
        answer: HttpAnswer | None
        added: list[tuple[str, str]] = []
        try:
            body, size = await read_body(receive)
            request = request_of(scope, raw_path, body)
            refusal = self._refusal(config, request, size)
            if config is None or refusal is not None:
                await send_answer(send, *answer_of(refusal or _UNKNOWN))
                return
            added += cors_headers(config.cors, request) if config.cors is not None else []
            call = HttpCall(
                self._service,
                config.function,
                config.qualifier,
                request,
                lambda invocation: event_2(request, self._context(config, request, invocation)),
                added=added,
            )
            if config.invoke_mode == "RESPONSE_STREAM":
                answer = None if await call.stream(scope, receive, send) else call.answer(_FAILED)
            else:
                answer = call.answer(await call.buffered(response_2) or _FAILED)
        except FunctionNotFoundError:
            answer = answer_of(_FORBIDDEN, *added)  # [R] the function or the alias is gone, its URL is still there
        except EmulatorError as error:
            answer = with_headers(error_answer(error), added)
        if answer is not None:
            await send_answer(send, *answer)

    def _refusal(self, config: UrlConfig | None, request: HttpRequest, size: int) -> HttpResponse | None:
        """What is answered without the function: to strangers, and to a preflight."""
        if config is None:
            return _UNKNOWN
        if config.cors is not None and is_preflight(request):
            return plain_answer(200, b"", *preflight_headers(config.cors, request))
        if config.auth == "AWS_IAM" and iam_of(request, self._account) is None:
            return _FORBIDDEN
        check_size(size)
        return None

    def _context(self, config: UrlConfig, request: HttpRequest, invocation: Invocation) -> EventContext:
        is_signed = config.auth == "AWS_IAM"
        host = (request.header("host") or "").partition(":")[0].lower()
        return EventContext(
            account=self._account if is_signed else "anonymous",  # [R]
            api_id=config.url_id,
            domain=host if is_url_host(host) else f"{config.url_id}.lambda-url.localhost",
            request_id=invocation.request_id,
            now=self._service.clock.now(),
            trace_id=invocation.trace_id,
            iam=iam_of(request, self._account) if is_signed else None,
        )

    @property
    def _account(self) -> str:
        return self._service.settings.emulator.account
