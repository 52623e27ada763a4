"""Everything that the inside of one environment may talk to, as one record for the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from emulator.runtime_api.extensions import ExtensionsSession
from emulator.runtime_api.reply import Reply
from emulator.runtime_api.runtime import RuntimeSession

__all__ = ["Sessions", "Subscriptions"]


class Subscriptions(Protocol):
    """Who takes subscriptions of the Telemetry API and of the older Logs API."""

    def subscribe(self, api: str, identifier: str | None, body: bytes) -> Reply:
        """``PUT`` of a subscription; ``api`` is ``telemetry`` or ``logs``, the identifier an extension's."""
        ...


@dataclass(frozen=True, slots=True)
class Sessions:
    """The conversations of one generation of an environment. An empty ``metadata_token`` opens nothing."""

    runtime: RuntimeSession
    extensions: ExtensionsSession
    telemetry: Subscriptions
    metadata_token: str
