"""Who may ask: programs on this machine and in its containers, and the dashboard; no page of another site.

A browser lets every page send requests to this machine, and a page whose name is made to lead here (DNS rebinding)
may even read the answers. So a request is looked at before any route sees it:

- ``Host`` has to be an address, or a name that nobody outside can make lead here. For AWS's API the names that Lambda
  has on AWS are such, too: clients reach a local endpoint under them as well. For an invocation that no page has sent,
  it may be anything.
- A page gives itself away by ``Origin`` (every ``POST`` carries it) or ``Sec-Fetch-Site``. Only a page that came from
  here may ask, and what changes something below ``/_emulator/`` it sends as JSON, which no form can.
- A link to the dashboard may be followed from anywhere: whoever shows it cannot look into it.

SDKs, curl and runtimes in containers send neither of the two headers, and nothing changes for them. Function URLs and
routes are for pages, too; their door (:mod:`emulator.api.urls`) stands before this one.

DIFFERS: [D] AWS answers pages, too, where they sign what they send. Here nobody signs, so where a request comes from is
all there is to go by.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Mapping

from emulator import text
from emulator.api.invoke import Headers, HttpAnswer, Receive, Scope, Send, send_answer
from emulator.errors import ForbiddenError

__all__ = ["Guard", "check_request", "is_own_host"]

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/?#@\s]+)(?::[0-9]{1,5})?")
_PAGES = re.compile(r"/|/_emulator(/(?!api(/|$))[^/]*)?")
_INVOCATIONS = re.compile(r"/20[0-9]{2}-[0-9]{2}-[0-9]{2}/functions/[^/]+/[a-z-]*invocations/?")
_API = re.compile(r"/20[0-9]{2}-[0-9]{2}-[0-9]{2}/.*", re.DOTALL)
_AWS = re.compile(r"lambda(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|api\.aws)(:[0-9]{1,5})?")
# Names below these are this machine's, or a private network's: nobody can register one.
_PRIVATE = (".localhost", ".internal")


@functools.lru_cache(256)
def is_own_host(host: str) -> bool:
    """Whether a ``Host`` header names this machine in a way that cannot have been made up elsewhere.

    An address does, whichever it is: a page whose address is ours came from here. So does a name without a full stop,
    which is that of a service among containers, or of the local network; a site on the internet has one. And what this
    machine calls itself.
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1].lower().removesuffix(".")
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return "." not in name or name.endswith(_PRIVATE) or name == socket.gethostname().lower()
    return True


def check_request(method: str, path: str, headers: Mapping[bytes, bytes]) -> None:
    """Nothing, where the request may go on to its route.

    Arguments:
        headers: by their names in lower case.

    Raises:
        ForbiddenError: a page of another site has sent it, or may have.
    """
    host = headers.get(b"host", b"").decode("latin-1")
    origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
    by_page = origin is not None or site is not None
    if host and not is_own_host(host) and (by_page or not _may_have_host(method, path, host)):
        raise ForbiddenError(
            f"the request is for {host!r}, which is no name of this emulator",
            cure="Ask it under 127.0.0.1, localhost, or an address of its machine.",
        )
    if not by_page:
        return
    if site not in (None, b"same-origin", b"none") and not _is_followed_link(method, path, headers):
        raise _foreign(origin)
    if origin is not None and origin.decode("latin-1").partition("://")[2].lower() != host.lower():
        raise _foreign(origin)
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if method not in _SAFE and path.startswith("/_emulator/") and kind != b"application/json":
        raise ForbiddenError(
            "a page has sent this without the content type application/json",
            cure="Send Content-Type: application/json.",
        )


def _may_have_host(method: str, path: str, host: str) -> bool:
    """What no page has sent to AWS's API; what can deploy code is more careful than what only calls it."""
    if method == "POST" and _INVOCATIONS.fullmatch(path):
        return True
    return _API.fullmatch(path) is not None and _AWS.fullmatch(host.lower()) is not None


def _is_followed_link(method: str, path: str, headers: Mapping[bytes, bytes]) -> bool:
    return (
        method == "GET"
        and headers.get(b"sec-fetch-mode") == b"navigate"
        and headers.get(b"sec-fetch-dest") == b"document"
        and _PAGES.fullmatch(path) is not None
    )


def _foreign(origin: bytes | None) -> ForbiddenError:
    whose = origin.decode("latin-1") if origin is not None else "another site"
    return ForbiddenError(
        f"a page of {whose} has sent this request; only the dashboard's own may",
        cure="Let the page ask a server of its own, and that ask here.",
    )


class Guard:
    """Asks :func:`check_request` before the application does anything.

    Arguments:
        inner: the application.
    """

    def __init__(self, inner: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                check_request(scope["method"], scope["path"], dict(scope["headers"]))
            except ForbiddenError as error:
                await send_answer(send, *_refusal(scope["path"], error))
                return
        await self._inner(scope, receive, send)


def _refusal(path: str, error: ForbiddenError) -> HttpAnswer:
    """In the form that the rest of the path answers in. Nothing is read of the body: it is none of ours."""
    headers: Headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if path.startswith("/20"):
        headers.append((b"x-amzn-errortype", error.code.encode()))
        return HttpAnswer(error.status, headers, text.to_json({**error.body(), "Message": str(error)}))
    return HttpAnswer(error.status, headers, text.to_json({"error": error.message, "cure": error.cure}))
