"""``lambda-freezer timeline`` and what can be made of one: a comparison of two, a trace to look at."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from emulator.client import Client
from emulator.errors import ConfigurationError
from emulator.terminal import DEFAULT_ENDPOINT, INTERRUPTED, Endpoint, Json, err, out, show
from emulator.timeline import TimelineEvent

__all__ = ["app"]

app = typer.Typer(
    help="Everything that happened, in order: one line an event.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

_PATH = "/_emulator/api/timeline"
_LIVE = "live"


@app.callback()
def timeline(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay, and print what comes, until Ctrl-C.")] = False,
    function: Annotated[str | None, typer.Option(help="Only of one function.")] = None,
    environment: Annotated[
        str | None, typer.Option(help="Only of one environment; the beginning of its id will do.")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(metavar="BEGINNING", help="Only such events: session, environment.frozen. Again for more."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only after event number 17, or of the last 5m on the emulator's clock.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: a line of JSON for each event.")] = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Everything that happened, in order: one line an event."""
    if context.invoked_subcommand is not None:
        return
    query: list[tuple[str, str]] = [("kind", each) for each in kind or ()]
    query += [(name, value) for name, value in (("function", function), ("environment", environment)) if value]
    number, age = _since(since)
    query += [("age", str(age))] if age is not None else []
    try:
        _print(_events(Client(endpoint), query, number, follow=follow), as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(help="A run, from up --timeline FILE or timeline --json.")],
    after: Annotated[Path, typer.Argument(help="Another one, such as after a fix.")],
    as_json: Json = False,
) -> None:
    """What changed between two runs: sessions, peaks, zombies, errors, cold starts."""
    from emulator.chronicle.comparison import compare
    from emulator.chronicle.lines import read_recording
    from emulator.timeline_screen import comparison_table

    comparison = compare(read_recording(before), read_recording(after))
    show(comparison.as_dict(), as_json, lambda: comparison_table(comparison))


@app.command()
def export(
    source: Annotated[str, typer.Argument(metavar="FILE|live", help="A run's file, or the emulator's own.")] = _LIVE,
    perfetto: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write a trace for ui.perfetto.dev or chrome://tracing.")
    ] = None,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Write a timeline in a format that other programs show."""
    from emulator.chronicle.lines import read_recording, recording_of
    from emulator.chronicle.lives import chronicle_of
    from emulator.chronicle.perfetto import trace_of

    if perfetto is None:
        raise ConfigurationError("there is nothing to write", cure="Name a file: --perfetto trace.json")
    if source == _LIVE:
        found = _events(Client(endpoint), [], 0, follow=False)
        recording = recording_of(_LIVE, (event for event in found if isinstance(event, TimelineEvent)))
    else:
        recording = read_recording(Path(source))
    trace = trace_of(chronicle_of(recording.events))
    try:
        perfetto.write_text(json.dumps(trace), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{perfetto} cannot be written: {error.strerror}", cure="Name another file with --perfetto."
        ) from error
    for note in recording.notes:
        err.print(f"! {note}", style="yellow", markup=False)
    err.print(f"written: {perfetto}; open it at https://ui.perfetto.dev", style="dim", markup=False, soft_wrap=True)


def _since(given: str | None) -> tuple[int, float | None]:
    """A number of an event, or seconds of the past."""
    from emulator.config import parse_duration

    if given is None:
        return 0, None
    return (int(given), None) if given.isascii() and given.isdigit() else (0, parse_duration(given))


def _events(
    client: Client, query: list[tuple[str, str]], since: int, *, follow: bool
) -> Iterator[TimelineEvent | tuple[int, int]]:
    """Events, and in place of those that are lost the first and the last of their numbers."""
    from emulator.chronicle.lines import event_of

    if follow:
        for message in client.messages(f"{_PATH}/stream?{urlencode([*query, ('since', str(since))])}"):
            found = json.loads(message.data)
            if message.event == "lost":
                yield found["from"], found["to"]
            else:
                yield from map(event_of, found)
        return
    more = True
    while more:
        page: dict[str, Any] = client.get(f"{_PATH}?{urlencode([*query, ('since', str(since)), ('limit', '5000')])}")
        if since < page["dropped"]:
            yield since + 1, page["dropped"]
        yield from map(event_of, page["events"])
        since, more = page["last"], page["more"]


def _print(found: Iterator[TimelineEvent | tuple[int, int]], *, as_json: bool) -> None:
    from emulator.chronicle.lines import to_line
    from emulator.timeline_screen import event_line, lost_line

    for each in found:
        if not isinstance(each, TimelineEvent):
            err.print(lost_line(*each))
        elif as_json:
            _write(to_line(each))
        elif out.is_terminal:
            out.print(event_line(each, out.width), soft_wrap=True)
        else:  # Rich would take longer than all the rest
            _write(event_line(each).plain.encode(errors="replace"))


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
