"""The server of the doors: its port."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from emulator.api.app import ApiServer
from emulator.config import Settings
from emulator.errors import AddressInUseError
from emulator.service import Service
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
