"""How environments, connections and statuses look in a terminal. Colour never carries a meaning alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from emulator.errors import EmulatorError
from emulator.spans import in_words

__all__ = [
    "STATES",
    "connections_summary",
    "doctor_table",
    "environment_of",
    "environments_table",
    "events_table",
    "freezer_table",
    "left_events",
    "log_block",
    "log_line",
    "log_origin",
    "log_parts",
    "log_text",
    "network_line",
    "network_table",
    "plain_table",
    "print_error",
    "queue_table",
    "state_text",
    "status_lines",
    "visible",
    "with_addresses",
]

_VISIBLE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\r"} | {127: 0x2421}
_CONTROL = re.compile(r"[\0-\x08\x0B-\x1F\x7F]")  # what is neither between lines nor between words
_PLATFORM = re.compile(
    r"(START|END|REPORT) RequestId: |INIT_START |INIT_REPORT |(EXTENSION|TELEMETRY|LOGS)  Name: "
    r'|\{"time":"[^"]*","type":"platform\.'
)
_TROUBLE = re.compile(  # of Lambda, and of the runtimes' own loggers, in both formats
    r"(REPORT .*|INIT_REPORT .*)Status: (error|timeout)|EXTENSION  Name: .*Error Type: "
    r"|Task timed out after \d|RequestId: \S+ Error: |\[(ERROR|CRITICAL)\]|  (ERROR|FATAL)  "
    r"|^Traceback \(most recent call last\)"
    r'|"level": ?"(?i:error|fatal|critical)"|"type":"platform\..*"status":"(error|timeout|failure)"'
)
STATES = {
    "starting": ("◌", "cyan"),
    "init": ("◔", "cyan"),
    "idle": ("○", "green"),
    "freezing": ("◍", "bright_blue"),
    "frozen": ("❄", "bold bright_blue"),
    "thawing": ("◍", "yellow"),
    "invoking": ("●", "bold green"),
    "resetting": ("↻", "bold yellow"),
    "shutting-down": ("◐", "magenta"),
    "gone": ("✝", "dim"),
}
"""A sign and a style for each state of an environment."""

_NAME, _SANDBOX = 1, 3  # columns of environments
_LEFT_OUT = (_SANDBOX, 7, 4, 5, 6)


def visible(text: str) -> str:
    """With signs in place of control characters, which would act on a terminal instead of being seen."""
    return text.translate(_VISIBLE | {9: 0x2409, 13: 0x240D})


def state_text(state: str | None) -> Text:
    """A state with its sign, as everywhere on the screen."""
    if state is None:
        return Text("–", "dim")
    sign, style = STATES.get(state, ("?", ""))
    return Text(f"{sign} {state}", style)


def environments_table(environments: Sequence[Mapping[str, Any]]) -> RenderableType:
    """One line an environment, or how to get the first one."""
    if not environments:
        return Text("No execution environments. The first invocation of a function starts one.", "dim")
    kind = environments[0]["sandbox"]["kind"].upper()  # an emulator has one
    headings = ("ENV", "FUNCTION", "STATE", kind, "CALLS", "IDLE", "SESSIONS", "MEMORY")
    return _Environments(headings, [_environment(entry) for entry in environments])


def _environment(entry: Mapping[str, Any]) -> tuple[Text, ...]:
    return (
        Text(entry["id"][:8]),
        Text(entry["function"]),
        state_text(entry["state"]),
        Text(entry["sandbox"]["id"][:8] or "–", "dim"),
        Text(str(entry["invocations"])),
        Text(in_words(entry["idle_seconds"]) if entry["idle_seconds"] else "–"),
        Text("–" if entry["connections"] is None else str(entry["connections"])),
        Text(f"{entry['memory_bytes'] / 2**20:.0f} MB"),
    )


class _Environments:
    """A table that leaves out what matters least, where not all of it has room: whose each is and its state stay."""

    def __init__(self, headings: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
        self._headings = headings
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept = list(range(len(self._headings)))
        for column in _LEFT_OUT:
            if sum(self._room(each) for each in kept) <= options.max_width:
                break
            kept.remove(column)
        table = plain_table(*(self._headings[column] for column in kept))
        for heading, column in zip(table.columns, kept, strict=True):
            heading.no_wrap = column != _NAME
            heading.overflow = "fold"
            heading.justify = "right" if column > _SANDBOX else "left"
        for row in self._rows:
            table.add_row(*(row[column] for column in kept))
        yield table

    def _room(self, column: int) -> int:
        widest = max(len(self._headings[column]), *(row[column].cell_len for row in self._rows))
        return (min(widest, 16) if column == _NAME else widest) + 2  # a long name goes on in the next line


def events_table(events: Sequence[Mapping[str, Any]]) -> RenderableType:
    """What happened, one line an event."""
    if not events:
        return Text("Nothing was due.", "dim")
    table = plain_table("WHAT", "FUNCTION", "ENVIRONMENT", "WHY")
    for event in events:
        table.add_row(event["kind"], event["function"] or "–", (event["environment"] or "–")[:8], Text(event["reason"]))
    return table


def queue_table(events: Sequence[Mapping[str, Any]]) -> RenderableType:
    """One line an asynchronous event that is not done."""
    if not events:
        return Text("No event waits.", "dim")
    table = plain_table("REQUEST", "FUNCTION", "STATE", "TRIES", "WHY", "PAYLOAD")
    for column in (0, 2, 3):
        table.columns[column].no_wrap = True
    table.columns[3].justify = "right"
    for event in events:
        table.add_row(
            event["request_id"][:8],
            event["function"],
            event["state"],
            str(event["attempts"]),
            Text(event["reason"]),
            Text(_short(event["payload"], 30), "dim"),
        )
    return table


def left_events(events: Sequence[Mapping[str, Any]], kept_in: str | None = None) -> RenderableType:
    """Asynchronous events that a stop has left undone; with what they carry, where it is the last one hears of them.

    Arguments:
        kept_in: the folder in which they wait for the next start.
    """
    if kept_in is not None:
        return Text(f"{len(events)} asynchronous events are not done, and are kept in {kept_in}", "dim")
    lines = [Text(f"{len(events)} asynchronous events are not done, and are not kept:", "yellow")]
    for event in events:
        lines.append(Text(f"{event['function']} {event['request_id']} {event['state']}: {event['reason']}"))
        lines.append(Text(f"  {_short(event['payload'], 2000)}", "dim"))
    return Group(*lines)


def _short(payload: str, limit: int) -> str:
    shown = payload.translate(_VISIBLE)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def connections_summary(summary: Mapping[str, Any]) -> Text:
    """The counts of a list of connections, in one line."""
    return Text.assemble(
        (f"{summary['connected']} of {summary['max_connections']} connections", "bold"),
        f" · {summary['active']} active · {summary['sleeping']} asleep · ",
        (
            f"{summary['zombies']} zombie{'' if summary['zombies'] == 1 else 's'}",
            "bold red" if summary["zombies"] else "",
        ),
        f" · wait_timeout {in_words(summary['wait_timeout'])}",
    )


def environment_of(session: Mapping[str, Any]) -> Text:
    """The state of the environment behind a session; the worst one has a word of its own."""
    return Text("✝ zombie", "bold red") if session["zombie"] else state_text(session["environment_state"])


def freezer_table(freezer: Mapping[str, Any]) -> RenderableType:
    """The freezer in force, and the ladder it was chosen from."""
    table = plain_table("FREEZER", "", "FREEZE", "THAW", "")
    table.columns[2].justify = table.columns[3].justify = "right"
    for rung in freezer["rungs"]:
        in_force = rung["name"] == freezer["name"]
        table.add_row(
            Text(rung["name"], "bold" if in_force else ""),
            Text("✓", "green") if rung["available"] else Text("✗", "red"),
            _microseconds(rung["freeze_us"]),
            _microseconds(rung["thaw_us"]),
            Text(
                "in force" if in_force else "" if rung["available"] else rung["reason"],
                "" if in_force else "dim",
            ),
        )
    return table


def network_table(network: Mapping[str, Any]) -> RenderableType:
    """How silent a frozen environment's network is, and the means that were tried."""
    table = plain_table("NETWORK", "", "OFF", "ON", "")
    table.columns[2].justify = table.columns[3].justify = "right"
    for rung in network["rungs"]:
        table.add_row(
            rung["name"],
            Text("✓", "green") if rung["available"] else Text("✗", "red"),
            _microseconds(rung["off_us"]),
            _microseconds(rung["on_us"]),
            Text("in force" if rung["name"] == network["mechanism"] else "" if rung["available"] else rung["reason"]),
        )
    return Group(table, network_line(network))


def network_line(network: Mapping[str, Any]) -> Text:
    """Fidelity, the means, and what is not covered, in a sentence."""
    style = {"full": "green", "death-only": "yellow"}.get(network["fidelity"], "red")
    note = f"; {network['note']}" if network["note"] else ""
    return Text.assemble("fidelity ", (network["fidelity"], style), f", by {network['mechanism']}{note}")


def status_lines(
    status: Mapping[str, Any], functions: Sequence[str] = (), more: Sequence[tuple[str, str]] = ()
) -> RenderableType:
    """The few lines that ``up`` begins with; ``more`` are those of the command itself."""
    freezer = status["freezer"]
    cost = next((r["freeze_us"] for r in freezer["rungs"] if r["name"] == freezer["name"]), None)
    how = f"{freezer['name']}, {_microseconds(cost)} a freeze" if cost else freezer["name"]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    grid.add_row("sandbox", status["sandbox"])
    grid.add_row("freezer", how)
    grid.add_row("network", network_line(status["network"]))
    profile = f", with the limits of {status['profile']}" if status["profile"] else ""
    grid.add_row("database", f"{status['database'] or 'none'}{profile}")
    grid.add_row("logs", status["log_folder"])
    if status["timeline_file"]:
        grid.add_row("timeline", status["timeline_file"])
    if status["speed"] != 1:
        grid.add_row("clock", f"{status['speed']:g} times as fast; processes live in real time")
    if functions:
        grid.add_row("function", ", ".join(functions))
    for label, told in _addresses(status):
        grid.add_row(label, told)
    for label, line in more:
        grid.add_row(label, line)
    for note in status["notes"]:
        grid.add_row("note", note)
    return grid


def with_addresses(table: RenderableType, status: Mapping[str, Any]) -> RenderableType:
    """A table, and below it where functions answer HTTP requests; alone where none does."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for label, told in _addresses(status):
        grid.add_row(label, told)
    return Group(table, Text(), grid) if grid.row_count else table


def doctor_table(checks: Sequence[tuple[str, bool, str, str]]) -> RenderableType:
    """Rows of what was looked at, whether it is fine, what was found, and the cure."""
    table = plain_table("", "", "FOUND", "CURE")
    for name, fine, found, cure in checks:
        table.add_row(name, Text("✓", "green") if fine else Text("✗", "bold red"), found, Text(cure, "yellow"))
    return table


def log_parts(line: str) -> tuple[str, str]:
    """One line of a function's log, made harmless, and its style: Lambda's own are dim, and trouble is red."""
    # Control characters would act on the terminal instead of being seen; the file and the tail have them as they are.
    # A carriage return is how AWS's runtime client writes a line break inside one event, such as a traceback.
    text = line.rstrip("\r").translate(_VISIBLE).replace("\t", "  ").replace("\r", "\n  ")
    return text, "red" if _TROUBLE.search(text) else "dim" if _PLATFORM.match(text) else ""


def log_origin(environment: str, function: str | None = None) -> tuple[str, str]:
    """Where a line comes from, and its style; ``function`` where there are several."""
    return (f"{environment[:8]} ", "dim") if function is None else (f"{function} {environment[:4]} ", "cyan")


def log_block(origin: str, lines: str) -> str:
    """Whole lines of a function's log without styles, each with where it comes from in front.

    It says what :func:`log_parts` says of each of them, at a tenth of the cost.
    """
    lines = lines.removesuffix("\n")
    if _CONTROL.search(lines):
        return "".join([f"{origin}{log_parts(line)[0]}\n" for line in lines.split("\n")])
    shown = lines.replace("\t", "  ").replace("\n", f"\n{origin}")
    return f"{origin}{shown}\n"


def log_text(line: str) -> Text:
    """One line of a function's log."""
    return Text(*log_parts(line))


def log_line(environment: str, line: str, function: str | None = None) -> Text:
    """The same with where it comes from in front."""
    return Text.assemble(log_origin(environment, function), log_text(line))


def print_error(console: Console, error: EmulatorError) -> None:
    """What happened and what can be done; unwrapped where no terminal is there to wrap for."""
    console.print(Text.assemble(("✗ ", "bold red"), error.message), soft_wrap=not console.is_terminal)
    if error.cure:
        console.print(Text.assemble(("  → ", "bold yellow"), error.cure), soft_wrap=not console.is_terminal)


def plain_table(*columns: str) -> Table:
    """A table without lines, its headings dim."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column)
    return table


def _addresses(status: Mapping[str, Any]) -> list[tuple[str, Text]]:
    urls = [("url", Text.assemble(name, "  ", (address, "cyan"))) for name, address in status["urls"].items()]
    routes = [("route", Text.assemble(key, "  ", (name, "cyan"))) for key, name in status["routes"].items()]
    ports = [("debug", Text.assemble(name, "  ", (port, "cyan"))) for name, port in status["debug_ports"].items()]
    return urls + routes + ports


def _microseconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value / 1000:.1f} ms" if value >= 1000 else f"{value:.0f} µs"
