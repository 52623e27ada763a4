"""The server of the doors: its port, and what it answers first."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from emulator.api.app import ApiServer
from emulator.config import Settings
from emulator.errors import AddressInUseError
from emulator.model import FreezerReport, NetworkReport, RungReport
from emulator.service import Service
from emulator.status import Status
from tests.support import in_loop


@in_loop
async def test_a_port_is_taken_as_soon_as_it_is_bound() -> None:
    """Of two emulators that start at once, one is told in plain words, and not when it begins to serve."""
    service = Service(Settings())
    first = ApiServer(service, host="127.0.0.1", port=0)
    first.bind()
    try:
        port = urlsplit(first.url).port
        assert port
        with pytest.raises(AddressInUseError, match=f"cannot listen on 127.0.0.1:{port}") as caught:
            ApiServer(service, host="127.0.0.1", port=port).bind()
        assert "--port" in caught.value.cure
    finally:
        await first.__aexit__(None, None, None)


@in_loop
async def test_the_status_reads_the_same_before_and_after_the_framework_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever waits for the emulator need not wait for what only the rest of the API needs; the page is one."""
    status = Status(
        version="1",
        sandbox="process",
        freezer=FreezerReport("cgroup-v2", (RungReport("cgroup-v2", True, "works here", 1.5, 2.0),)),
        network_fidelity="full",
        network=NetworkReport("full", "relay", "é <&>", ()),
        database=None,
        database_version=None,
        functions=1,
        environments={"frozen": 2},
        concurrency_limit=10,
        concurrency_in_use=1,
        uptime=1.25,
        notes=("a note",),
        log_folder="/tmp/logs",
    )
    service = Service(Settings())
    monkeypatch.setattr(service, "status", lambda: status)
    monkeypatch.setattr(service, "functions", [], raising=False)  # nothing of it was started
    async with asyncio.timeout(30), ApiServer(service, host="127.0.0.1", port=0) as server:
        early = await _get(server, "/_emulator/api/status")
        assert b"paths" in (await _get(server, "/_emulator/api/openapi.json"))[-1]
        assert await _get(server, "/_emulator/api/status") == early
        assert b'"notes":["a note"]' in early[-1]


async def _get(server: ApiServer, path: str) -> list[bytes]:
    """The lines of the answer's head without its date, in any order, and its body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(server.url).port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return [*sorted(line for line in head.split(b"\r\n") if not line.startswith(b"date: ")), body]
