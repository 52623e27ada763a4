"""Configuration: what a file may say, and how a wrong one is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator.config import (
    PolicySettings,
    Settings,
    load_settings,
    make_policy,
    make_pressure,
    parse_duration,
    policy_settings,
    policy_table,
)
from emulator.errors import ConfigurationError
from emulator.event_settings import Asynchronous
from emulator.http_events.routes import HttpRoute
from emulator.model import Reclaim
from emulator.policies import (
    AfterError,
    Chance,
    EvictionOrder,
    HalfOfIdle,
    Histogram,
    IdleTimeout,
    MaxInvocations,
    MaxLifetime,
    MemoryPressure,
    Policy,
    Selection,
)
from emulator.urls import Cors, UrlSettings

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a configuration file and answers its path."""

    def write_file(content: str) -> Path:
        path = tmp_path / "lambda-freezer.toml"
        path.write_text(content, encoding="utf-8")
        return path

    return write_file


def refusal(path: Path) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    return caught.value


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file in the working directory is no error: the port SAM users know, and AWS's example account."""
    monkeypatch.chdir(tmp_path)
    settings, base = load_settings(None)
    assert settings == Settings()
    assert base == tmp_path
    emulator = settings.emulator
    assert (emulator.host, emulator.port, emulator.sandbox) == ("127.0.0.1", 3001, "auto")
    assert (emulator.account, emulator.region) == ("123456789012", "us-east-1")
    assert settings.database.server == "auto"
    assert settings.policy.name == "aws"


def test_the_file_of_the_working_directory_is_found(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in it are relative to where it lies."""
    path = write("[emulator]\nport = 4001\n")
    monkeypatch.chdir(path.parent)
    settings, base = load_settings(None)
    assert settings.emulator.port == 4001
    assert base == path.parent


ONE = {"orders": {"code": "functions/orders"}}
TWO = {**ONE, "carts": {"code": "functions/carts"}}


@pytest.mark.parametrize(("functions", "name"), [(ONE, None), (ONE, "orders"), (TWO, "orders")])
def test_a_debugger_is_for_one_function(functions: dict[str, Any], name: str | None, tmp_path: Path) -> None:
    """The only one, or the one that is named; it need not have been described with a port."""
    settings = Settings.model_validate({"functions": functions}).with_debugger(5678, name)
    found = {function.name: function.debug_port for function in settings.make_functions(tmp_path)}
    assert found == {**dict.fromkeys(functions, None), "orders": 5678}


@pytest.mark.parametrize(
    ("functions", "name", "complaint"),
    [
        (TWO, None, "there are several: orders, carts"),
        (TWO, "books", "there is no such function"),
        ({}, None, "without any function"),
    ],
)
def test_a_debugger_for_nobody_is_refused(functions: dict[str, Any], name: str | None, complaint: str) -> None:
    """With what there is to choose from."""
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        Settings.model_validate({"functions": functions}).with_debugger(5678, name)
    assert caught.value.cure


def test_a_whole_file_becomes_settings_and_functions(write: Write) -> None:
    """Every table, with a function's paths made absolute and its policy kept as what is different."""
    path = write("""
        [emulator]
        port = 0
        region = "eu-central-1"
        sandbox = "process"
        freezer = "signals"
        concurrency = 10
        timeline_events = 500
        timeline_file = "runs/last.jsonl"
        [database]
        server = "none"
        profile = "db.t3.small"
        max_connections = 66
        wait_timeout = "10m"
        [policy]
        name = "aws"
        idle_timeout = "5m"
        [functions.orders]
        code = "functions/orders"
        handler = "app.main"
        runtime = "python3.12"
        memory = 256
        timeout = 5
        environment = { DB_NAME = "shop" }
        policy = { max_invocations = 100 }
        reserved_concurrency = 4
        provisioned_concurrency = 1
        [functions.orders.asynchronous]
        retries = 1
        max_age = "2h"
        on_failure = "file:failed"
        dead_letter = "function:cleanup"
    """)
    settings, base = load_settings(path)
    assert settings.emulator.freezer == "signals"
    assert (settings.emulator.timeline_events, settings.emulator.timeline_file) == (500, Path("runs/last.jsonl"))
    assert (settings.database.profile, settings.database.max_connections) == ("db.t3.small", 66)
    assert settings.database.wait_timeout == 600
    assert settings.policy.idle_timeout == 300.0
    (orders,) = settings.make_functions(base)
    assert orders.name == "orders"
    assert orders.code == path.parent / "functions/orders"
    assert (orders.handler, orders.runtime, orders.memory, orders.timeout) == ("app.main", "python3.12", 256, 5)
    assert dict(orders.environment) == {"DB_NAME": "shop"}
    assert orders.policy == {"max_invocations": 100}
    assert (orders.reserved_concurrency, orders.provisioned_concurrency) == (4, 1)
    assert orders.asynchronous == Asynchronous(
        retries=1, max_age=7200.0, on_failure="file:failed", dead_letter="function:cleanup"
    )


def test_urls_and_routes(write: Write) -> None:
    """A URL is a switch, or a table; a route names a function of the file."""
    path = write("""
        [functions.plain]
        code = "."
        url = true
        [functions.off]
        code = "."
        url = false
        [functions.pages]
        code = "."
        [functions.pages.url]
        auth = "AWS_IAM"
        invoke_mode = "RESPONSE_STREAM"
        cors = { allow_origins = ["https://a.example"], max_age = "1h" }
        [[routes]]
        method = "get"
        path = "/orders/{id}"
        function = "plain"
        cors = { allow_origins = ["*"] }
        [[routes]]
        path = "/{proxy+}"
        function = "pages"
        version = "1.0"
        stage = "Prod"
    """)
    settings, base = load_settings(path)
    cors = Cors(allow_origins=("https://a.example",), max_age=3600)
    assert {function.name: function.url for function in settings.make_functions(base)} == {
        "plain": UrlSettings(),
        "off": None,
        "pages": UrlSettings(auth="AWS_IAM", invoke_mode="RESPONSE_STREAM", cors=cors),
    }
    assert settings.make_routes() == [
        HttpRoute(method="GET", path="/orders/{id}", function="plain", cors=Cors(allow_origins=("*",))),
        HttpRoute(method="ANY", path="/{proxy+}", function="pages", version="1.0", stage="Prod"),
    ]


def test_a_function_needs_no_more_than_its_code(write: Write) -> None:
    """Everything else has Lambda's defaults."""
    settings, base = load_settings(write('[functions.counter]\ncode = "."\n'))
    (counter,) = settings.make_functions(base)
    assert (counter.handler, counter.memory, counter.timeout) == ("app.handler", 128, 3)
    assert counter.runtime.startswith("python3.")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[emulator]\nprot = 1\n", "[emulator] prot is not a setting; there are: account, concurrency, "),
        ("[emulater]\n", "[emulater] is not a setting; there are: database, emulator, functions, policy, routes"),
        ('[database]\nurl = "x"\n', "[database] url is not a setting; there are: keepalive, max_connections, "),
        ("[policy]\nidle = 1\n", "[policy] idle is not a setting; there are: after_error, chance, eviction, "),
        (
            '[functions.a]\ncode="."\nhandle = "x"\n',
            "[functions.a] handle is not a setting; there are: asynchronous, code, ",
        ),
        (
            '[functions.a]\ncode="."\npolicy = { idle = 1 }\n',
            "[functions.a.policy] idle is not a setting; there are: after_error, chance, ",
        ),
        ('[functions.a]\nhandler="x.y"\n', "function a: code is missing"),
        (
            '[functions.a]\ncode="."\nasynchronous = { retry = 1 }\n',
            "[functions.a.asynchronous] retry is not a setting; there are: dead_letter, max_age, ",
        ),
        (
            '[functions.a]\ncode="."\nasynchronous = { retries = 3 }\n',
            "[functions.a.asynchronous] retries is 3: input should be less than or equal to 2",
        ),
        (
            '[functions.a]\ncode="."\nasynchronous = { max_age = "1m30" }\n',
            "[functions.a.asynchronous] max_age is '1m30': a duration is written like \"7m\"",
        ),
        (
            '[functions.a]\ncode="."\nasynchronous = { max_age = "7h" }\n',
            "[functions.a.asynchronous] max_age is '7h': ",
        ),
        ('[functions.a]\ncode="."\nreserved_concurrency = -1\n', "[functions.a] reserved_concurrency is -1: "),
        ('[emulator]\nport = "high"\n', "[emulator] port is 'high': input should be a valid integer"),
        ("[emulator]\nport = 65536\n", "[emulator] port is 65536: input should be less than or equal to 65535"),
        ('[emulator]\nsandbox = "vm"\n', "[emulator] sandbox is 'vm': input should be 'auto', 'container' or "),
        ('[emulator]\naccount = "1"\n', "[emulator] account is '1': string should match pattern"),
        ('[database]\nserver = "oracle://x"\n', "[database] server is 'oracle://x': string should match pattern"),
        (
            '[policy]\nidle_timeout = "seven"\n',
            '[policy] idle_timeout is \'seven\': a duration is written like "7m", "1h30m" or "90s"',
        ),
        ('[policy]\nidle_timeout = "0s"\n', "[policy] idle_timeout is '0s': input should be greater than 0"),
        (
            '[policy]\nidle_timeout = "10m..5m"\n',
            "[policy] idle_timeout is '10m..5m': a range begins with its shorter end",
        ),
        (
            '[policy]\nhalf_of_idle = "1m..2m"\n',
            "[policy] half_of_idle is '1m..2m': one duration is wanted here",
        ),
        (
            '[policy]\nname = "warm"\n',
            "[policy] name is 'warm': there are aws, aws-2019, openwhisk, fn, always-cold, keep-warm, and your own",
        ),
        ("[policy]\nchance = 1.5\n", "[policy] chance is 1.5: input should be less than or equal to 1"),
        (
            '[policy]\nselect = "newest"\n',
            "[policy] select is 'newest': input should be 'most-recent', 'least-recent', 'oldest' or 'random'",
        ),
        ('[policy]\neviction = "fifo"\n', "[policy] eviction is 'fifo': input should be 'lru' or 'greedy-dual'"),
        ('[emulator]\nseed = "x"\n', "[emulator] seed is 'x': input should be a valid integer"),
        ("[emulator]\ntimeline_events = 0\n", "[emulator] timeline_events is 0: input should be greater than or equal"),
        ('[database]\nwait_timeout = "0s"\n', "[database] wait_timeout is '0s': input should be greater than or equal"),
        ("[database]\nwait_timeout = 1.5\n", "[database] wait_timeout is 1.5: input should be a valid integer"),
        ("[emulator]\nspeed = 0.5\n", "[emulator] speed is 0.5: input should be greater than or equal to 1"),
        ("[emulator]\nspeed = inf\n", "[emulator] speed is inf: input should be "),
        ('[emulator]\nspeed = "60"\n', "[emulator] speed is '60': input should be a valid number"),
        ("[policy]\nmax_invocations = -1\n", "[policy] max_invocations is -1: input should be greater than or equal"),
        ('[functions.a]\ncode="."\nlayers = "x"\n', "[functions.a] layers is 'x': input should be a list, such as ["),
        (
            '[functions.a]\ncode="."\nlogging = "JSON"\n',
            "[functions.a] logging is 'JSON': input should be a table, such",
        ),
        (
            '[functions.a]\ncode="."\nurl = "yes"\n',
            "[functions.a] url is 'yes': input should be a table, such as { key = value }",
        ),
        (
            '[functions.a]\ncode="."\nurl = { mode = 1 }\n',
            "[functions.a.url] mode is not a setting; there are: auth, cors, invoke_mode",
        ),
        (
            '[functions.a]\ncode="."\nurl = { auth = "BASIC" }\n',
            "[functions.a.url] auth is 'BASIC': input should be 'NONE' or 'AWS_IAM'",
        ),
        (
            '[functions.a]\ncode="."\nurl = { cors = { origins = [] } }\n',
            "[functions.a.url.cors] origins is not a setting; there are: allow_credentials, allow_headers, ",
        ),
        (
            '[[routes]]\npath = "/"\nfunction = "a"\nverb = "GET"\n',
            "[routes.0] verb is not a setting; there are: cors, function, method, path, qualifier, stage, version",
        ),
        ('[[routes]]\npath = "/"\nfunction = "a"\n', "route ANY /: there is no function 'a'"),
        ('[[routes]]\npath = "x"\nfunction = "a"\n', "route ANY x: the path cannot be served"),
        (
            '[functions.a]\ncode="."\nlogging = { level = 1 }\n',
            "[functions.a.logging] level is not a setting; there are: application_level, format, group, system_level",
        ),
        (
            '[functions.a]\ncode="."\nlogging = { format = "json" }\n',
            "[functions.a.logging] format is 'json': input should be 'Text' or 'JSON'",
        ),
        (
            '[functions.a]\ncode="."\nlogging = { system_level = "WARN" }\n',
            "[functions.a] logging is {'system_level': 'WARN'}: only a log with format = \"JSON\" has levels",
        ),
        ('[functions.a]\ncode="."\nlogging = { group = "a b" }\n', "function a: 'a b' is not a name for a log group"),
        (
            '[functions.a]\ncode="."\nlayers = ["1", "2", "3", "4", "5", "6"]\n',
            "function a: it has 6 layers",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_file_key_finding_and_what_is_allowed(
    write: Write, content: str, complaint: str
) -> None:
    """A reader can mend the file from the message alone."""
    path = write(content)
    assert refusal(path).message.startswith(f"{path}: {complaint}")


def test_a_file_may_have_runtimes_of_its_own(write: Write) -> None:
    """Functions name them like any other; an image needs neither a runtime nor code."""
    path = write(
        '[runtimes.deno]\nimage = "deno:1"\ncommand = ["deno", "run", "$_HANDLER"]\n'
        '[runtimes."python3.12"]\nimage = "mine:3.12"\n'
        '[functions.a]\ncode = "."\nruntime = "deno"\n'
        '[functions.b]\nimage = "mine:1"\nentry_point = ["/app"]\ncommand = ["x"]\nworking_directory = "/srv"\n'
        '[functions.c]\ncode = "."\nimage = "mine:2"\nruntime = "whatever"\n'
    )
    settings, base = load_settings(path)
    runtimes = settings.make_runtimes()
    assert runtimes.find("deno").command == ("deno", "run", "$_HANDLER")
    assert runtimes.find("python3.12").image == "mine:3.12"
    deno, image, both = settings.make_functions(base)
    assert (deno.runtime, deno.code) == ("deno", base)
    assert (image.code, image.entry_point, image.command, image.working_directory) == (None, ("/app",), ("x",), "/srv")
    assert (both.code, both.image) == (base, "mine:2")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('[runtimes.deno]\ncolour = "x"\n', "[runtimes.deno] colour is not a setting; there are: command, image"),
        ('[runtimes.deno]\ncommand = "deno run"\n', "[runtimes.deno] command is 'deno run'"),
        ("[runtimes.deno]\n", "runtime deno has neither an image nor a command"),
        ('[runtimes."a b"]\nimage = "x"\n', "'a b' is not a name for a runtime"),
        ('[functions.a]\ncode = "."\nruntime = "cobol"\n', "function a: there is no runtime 'cobol'"),
        ('[functions.a]\ncode = "."\nruntime = "go1.x"\n', "function a: AWS has ended the runtime go1.x"),
        ('[functions.a]\nimage = "x"\ncommand = "run"\n', "[functions.a] command is 'run'"),
    ],
)
def test_a_runtime_that_is_none_is_refused(write: Write, content: str, complaint: str) -> None:
    """When the file is read, and not when the function is invoked."""
    path = write(content)
    error = refusal(path)
    assert error.message.startswith(f"{path}: {complaint}")
    assert error.cure


def test_every_fault_of_a_file_is_told_at_once(write: Write) -> None:
    """One line a fault, so that nobody has to start the emulator five times."""
    message = refusal(write('[emulator]\nport = -1\nprot = 1\n[database]\nserver = ""\n')).message
    assert len(message.splitlines()) == 3


@pytest.mark.parametrize("content", ["port = \n", "[emulator\n", "a = 1\na = 2\n"])
def test_what_is_no_toml_is_refused_as_such(write: Write, content: str) -> None:
    """The place in the file is part of the message."""
    error = refusal(write(content))
    assert "is not TOML" in error.message
    assert "line" in error.message


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are no traceback."""
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "is not TOML" in refusal(path).message


def test_a_named_file_has_to_be_there(tmp_path: Path) -> None:
    """Only the file of the working directory may be missing."""
    error = refusal(tmp_path / "missing.toml")
    assert "cannot be read: No such file or directory" in error.message
    assert "--config" in error.cure
    assert "cannot be read: Is a directory" in refusal(tmp_path).message


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ('"7m"', 420.0),
        ('"90s"', 90.0),
        ('"1h30m"', 5_400.0),
        ('"1h 30m"', 5_400.0),
        ('"0.5s"', 0.5),
        ('"2d"', 172_800.0),
        ('" 7m "', 420.0),
        ("300", 300.0),
        ("0.25", 0.25),
    ],
)
def test_durations_are_numbers_or_words(write: Write, written: str, seconds: float) -> None:
    """Seconds as a number, or figures with their units."""
    settings, _ = load_settings(write(f"[policy]\nidle_timeout = {written}\n"))
    assert settings.policy.idle_timeout == seconds


@pytest.mark.parametrize("written", ['"7"', '""', '"m"', '"7 minutes"', '"-7m"', '"7m x"', "-1", "0", "nan"])
def test_what_is_no_duration_is_refused(write: Write, written: str) -> None:
    """No unit, no figure, another unit, and spans that are none."""
    assert "[policy] idle_timeout" in refusal(write(f"[policy]\nidle_timeout = {written}\n")).message


@pytest.mark.parametrize(
    ("written", "seconds"), [("7m", 420.0), ("1h30m", 5_400.0), ("90", 90.0), ("0.5", 0.5), ("0s", 0.0), ("0", 0.0)]
)
def test_a_duration_of_the_command_line_may_be_a_plain_number(written: str, seconds: float) -> None:
    """Everything is a string there."""
    assert parse_duration(written) == seconds


@pytest.mark.parametrize("written", ["", "-7", "7 minutes", "1.2.3", "nan", "inf", "²"])
def test_a_duration_of_the_command_line_that_is_none_is_refused(written: str) -> None:
    """With an example of what is one."""
    with pytest.raises(ConfigurationError, match="is no span of time") as caught:
        parse_duration(written)
    assert repr(written) in caught.value.message


def test_values_can_be_replaced_from_outside() -> None:
    """What the command line says wins over the file, and the rest of the file stays."""
    settings = Settings.model_validate({"emulator": {"port": 4001, "region": "eu-central-1"}})
    changed = settings.with_values({"emulator": {"port": 0}, "database": {"server": "none"}})
    assert (changed.emulator.port, changed.emulator.region) == (0, "eu-central-1")
    assert changed.database.server == "none"
    assert settings.emulator.port == 4001


def test_values_from_outside_are_checked_like_a_file() -> None:
    """The complaint names the command line in place of a file."""
    with pytest.raises(ConfigurationError) as caught:
        Settings().with_values({"emulator": {"port": 99_999}})
    assert caught.value.message.startswith("the command line: [emulator] port is 99999: ")


@pytest.mark.parametrize(
    ("table", "overrides", "rules"),
    [
        ({}, None, {IdleTimeout(420.0), MaxLifetime(7200.0)}),
        ({"idle_timeout": 60}, None, {IdleTimeout(60.0), MaxLifetime(7200.0)}),
        ({"max_invocations": 5}, None, {IdleTimeout(420.0), MaxLifetime(7200.0), MaxInvocations(5)}),
        ({"max_invocations": 0}, None, {IdleTimeout(420.0), MaxLifetime(7200.0)}),
        ({"name": "keep-warm"}, None, set()),
        ({"name": "keep-warm", "max_lifetime": "1h"}, None, {MaxLifetime(3600.0)}),
        ({"name": "always-cold"}, None, {MaxInvocations(1)}),
        ({"name": "always-cold", "max_invocations": 3}, None, {MaxInvocations(3)}),
        ({"name": "always-cold", "max_invocations": 0}, None, set()),
        ({"idle_timeout": 60}, {"idle_timeout": "2m"}, {IdleTimeout(120.0), MaxLifetime(7200.0)}),
        ({"idle_timeout": 60}, {"max_invocations": 9}, {IdleTimeout(60.0), MaxLifetime(7200.0), MaxInvocations(9)}),
        ({}, {"name": "always-cold"}, {MaxInvocations(1)}),
        ({"idle_timeout": "5m..10m"}, None, {IdleTimeout("5m..10m"), MaxLifetime(7200.0)}),
        ({"max_lifetime": "off"}, None, {IdleTimeout(420.0)}),
        ({"max_lifetime": "off"}, {"max_lifetime": "1h"}, {IdleTimeout(420.0), MaxLifetime(3600.0)}),
        ({"name": "keep-warm", "idle_timeout": "27m", "half_of_idle": "5m"}, None, {IdleTimeout("27m"), HalfOfIdle()}),
        ({"name": "keep-warm", "half_of_idle": "5m"}, {"half_of_idle": "off"}, set()),
        ({"name": "keep-warm", "chance": 0.05, "after_error": True}, None, {Chance(0.05), AfterError()}),
        ({"name": "keep-warm", "chance": 0.05, "after_error": True}, {"chance": 0, "after_error": False}, set()),
        ({"histogram": "10m"}, None, {Histogram("10m"), MaxLifetime(7200.0)}),
        ({"histogram": "10m", "idle_timeout": "5m"}, None, {Histogram("10m"), IdleTimeout("5m"), MaxLifetime("2h")}),
        ({"name": "openwhisk"}, None, {IdleTimeout("10m")}),
        ({"name": "fn"}, {"idle_timeout": "1m"}, {IdleTimeout("1m")}),
    ],
)
def test_a_policy_is_its_preset_with_what_is_said_otherwise(
    table: dict[str, Any], overrides: dict[str, Any] | None, rules: set[object]
) -> None:
    """A key replaces or adds one rule, zero invocations removes one, and a function's own word comes last."""
    policy = make_policy(PolicySettings.model_validate(table), overrides)
    assert set(policy.rules) == rules
    assert policy.name == (overrides or {}).get("name", table.get("name", "aws"))


def test_how_connections_end_is_part_of_the_policy() -> None:
    """Silent by default, as on AWS at its worst; a function may have it otherwise."""
    assert make_policy(PolicySettings()).reclaim is Reclaim.SILENT
    assert make_policy(PolicySettings(), {"reclaim": "rst"}).reclaim is Reclaim.RST


def test_a_function_that_refuses_its_values_names_itself(write: Write) -> None:
    """Lambda's own limits are checked as well, and the file is named."""
    path = write('[functions.a]\ncode = "."\nmemory = 64\n')
    error = refusal(path)
    assert error.message == f"{path}: function a: memory is 64"
    assert "128 to 10,240" in error.cure


@pytest.mark.parametrize("overrides", [{"idle": 1}, {"idle_timeout": "seven"}, {"name": "warm"}])
def test_a_wrong_policy_of_a_function_is_refused_as_every_wrong_setting(overrides: dict[str, Any]) -> None:
    """Also when it comes from Python and not from a file: an error of our tree, with key and finding."""
    with pytest.raises(ConfigurationError, match=next(iter(overrides))):
        make_policy(PolicySettings(), overrides)


def test_a_key_that_replaces_a_rule_takes_its_place() -> None:
    """The order of the rules decides whose reason is told."""
    policy = make_policy(PolicySettings(idle_timeout="1m", max_invocations=3))
    assert policy.rules == (IdleTimeout("1m"), MaxLifetime("2h"), MaxInvocations(3))


def test_the_choice_among_idle_environments_is_a_setting() -> None:
    """For all, and for one function otherwise."""
    assert make_policy(PolicySettings()).selection is Selection.MOST_RECENT
    settings = PolicySettings(select=Selection.OLDEST)
    assert make_policy(settings).selection is Selection.OLDEST
    assert make_policy(settings, {"select": "random"}).selection is Selection.RANDOM


def test_the_memory_of_all_idle_environments_is_limited_for_the_whole_emulator() -> None:
    """With least recently used first; zero is no limit; a function cannot have one."""
    assert make_pressure(PolicySettings()) is None
    assert make_pressure(PolicySettings(memory_limit=0)) is None
    assert make_pressure(PolicySettings(memory_limit=512)) == MemoryPressure(512)
    assert make_pressure(IdleTimeout("7m") | MemoryPressure(256)) == MemoryPressure(256)
    greedy = PolicySettings(memory_limit=512, eviction=EvictionOrder.GREEDY_DUAL)
    assert make_pressure(greedy) == MemoryPressure(512, EvictionOrder.GREEDY_DUAL)
    assert make_policy(greedy, {}).rules == make_policy(PolicySettings()).rules
    for overrides in (
        {"memory_limit": 5},
        {"eviction": "lru"},
        MemoryPressure(5),
        IdleTimeout("7m") | MemoryPressure(5),
    ):
        with pytest.raises(ConfigurationError, match="a matter of the whole emulator"):
            make_policy(PolicySettings(), overrides)


def test_rules_that_a_program_composed_are_a_function_s_policy() -> None:
    """They take the place of the settings; what is no policy is refused."""
    composed = IdleTimeout("7m") | MaxLifetime("2h")
    assert make_policy(PolicySettings(max_invocations=3), composed) is composed
    assert make_policy(PolicySettings(), MaxInvocations(3)).rules == (MaxInvocations(3),)
    with pytest.raises(ConfigurationError, match="5 is no policy"):
        make_policy(PolicySettings(), 5)


def test_settings_of_a_function_come_over_a_composed_policy_of_all() -> None:
    """Key by key, unless it names a policy of its own."""
    composed = Policy("mine", (IdleTimeout("7m"), MaxLifetime("2h")), Reclaim.FIN, Selection.OLDEST)
    assert make_policy(composed) == composed
    changed = make_policy(composed, {"idle_timeout": "1m"})
    assert changed == Policy("mine", (IdleTimeout("1m"), MaxLifetime("2h")), Reclaim.FIN, Selection.OLDEST)
    assert make_policy(composed, {"name": "always-cold"}).rules == (MaxInvocations(1),)


def test_a_class_of_the_user_s_can_be_named_and_changed_by_keys(tmp_path: Path) -> None:
    """It stands where a preset stands; a choice that is named wins over its own."""
    (tmp_path / "mine.py").write_text(
        "class Mine:\n"
        "    def verdict(self, environment, now):\n        return None\n"
        "    def select(self, idle):\n        return idle[0]\n"
    )
    policy = make_policy(PolicySettings(name="mine:Mine", max_invocations=3), base=tmp_path)
    assert policy.name == "mine:Mine"
    assert [type(rule).__name__ for rule in policy.rules] == ["Mine", "MaxInvocations"]
    assert not isinstance(policy.selection, Selection)
    named = make_policy(PolicySettings(name="mine:Mine"), {"select": "oldest"}, tmp_path)
    assert named.selection is Selection.OLDEST
    with pytest.raises(ConfigurationError, match="there is no module mine"):
        make_policy(PolicySettings(name="mine:Mine"), base=tmp_path / "elsewhere")


def test_what_a_policy_was_made_of_can_be_sent_back() -> None:
    """The table in JSON's own words makes the same policy again; what a program composed has none."""
    given = {"name": "fn", "idle_timeout": "5m..10m", "select": "random", "half_of_idle": "off", "reclaim": "rst"}
    settings = policy_settings(given, "here")
    assert policy_table(settings) == given
    assert policy_table({"idle_timeout": "1m"}) == {"idle_timeout": 60.0}
    assert make_policy(policy_settings(policy_table(settings), "here")) == make_policy(settings)
    assert policy_table(IdleTimeout("7m") | MaxLifetime("2h")) == {}


def test_a_table_that_comes_from_elsewhere_is_refused_by_that_name() -> None:
    """Who reads the message knows where to look."""
    with pytest.raises(ConfigurationError) as caught:
        policy_settings({"idle": 1}, "function orders")
    assert caught.value.message.startswith("function orders: [policy] idle is not a setting")
