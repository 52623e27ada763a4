"""What all commands share: the two consoles, common options, and how something that was found is shown."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

__all__ = ["DEFAULT_ENDPOINT", "FUNCTION_FAILED", "INTERRUPTED", "USAGE", "Endpoint", "Json", "err", "out", "show"]

# A table that is read by a program has a line for each row, however long.
out = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 500)
err = Console(stderr=True, highlight=False)

FUNCTION_FAILED, USAGE, INTERRUPTED = 1, 2, 130

Endpoint = Annotated[
    str, typer.Option(envvar="LAMBDA_FREEZER_ENDPOINT", help="The emulator to talk to.", show_default=True)
]
Json = Annotated[bool, typer.Option("--json", help="For programs: JSON instead of a table.")]
DEFAULT_ENDPOINT = "http://127.0.0.1:3001"


def show(found: Any, as_json: bool, table: Callable[[], Any]) -> None:
    """What was found as JSON, or else the table of it."""
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        out.print(table())
