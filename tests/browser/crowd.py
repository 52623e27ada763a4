"""A made-up run with as many environments and events as wanted, behind the dashboard's own routes; no emulator."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from emulator.pages import content_type, files

__all__ = ["Crowd", "crowd_events"]

_RUN = "made-up"
_BATCH = 0.05  # seconds
_NAMES = ("checkout", "invoices", "orders", "thumbnails")
_Event = dict[str, Any]


def crowd_events(environments: int, events: int, *, until: float, seconds: float = 240.0) -> list[_Event]:
    """A run in which that many environments live, most of them with a session, and some leave one behind."""
    chance = random.Random(7)
    told: list[tuple[float, str, int, str, dict[str, Any] | None]] = []
    each = max(12, events // environments)
    for number in range(environments):
        begin = until - seconds + chance.random() * seconds * 0.3
        told += _life(number, begin, until, each, chance)
    told.sort(key=lambda one: one[0])
    return [_event(seq, *one) for seq, one in enumerate(told[:events], 1)]


def _life(
    number: int, begin: float, until: float, events: int, chance: random.Random
) -> Iterator[tuple[float, str, int, str, dict[str, Any] | None]]:
    client = {"client": ["169.254.1.1", 20_000 + number], "source": [f"10.0.{number // 250}.{number % 250}", 40_000]}
    at = begin
    yield at, "environment.starting", number, "cold start: no idle environment", None
    at += 0.15 + chance.random() * 0.2
    yield at, "environment.init", number, "the sandbox runs, its processes start", None
    at += 0.3 + chance.random() * 0.4
    if number % 5:
        yield at - 0.1, "connection.opened", number, "the function connected", client
    turns = max(1, (events - 8) // 7)
    ends = number % 9 == 4
    room = (until - at) * (0.35 + 0.4 * chance.random() if ends else 1.0)
    for turn in range(turns):
        served = 0.01 + chance.expovariate(9)
        yield at, "environment.idle", number, "", None
        yield at + 0.0003, "environment.invoking", number, "it was frozen: thawed for this request", None
        yield at + served, "environment.idle", number, "", None
        yield at + served + 0.0002, "invocation.finished", number, "", None
        yield at + served + 0.0004, "environment.freezing", number, "every party waits for its next event", None
        yield at + served + 0.0006, "environment.frozen", number, "no process of it runs", None
        at += max(served + 0.01, room / turns * (0.5 + chance.random()))
        if at > until - 1:
            return
        if turn + 1 < turns:
            yield at - 0.0002, "environment.thawing", number, "a request", None
    if ends:
        yield at, "environment.shutting-down", number, "idle for 7 min, which is its policy's limit", None
        yield at + 0.05, "environment.gone", number, "it was recycled", None
        if number % 5:
            yield at + 0.06, "connection.zombie", number, "its environment is gone and nobody told the server", client


def _event(seq: int, at: float, kind: str, number: int, reason: str, detail: dict[str, Any] | None) -> _Event:
    return {
        "seq": seq,
        "at": at,
        "kind": kind,
        "function": None if kind.startswith("connection.") else _NAMES[number % 4],
        "environment": f"{number * 2654435761 % 2**32:08x}{number:024x}",
        "request_id": f"{seq:08x}-0000-4000-8000-{number:012x}",
        "reason": reason,
        "detail": detail,
    }


class Crowd:
    """Serves the dashboard over such a run; ``live`` more events a second come while it is looked at."""

    def __init__(self, environments: int, events: int, *, live: int = 0) -> None:
        self.events = crowd_events(environments, events, until=time.time())
        self._live = live
        self._stopping = threading.Event()
        crowd = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                crowd._answer(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name there)
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/_emulator/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        name = url.path.removeprefix("/_emulator/") or "index.html"
        if name in files():
            self._send(handler, content_type(name), files()[name])
        elif name == "api/timeline/stream":
            self._stream(handler)
        elif name == "api/timeline":
            asked = {key: int(values[0]) for key, values in parse_qs(url.query).items()}
            page = self.events[asked["since"] : asked["since"] + asked["limit"]]
            last = page[-1]["seq"] if page else asked["since"]
            told = {
                "events": page,
                "last": last,
                "more": last < len(self.events),
                "dropped": 0,
                "run": _RUN,
                "now": time.time(),
            }
            self._send(handler, "application/json", json.dumps(told).encode())
        else:
            told = _TOLD.get(name, {})
            self._send(handler, "application/json", json.dumps(told).encode())

    def _send(self, handler: BaseHTTPRequestHandler, kind: str, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _stream(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        handler.close_connection = True
        known = [event for event in self.events if event["kind"] == "environment.frozen"][-200:]
        seq = count(len(self.events) + 1)
        try:
            while not self._stopping.wait(_BATCH):
                batch = []
                for number in range(int(self._live * _BATCH)):
                    kind = ("environment.thawing", "environment.invoking", "environment.frozen")[number % 3]
                    like = known[number // 3 % len(known)]
                    batch.append({**like, "seq": next(seq), "at": time.time(), "kind": kind})
                if batch:
                    told = f"id: {_RUN}:{batch[-1]['seq']}\ndata: {json.dumps(batch)}\n\n"
                    handler.wfile.write(told.encode())
                    known = known[7:] + known[:7]
        except OSError:
            return  # the page has gone


_TOLD: dict[str, Any] = {
    "api/status": {
        "version": "0",
        "sandbox": "process",
        "freezer": {"name": "cgroup-v2"},
        "network_fidelity": "full",
        "database": "made-up sessions",
        "notes": [],
        "speed": 1,
    },
    "api/concurrency": {"functions": [{"function": name} for name in _NAMES]},
}
