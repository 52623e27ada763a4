"""The plugin for pytest: fixtures, a marker, options, and what a failed test's report is given along.

Whoever does not use it does not pay for it: nothing but pytest is imported before a fixture is asked for. What it does
is in :mod:`emulator.testing`, which works without pytest as well.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emulator.config import Settings
    from emulator.embedded import Emulator
    from emulator.testing.database import PrivateDatabase
    from emulator.testing.deploying import FunctionUnderTest
    from emulator.testing.running import OneTest, SharedEmulator
    from emulator.testing.watching import Connections

__all__ = [
    "OPTIONS",
    "connections",
    "lambda_emulator",
    "lambda_function",
    "lambda_settings",
    "mysql",
    "policy_of",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_makereport",
]

_MARKER = "lambda_policy"
_MARKER_LINE = (
    f"{_MARKER}(name, **settings): the policy of all functions in this test: a preset, keys of the [policy] table, "
    "or rules"
)
# Option, setting, and what is allowed: on the command line, in the ini file, in [emulator] or [database].
OPTIONS: tuple[tuple[str, str, str, type[Any], str], ...] = (
    ("sandbox", "emulator", "sandbox", str, "where functions run: auto, container or process"),
    ("database", "database", "server", str, "auto, local, docker, none, or mysql://user:password@host:port/database"),
    ("speed", "emulator", "speed", float, "how many seconds of the emulator's clock go by in a real one"),
)
_RUN = pytest.StashKey["OneTest"]()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Options, each also as a line of the ini file; and the plugin's other half, where it is there."""
    group = parser.getgroup("lambda-freezer", "functions of AWS Lambda (lambda-freezer)")
    for name, _, _, kind, text in OPTIONS:
        group.addoption(f"--lambda-{name}", dest=f"lambda_{name}", type=kind, default=None, help=text)
        parser.addini(f"lambda_{name}", help=text, default=None)
    if find_spec("emulator.testing.conditions") is not None:
        conditions = import_module("emulator.testing.conditions")
        pluginmanager.register(conditions.ConditionsPlugin(), "lambda-freezer-conditions")


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line("markers", _MARKER_LINE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that is marked, or has the emulator, is begun anew and put right like those with the other fixtures."""
    for item in items:
        names = getattr(item, "fixturenames", None)
        if names is None or "_lambda_run" in names:
            continue
        if "lambda_emulator" in names or item.get_closest_marker(_MARKER) is not None:
            names.append("_lambda_run")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed tells what its functions wrote, and what happened."""
    report = yield
    if report.failed and report.when == "call" and _RUN in item.stash:
        report.sections += item.stash[_RUN].sections()
    return report


@pytest.fixture(scope="session")
def lambda_settings() -> Settings | Mapping[str, Mapping[str, Any]]:
    """What a configuration file would say; override it in your ``conftest.py``. The command line goes before."""
    return {}


@pytest.fixture(scope="session")
def _lambda_session(
    request: pytest.FixtureRequest, lambda_settings: Settings | Mapping[str, Mapping[str, Any]]
) -> Iterator[SharedEmulator]:
    from emulator.testing.running import SharedEmulator, settings_for_tests

    config = request.config
    from_ini = _told(lambda name: config.getini(f"lambda_{name}") or None)
    from_command_line = _told(lambda name: config.getoption(f"lambda_{name}"))
    with SharedEmulator(settings_for_tests(from_ini, lambda_settings, from_command_line), config.rootpath) as session:
        yield session


@pytest.fixture(scope="session")
def lambda_emulator(_lambda_session: SharedEmulator) -> Emulator:
    """One emulator for the whole run, with one server; of a worker's own under pytest-xdist."""
    return _lambda_session.emulator


@pytest.fixture
def _lambda_run(request: pytest.FixtureRequest, _lambda_session: SharedEmulator) -> Iterator[OneTest]:
    marker = request.node.get_closest_marker(_MARKER)
    policy = policy_of(marker) if marker is not None else None
    with _lambda_session.test(policy, [request.path.parent]) as run:
        request.node.stash[_RUN] = run
        yield run
    del request.node.stash[_RUN]


@pytest.fixture
def mysql(_lambda_run: OneTest) -> PrivateDatabase:
    """A database of the test's own; its functions, which are its own as well, find it in ``DB_NAME``."""
    return _lambda_run.database


@pytest.fixture
def lambda_function(request: pytest.FixtureRequest, _lambda_run: OneTest) -> Callable[..., FunctionUnderTest]:
    """Deploys a function: ``lambda_function("functions/orders", timeout=5)``.

    The same code with the same settings is the same function again, warm, unless ``fresh=True`` asks for another.
    """
    if "mysql" in request.fixturenames:
        request.getfixturevalue("mysql")
    return _lambda_run.deploy


@pytest.fixture
def connections(_lambda_session: SharedEmulator, _lambda_run: OneTest) -> Connections:
    """The sessions of the test's functions; ``with connections.watch(function) as seen`` for assertions on them."""
    from emulator.testing.watching import Connections

    return Connections(_lambda_session.emulator, lambda: {function.name for function in _lambda_run.functions})


def _told(ask: Callable[[str], Any]) -> dict[str, dict[str, Any]]:
    """The settings that somebody has given a value."""
    tables: dict[str, dict[str, Any]] = {}
    for name, table, key, kind, _ in OPTIONS:
        value = ask(name)
        if value is not None:
            tables.setdefault(table, {})[key] = kind(value)
    return tables


def policy_of(marker: pytest.Mark) -> object:
    """The policy that a marker asks for, in the form that :meth:`Emulator.set_policy` takes.

    Raises:
        UsageError: it says more than one thing.
    """
    match marker.args:
        case [str() as name]:
            return {"name": name, **marker.kwargs}
        case []:
            return dict(marker.kwargs)
        case [rules] if not marker.kwargs:
            return rules
        case _:
            raise pytest.UsageError(f"{_MARKER} takes a name and settings, or rules, and not {marker.args}")
