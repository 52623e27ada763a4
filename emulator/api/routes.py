"""Routes: paths of the local port that functions serve, as behind an HTTP API or a REST API.

[D] http-api-develop-integrations-lambda, set-up-lambda-proxy-integrations; [X] bodies of the gateways' own errors.
"""

from __future__ import annotations

import asyncio
import re

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
from emulator.errors import EmulatorError, FunctionNotFoundError, RequestTooLargeError, ThrottledError
from emulator.http_events.cors import cors_headers, is_preflight, preflight_headers
from emulator.http_events.payload_1 import event_1, response_1
from emulator.http_events.payload_2 import event_2, response_2
from emulator.http_events.request import EventContext
from emulator.http_events.response import HttpResponse
from emulator.http_events.routes import HttpRoute
from emulator.invocation import Invocation
from emulator.service import Service

__all__ = ["RouteDoor"]

_PORT = re.compile(r":[0-9]+$")
# By payload format: 2.0 is an HTTP API's, 1.0 a REST API's.
_FAILED = {
    "2.0": plain_answer(500, b'{"message":"Internal Server Error"}'),
    "1.0": plain_answer(502, b'{"message": "Internal server error"}'),
}
_LATE = {
    "2.0": plain_answer(503, b'{"message":"Service Unavailable"}'),
    "1.0": plain_answer(504, b'{"message": "Endpoint request timed out"}'),
}
_THROTTLED = {
    "2.0": plain_answer(503, b'{"message":"Service Unavailable"}'),
    "1.0": plain_answer(500, b'{"message": "Internal server error"}'),
}
_TOO_LARGE = {
    "2.0": plain_answer(413, b'{"message":"Request Entity Too Large"}'),
    "1.0": plain_answer(413, b'{"message":"Request Too Long"}'),
}
_PATIENCE = {"2.0": 30.0, "1.0": 29.0}  # seconds [D]; the function goes on


class RouteDoor:
    """Serves the paths of the service's routes."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def serve(self, raw_path: str, scope: Scope, receive: Receive, send: Send) -> bool:
        """Whether there is a route for it; it is served then."""
        routes = self._service.routes
        if not len(routes):
            return False
        request = request_of(scope, raw_path, b"")
        wanted = request.header("access-control-request-method")
        if wanted is not None and is_preflight(request):
            asked = routes.find(wanted.upper(), raw_path)
            if asked is not None and (cors := asked[0].cors) is not None:
                answer = HttpResponse(204, preflight_headers(cors, request))
                await send_answer(send, *answer_of(answer))
                return True
        if (found := routes.find(request.method, raw_path)) is None:
            return False
        await send_answer(send, *await self._answer(*found, scope, receive))
        return True

    async def _answer(self, route: HttpRoute, parameters: dict[str, str], scope: Scope, receive: Receive) -> HttpAnswer:
        added: list[tuple[str, str]] = []
        version = route.version
        try:
            body, size = await read_body(receive)
            request = request_of(scope, (scope.get("raw_path") or scope["path"].encode()).decode("latin-1"), body)
            added += cors_headers(route.cors, request) if route.cors is not None else []
            check_size(size)

            def make_event(invocation: Invocation) -> dict[str, object]:
                context = self._context(route, parameters, scope, invocation)
                return event_1(request, context) if version == "1.0" else event_2(request, context, raw=False)

            call = HttpCall(self._service, route.function, route.qualifier, request, make_event, added=added)
            read = response_1 if version == "1.0" else response_2
            try:
                async with asyncio.timeout(_PATIENCE[version]):
                    response = await call.buffered(read) or _FAILED[version]
            except TimeoutError:
                response = _LATE[version]
            return call.answer(_without_cors(response) if route.cors is not None else response)
        except ThrottledError:
            return answer_of(_THROTTLED[version], *added)
        except RequestTooLargeError:
            return answer_of(_TOO_LARGE[version], *added)
        except FunctionNotFoundError:
            return answer_of(_FAILED[version], *added)
        except EmulatorError as error:
            return with_headers(error_answer(error), added)

    def _context(
        self, route: HttpRoute, parameters: dict[str, str], scope: Scope, invocation: Invocation
    ) -> EventContext:
        return EventContext(
            account=self._service.settings.emulator.account,
            api_id=route.api_id,
            domain=_PORT.sub("", host_of(scope)),
            request_id=invocation.request_id,
            now=self._service.clock.now(),
            trace_id=invocation.trace_id,
            route_key=route.key,
            resource=route.path,
            stage=route.stage,
            parameters=parameters,
        )


def _without_cors(response: HttpResponse) -> HttpResponse:
    """[D] An API that is set to answer for CORS passes over what its function says of it."""
    kept = [(name, value) for name, value in response.headers if not name.startswith("access-control-")]
    return HttpResponse(response.status, kept, response.body)
