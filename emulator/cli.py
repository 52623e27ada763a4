"""The command line. Exit status: 0 fine, 1 the function failed, 2 wrong usage or no emulator.

The room is long because it is one list: the commands and their options, each a few lines; the work is done below.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

import typer
from rich.text import Text

from emulator import screen, timeline_commands
from emulator.api.event_stream import Event
from emulator.client import Client
from emulator.errors import ConfigurationError, EmulatorError
from emulator.interrupts import reading_modules
from emulator.printer import LogPrinter, print_if_read
from emulator.session_words import sessions_list
from emulator.terminal import DEFAULT_ENDPOINT, FUNCTION_FAILED, INTERRUPTED, USAGE, Endpoint, Json, err, out
from emulator.terminal import show as _show
from emulator.timeline import TimelineEvent
from emulator.version import VERSION

if TYPE_CHECKING:
    from emulator.config import Settings

__all__ = ["main"]

app = typer.Typer(
    name="lambda-freezer",
    help="A local AWS Lambda emulator that really freezes execution environments between invocations.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(timeline_commands.app, name="timeline")
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Stay, and draw it again whenever something changes.")]


@app.command()
def up(
    template: Annotated[
        Path | None, typer.Argument(help="An AWS SAM or CloudFormation template, besides the configuration.")
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", metavar="NAME=VALUE", help="A parameter of the template; may be repeated."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(envvar="LAMBDA_FREEZER_CONFIG", help="The file to read [lambda-freezer.toml]."),
    ] = None,
    host: Annotated[str | None, typer.Option(envvar="LAMBDA_FREEZER_HOST", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(envvar="LAMBDA_FREEZER_PORT", help="Port to listen on.")] = None,
    sandbox: Annotated[
        str | None, typer.Option(envvar="LAMBDA_FREEZER_SANDBOX", help="auto, container or process.")
    ] = None,
    freezer: Annotated[
        str | None, typer.Option(envvar="LAMBDA_FREEZER_FREEZER", help="auto, or a rung of the ladder.")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="LAMBDA_FREEZER_DATABASE",
            help="auto, local, docker, none or mysql://USER:PASSWORD@HOST/DB.",
        ),
    ] = None,
    debug_port: Annotated[
        int | None,
        typer.Option(
            envvar="LAMBDA_FREEZER_DEBUG_PORT", min=1, max=65_535, help="Where a debugger can attach to the function."
        ),
    ] = None,
    debug_function: Annotated[
        str | None,
        typer.Option(envvar="LAMBDA_FREEZER_DEBUG_FUNCTION", help="Which function, where there are several."),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            envvar="LAMBDA_FREEZER_SPEED", help="How fast the emulator's clock runs: 60 makes an hour a minute."
        ),
    ] = None,
    timeline: Annotated[
        Path | None,
        typer.Option(
            envvar="LAMBDA_FREEZER_TIMELINE",
            metavar="FILE",
            help="Write everything that happens to a file, a line of JSON each; one that is there is replaced.",
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            envvar="LAMBDA_FREEZER_STATE",
            metavar="DIR",
            help="Keep what comes by the API, and pending events, for the next start [memory only].",
        ),
    ] = None,
) -> None:
    """Start the emulator and stay until Ctrl-C."""
    gc.disable()  # until all is there, see _calm_collector
    with reading_modules():
        import uvloop

        from emulator.config import load_settings

    given = {"host": host, "port": port, "sandbox": sandbox, "freezer": freezer, "speed": speed}
    changes: dict[str, dict[str, Any]] = {"emulator": {k: v for k, v in given.items() if v is not None}}
    if timeline is not None:
        changes["emulator"]["timeline_file"] = timeline.resolve()
    if state is not None:
        changes["emulator"]["state"] = state.resolve()
    if database is not None:
        changes["database"] = {"server": database}
    settings, base = load_settings(config)
    settings = settings.with_values(changes)
    _raise_file_limit()
    with contextlib.ExitStack() as stack:
        rows: Sequence[tuple[str, str]] = ()
        if template is not None:
            settings, rows = _with_template(settings, template, parameter or [], stack)
        elif parameter:
            raise ConfigurationError("--parameter without a template", cure="lambda-freezer up template.yaml")
        settings = _with_debugger(settings, debug_port, debug_function)
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        runner.run(_up(settings, base, rows))


def _with_debugger(settings: Settings, port: int | None, function: str | None) -> Settings:
    if port is not None:
        return settings.with_debugger(port, function)
    if function is not None:
        raise ConfigurationError("--debug-function without a port", cure="Add --debug-port 5678.")
    return settings


def _with_template(
    settings: Settings, path: Path, parameters: Sequence[str], stack: contextlib.ExitStack
) -> tuple[Settings, Sequence[tuple[str, str]]]:
    """The settings with what a template describes, and what is told of it; inline code goes with the stack."""
    with reading_modules():
        from emulator.template import is_template, read_template

    if not is_template(path):
        raise ConfigurationError(f"{path} is no template", cure=f"A configuration is named with --config {path}.")
    if wrong := next((given for given in parameters if "=" not in given), None):
        raise ConfigurationError(f"the parameter {wrong!r} has no value", cure="Write --parameter NAME=VALUE.")
    values = dict(given.split("=", 1) for given in parameters)
    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lambda-freezer-template-")))
    scratch.chmod(0o755)  # functions in containers run as another user
    emulator = settings.emulator
    found = read_template(path, values, scratch, region=emulator.region, account=emulator.account)
    settings = settings.with_template(found.tables, str(path))
    rows = [("schedule", f"{table['expression']}  {table['function']}") for table in found.tables["schedules"]]
    rows.append(("template", str(path)))
    if found.passed_over:
        rows.append(("passed over", ", ".join(found.passed_over)))
    return settings, rows


@app.command()
def invoke(
    function: Annotated[str, typer.Argument(help="Name or ARN.")],
    payload: Annotated[str, typer.Option("--payload", "-p", help="JSON; @FILE reads a file, - standard input.")] = "{}",
    event: Annotated[bool, typer.Option("--event", help="Asynchronously: do not wait for the result.")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Print the response piece by piece, as it comes.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Show the log of the invocation.")] = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Invoke a function and print what it answers."""
    if not function:
        raise ConfigurationError("the name of the function is empty", cure="lambda-freezer ps names those that run.")
    if stream:
        if event:
            raise ConfigurationError("nothing of an event's result can be printed", cure="Leave --event or --stream.")
        _print_stream(Client(endpoint).invoke_stream(function, _payload(payload), tail=log))
        return
    kind = "Event" if event else "RequestResponse"
    response = Client(endpoint).invoke(function, _payload(payload), kind=kind, tail=log and not event)
    response.check_invocation()
    if (tail := response.headers.get("x-amz-log-result")) is not None:
        _show_log(tail)
    if response.status == 202:
        err.print("accepted", style="dim")
        return
    sys.stdout.write(response.body.decode("utf-8", "replace") + "\n")
    if "x-amz-function-error" in response.headers:
        raise typer.Exit(FUNCTION_FAILED)


@app.command()
def ps(
    function: Annotated[str | None, typer.Option(help="Only those of one function.")] = None,
    watched: Watch = False,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Execution environments, and what state each is in."""
    query = f"?{urlencode({'function': function})}" if function else ""
    client = Client(endpoint)

    def found() -> dict[str, Any]:
        return dict(client.get(f"/_emulator/api/environments{query}"))

    def table(answer: dict[str, Any]) -> Any:
        return screen.with_addresses(
            screen.environments_table(answer["environments"]), client.get("/_emulator/api/status")
        )

    _show_or_watch("lambda-freezer ps", client, found, table, watched=watched, as_json=as_json)


@app.command()
def logs(
    function: Annotated[str, typer.Argument(help="Its name.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay, and print what comes, until Ctrl-C.")] = False,
    environment: Annotated[
        str | None, typer.Option(help="Only of one environment; the beginning of its id will do.")
    ] = None,
    tail: Annotated[int | None, typer.Option(min=0, help="Only so many lines of what there is already.")] = None,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """What a function's environments have written, in the order in which it came."""
    if not function:
        raise ConfigurationError("the name of the function is empty", cure="lambda-freezer ps names those that run.")
    in_colour = out.is_terminal and not as_json
    query = {"format": "json" if as_json or in_colour else "text", "follow": str(follow).lower()}
    query |= {"environment": environment} if environment is not None else {}
    query |= {"tail": str(tail)} if tail is not None else {}
    pieces = Client(endpoint).stream(f"/_emulator/api/functions/{quote(function, safe='')}/logs?{urlencode(query)}")
    try:
        if in_colour:
            _print_lines(pieces)
        else:
            for piece in pieces:  # as it is: a function may print what is no text
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


@app.command()
def connections(watched: Watch = False, as_json: Json = False, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """The database's sessions: what each does, in which environment, and when the server drops it."""
    client = Client(endpoint)

    def found() -> dict[str, Any]:
        return dict(client.get("/_emulator/api/connections"))

    def table(answer: dict[str, Any]) -> Any:
        return sessions_list(answer["connections"], answer["summary"])

    _show_or_watch("lambda-freezer connections", client, found, table, watched=watched, as_json=as_json)


@app.command()
def metrics(endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Everything that is counted, in Prometheus' text format."""
    for piece in Client(endpoint).stream("/_emulator/metrics"):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


@app.command()
def zombies(
    kill: Annotated[bool, typer.Option("--kill", help="Have the server end them.")] = False,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """The database's sessions whose environment is gone: what they lock, and when the server drops them."""
    client = Client(endpoint)
    if kill:
        found = client.post("/_emulator/api/zombies/kill")
        ended = len(found["killed"])
        _show(found, as_json, lambda: Text(f"{ended} zombie{'' if ended == 1 else 's'} ended"))
        return
    found = client.get("/_emulator/api/connections")
    found["connections"] = [session for session in found["connections"] if session["zombie"]]
    _show(found, as_json, lambda: sessions_list(found["connections"], found["summary"], "No zombies."))


@app.command()
def queue(
    function: Annotated[str | None, typer.Option(help="Only those of one function.")] = None,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Asynchronous events that were accepted and are not done, and what each waits for."""
    query = f"?{urlencode({'function': function})}" if function else ""
    found = Client(endpoint).get(f"/_emulator/api/queue{query}")
    _show(found, as_json, lambda: screen.queue_table(found["events"]))


@app.command()
def fast_forward(
    span: Annotated[str, typer.Argument(help="How much time to skip: 8h, 1h30m, 90s.")],
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Skip time: environments, paths and sessions age, and what is due happens."""
    from emulator.config import parse_duration

    found = Client(endpoint).post("/_emulator/api/fast-forward", {"seconds": parse_duration(span)})
    _show(found, as_json, lambda: screen.events_table(found["caused"]))


@app.command()
def recycle(
    name: Annotated[str, typer.Argument(help="A function, or an environment (the beginning of its id will do).")],
    reclaim: Annotated[
        str | None, typer.Option(help="What becomes of connections: silent, fin, rst or graceful [the policy's].")
    ] = None,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """End environments: idle ones now, busy ones when their invocation is over."""
    if not name:
        raise ConfigurationError("the name is empty", cure="Name a function, or an environment as ps shows it.")
    client = Client(endpoint)
    environments = client.get("/_emulator/api/environments")["environments"]
    is_environment = any(entry["id"].startswith(name) for entry in environments)
    is_function = any(entry["function"] == name for entry in environments)
    kind = "environments" if is_environment and not is_function else "functions"
    found = client.post(f"/_emulator/api/{kind}/{quote(name, safe='')}/recycle", {"reclaim": reclaim})

    def told() -> Text:
        parts = [f"{len(found['recycled'])} recycled"]
        if found["when_parked"]:
            parts.append(f"{len(found['when_parked'])} will be, when their invocation is over")
        return Text(", ".join(parts))

    _show(found, as_json, told)


@app.command()
def simulate(
    trace: Annotated[
        Path | None, typer.Option(help="Events from a file: CSV, JSON lines, or counts a minute of the Azure trace.")
    ] = None,
    poisson: Annotated[
        str | None, typer.Option(metavar="RATE", help="Events at random: 2 (a second), 30/m, 100/h.")
    ] = None,
    duration: Annotated[str | None, typer.Option(help="How long, or how much of the trace: 24h [24h].")] = None,
    burst: Annotated[int, typer.Option(min=1, help="With --poisson: so many events at each moment.")] = 1,
    function: Annotated[
        list[str] | None, typer.Option(help="Only this one of the trace; or one that gets the rate. Again for more.")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="aws, or aws,idle_timeout=20m, or module:Class; again for more [the configuration's]."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(envvar="LAMBDA_FREEZER_CONFIG", help="The file to read [lambda-freezer.toml].")
    ] = None,
    service_time: Annotated[
        str, typer.Option(metavar="LENGTH", help="200ms, 50ms..200ms, exp:200ms, lognormal:200ms,0.5.")
    ] = "100ms",
    init_time: Annotated[str, typer.Option(metavar="LENGTH", help="Of a cold start; written likewise.")] = "400ms",
    connections_per_environment: Annotated[int, typer.Option(min=0, help="That each opens and keeps.")] = 1,
    max_connections: Annotated[
        int | None, typer.Option(min=1, help="Of the server [the configuration's, or 151].")
    ] = None,
    wait_timeout: Annotated[str, typer.Option(help="Of the server.")] = "8h",
    reclaim: Annotated[
        str | None, typer.Option(help="What becomes of connections: silent, fin, rst or graceful [the policy's].")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of all that is drawn [the configuration's, or 0].")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it as well: .svg or .png.")] = None,
    as_json: Json = False,
) -> None:
    """How many environments and connections a workload would need, by policy. Runs no function."""
    with reading_modules():
        from rich.progress import Progress

        from emulator.config import load_settings
        from emulator.simulation.plot import check_plot, draw
        from emulator.simulation.study import Study, Wish
        from emulator.simulation.table import comparison

    if plot is not None:
        check_plot(plot)
    wish = Wish(
        trace=trace,
        poisson=poisson,
        duration=duration,
        burst=burst,
        functions=function or (),
        policies=policy or (),
        service_time=service_time,
        init_time=init_time,
        connections_per_environment=connections_per_environment,
        max_connections=max_connections,
        wait_timeout=wait_timeout,
        reclaim=reclaim,
        seed=seed,
    )
    study = Study(wish, *load_settings(config))
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("simulating", total=study.events)
        results = study.run(lambda events: progress.update(task, completed=events))
    source = study.workload.source
    found = {
        "source": source,
        "seed": study.seed,
        "assumptions": study.assumptions,
        "results": [result.as_dict() for result in results],
    }
    _show(found, as_json, lambda: comparison(source, results, study.assumptions))
    if plot is not None:
        draw(results, source, plot)
        err.print(Text(f"drawn: {plot}", "dim"))


@app.command()
def audit(
    function: Annotated[str, typer.Argument(help="Its name in the configuration, or the folder of its code.")],
    payload: Annotated[str, typer.Option("--payload", "-p", help="JSON; @FILE reads a file, - standard input.")] = "{}",
    config: Annotated[
        Path | None, typer.Option(envvar="LAMBDA_FREEZER_CONFIG", help="The file to read [lambda-freezer.toml].")
    ] = None,
    handler: Annotated[str | None, typer.Option(help="Of a folder: module.function [app.handler].")] = None,
    conditions: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Only these, with commas: warm,nat,storm=25 [all].")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Database to reckon with: db.t3.micro, aurora:db.r5.large.")
    ] = None,
    max_connections: Annotated[int | None, typer.Option(min=1, help="The same, as a number.")] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Environments at once [what it reserves, or 10].")
    ] = None,
    pool: Annotated[
        int | None, typer.Option(min=1, help="Reckon with so many sessions for each [as measured].")
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the verdict as JUnit XML, too.")] = None,
    as_json: Json = False,
) -> None:
    """What a function does to its database under all that happens on AWS, and the cure; exit status 1 with findings."""
    with reading_modules():
        from rich.progress import Progress

        from emulator.audit import run
        from emulator.config import load_settings

    settings, base = load_settings(config)
    plan = run.plan_of(
        function,
        _payload(payload),
        settings,
        base,
        handler=handler,
        conditions=[name.strip() for name in conditions.split(",")] if conditions else (),
        profile=profile,
        max_connections=max_connections,
        concurrency=concurrency,
        pool=pool,
    )
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("starting an emulator and a database server", total=None)
        verdict = run.audit(
            plan, base, lambda what, done, of: progress.update(task, description=what, completed=done, total=of)
        )
    if junit is not None:
        verdict.write_junit(junit)
    _show(verdict.as_dict(), as_json, verdict.screen)
    if verdict.has_findings:
        raise typer.Exit(FUNCTION_FAILED)


@app.command()
def lesson(
    name: Annotated[str | None, typer.Argument(help="Which one: its name or its number, or all.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="What there is.")] = False,
    questions: Annotated[bool, typer.Option(help="Guess before it is shown; only with keys.")] = True,
    keys: Annotated[
        bool | None, typer.Option(help="A screen for each idea, one key at a time [where there is a terminal].")
    ] = None,
    sandbox: Annotated[
        str, typer.Option(envvar="LAMBDA_FREEZER_SANDBOX", help="process, or container, which takes longer.")
    ] = "process",
    port: Annotated[int, typer.Option(help="Of the lesson's emulator, to watch it [any free one].")] = 0,
) -> None:
    """Frozen environments and database connections, shown by running them; sixteen short lessons."""
    with reading_modules():
        from emulator.lessons.catalogue import find_lessons
        from emulator.lessons.command import list_lessons, run_lessons

    if listed or name is None:
        list_lessons(out)
        return
    if keys and not (sys.stdin.isatty() and out.is_terminal):
        raise ConfigurationError("there is no terminal to press keys at", cure="Leave --keys out.")
    run_lessons(find_lessons(name), out, questions=questions, keys=keys, sandbox=sandbox, port=port)


@app.command()
def report(
    file: Annotated[Path, typer.Option("--out", metavar="FILE", help="The page to write.")] = Path("report.html"),
    timeline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of a run that is over: its timeline, a line of JSON an event.")
    ] = None,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """One file with all that a run has shown, to look at anywhere: timeline, charts, tables and verdicts."""
    with reading_modules():
        from emulator.report import read_run, run_of, write_report

    run = read_run(timeline) if timeline is not None else run_of(Client(endpoint))
    write_report(run, file)
    err.print(Text(f"written: {file}, {len(run.events):,} events", "dim"))


@app.command()
def doctor(as_json: Json = False) -> None:
    """What works on this machine, how faithfully, and what would make it better."""
    with reading_modules():
        from emulator.doctor import examine

    found = asyncio.run(examine())

    def table() -> Any:
        out.print(screen.doctor_table([(c.name, c.fine, c.found, c.cure) for c in found.checks]))
        for kind, report in found.freezers.items():
            out.print()
            out.print(Text(f"{kind} sandboxes", "bold"))
            out.print(screen.freezer_table(asdict(report)))
            out.print(screen.network_table(asdict(found.networks[kind])))
        return Text("")

    _show(asdict(found), as_json, table)


@app.command()
def version() -> None:
    """Print the version."""
    sys.stdout.write(f"lambda-freezer {VERSION}\n")


def main() -> None:
    """The program: every error of ours is one message and an exit status, never a traceback."""
    try:
        app(standalone_mode=True)
    except EmulatorError as error:
        screen.print_error(err, error)
        raise SystemExit(USAGE) from error
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read our output has enough of it. Python would complain once more when it flushes.
        sys.stderr.close()
        raise SystemExit(0) from None


def _print_stream(events: Iterable[Event]) -> None:
    """Bytes as they are, at once; what the last event tells goes to standard error."""
    last = b""
    for event in events:
        if event.kind == "PayloadChunk":
            sys.stdout.buffer.write(event.payload)
            sys.stdout.buffer.flush()
            last = event.payload
            continue
        if not last.endswith(b"\n") and sys.stdout.isatty():
            sys.stdout.write("\n")  # for the prompt that comes next
        outcome = json.loads(event.payload)
        if "LogResult" in outcome:
            _show_log(outcome["LogResult"])
        if "ErrorCode" in outcome:
            told = outcome["ErrorDetails"]
            why = "the response is the error" if told.encode() == last else told
            err.print(Text(f"{outcome['ErrorCode']}: {why}", "red"), soft_wrap=True)
            raise typer.Exit(FUNCTION_FAILED)


def _show_log(tail: str) -> None:
    for line in base64.b64decode(tail).decode("utf-8", "replace").removesuffix("\n").split("\n"):
        err.print(screen.log_text(line), soft_wrap=True)


def _payload(given: str) -> bytes:
    try:
        if given == "-":
            return sys.stdin.buffer.read()
        if given.startswith("@"):
            return Path(given[1:]).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the payload cannot be read: {error}", cure="@FILE names a file with JSON."
        ) from error
    return given.encode()


def _show_or_watch(
    title: str,
    client: Client,
    find: Callable[[], dict[str, Any]],
    table: Callable[[dict[str, Any]], Any],
    *,
    watched: bool,
    as_json: bool,
) -> None:
    if not watched:
        found = find()
        _show(found, as_json, lambda: table(found))
        return
    if as_json:
        raise ConfigurationError(
            "--watch draws a table, and --json is for programs",
            cure="timeline --follow --json tells a program of every change.",
        )
    from emulator.watching import watch

    try:
        watch(out, client, title, lambda: table(find()))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _print_lines(pieces: Iterable[bytes]) -> None:
    rest = b""
    for piece in pieces:
        *entries, rest = (rest + piece).split(b"\n")
        for found in map(json.loads, entries):
            out.print(screen.log_line(found["environment"], found["line"]), soft_wrap=True)


def _raise_file_limit() -> None:
    """As many open files as we may: an environment takes about ten, a connection through the relay two more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _up(settings: Settings, base: Path, rows: Sequence[tuple[str, str]]) -> None:
    """Until Ctrl-C or SIGTERM, also in the middle of starting. A second Ctrl-C does not wait for anything."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping:
            os._exit(INTERRUPTED)  # the warden ends what is left
        stopping = True
        print_if_read(err, Text("stopping", "dim"))
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        with LogPrinter(out) as printer:
            await _serve(settings, base, printer, rows)
    except asyncio.CancelledError:
        if not stopping:
            raise


async def _serve(settings: Settings, base: Path, printer: LogPrinter, rows: Sequence[tuple[str, str]]) -> None:
    from emulator.api.app import ApiServer
    from emulator.service import Service

    service = Service(settings, base, log_sink=printer.put)
    server = ApiServer(service, host=settings.emulator.host, port=settings.emulator.port)
    with contextlib.closing(server):
        server.bind()
        err.print(Text("starting sandboxes and database", "dim"))
        async with service, server:
            service.timeline.listen(lambda event: _note_trouble(event, printer), lambda kind: kind.endswith(".trouble"))
            service.timeline.listen(lambda event: printer.say(_told(event)), _TOLD.__contains__)
            out.print(Text.assemble(("lambda-freezer ", "bold"), (server.url, "bold cyan")))
            names = [function.name for function in service.functions]
            kept_in = str(service.state.path) if service.state is not None else None
            if kept_in is not None:
                rows = [*rows, ("state", kept_in)]
            out.print(screen.status_lines(asdict(service.status()), names, rows))
            if not service.functions:
                out.print(
                    Text("no functions: describe them in lambda-freezer.toml, see docs/configuration.md", "yellow")
                )
            server.prepare()
            _calm_collector()
            try:
                await asyncio.Event().wait()
            finally:
                await service.stop_intake()
                if service.left:
                    print_if_read(err, screen.left_events([asdict(event) for event in service.left], kept_in))


def _calm_collector() -> None:
    """What is there now stays until the end; nobody need look through it again in the middle of an invocation.

    Most of what is made later lives as long as an invocation and is freed without a collector. The rest is the
    timeline, which has no cycles.
    """
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


_TOLD = frozenset({"debugger.attached", "debugger.detached", "function.changed"})


def _told(event: TimelineEvent) -> str:
    """What is nobody's trouble, and nice to know."""
    if event.kind == "function.changed":
        return f"{event.function}: {event.reason}; the next invocation runs the new code"
    return f"{event.function} {(event.environment or '')[:4]}: {event.kind.replace('.', ' ')}: {event.reason}"


def _note_trouble(event: TimelineEvent, printer: LogPrinter) -> None:
    """What went wrong beside invocations, and would else be found by nobody who does not look for it."""
    where = f"{event.function} {event.environment[:4]}: " if event.environment is not None else ""
    printer.note(where + event.reason.replace("\n", "\n  → "))
