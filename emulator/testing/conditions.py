"""The marker ``lambda_conditions``: an ordinary test, run again under each condition, and a table of what came of it.

A test that invokes through :func:`invoke` needs to know nothing of conditions. What is below :mod:`emulator.conditions`
is loaded when the first marked test is found, and not before.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emulator.errors import ConditionError
from emulator.testing.outcomes import FAILED, NOT_RUN, PASSED, PROPERTY, TestOutcome, outcome_of, print_table

if TYPE_CHECKING:
    from emulator.conditions import Condition, SeenError, Stage
    from emulator.embedded import DeployedFunction, InvocationResult

__all__ = ["MARKER", "REPORT_OPTION", "ConditionRun", "ConditionsPlugin", "active", "invoke"]

MARKER = "lambda_conditions"
REPORT_OPTION = "--lambda-conditions-report"
_FIXTURE = "lambda_condition"
_MARKER_LINE = f"{MARKER}(*names): run the test once under each of these conditions, all where none is named"

_run: ConditionRun | None = None
_inside = threading.local()  # a condition invokes as well, and that is the function itself


def active() -> ConditionRun | None:
    """The condition under which a test runs now; ``None`` without one, and for what the condition itself invokes."""
    return None if getattr(_inside, "condition", False) else _run


def invoke(function: DeployedFunction, payload: Any = None) -> InvocationResult:
    """Invoke under the condition of the running test, if it has one.

    Raises:
        RequestError: what the API would answer with a status that is not 200.
    """
    run = active()
    return run.invoke(function, payload) if run is not None else function.invoke(payload)


class ConditionRun:
    """One test under one condition."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.first_error: SeenError | None = None
        self.not_run = ""
        """Why the condition could not be had; empty while it can."""
        self._stages: dict[str, Stage] = {}
        self._invocations: dict[str, int] = {}
        self._ends = contextlib.ExitStack()

    def invoke(self, function: DeployedFunction, payload: Any = None) -> InvocationResult:
        """As :func:`invoke`; a condition that cannot be had here skips the test, and says why."""
        from emulator.conditions import error_of

        _inside.condition = True
        try:
            stage = self._stage(function)
            nth = self._invocations[function.name] = self._invocations.get(function.name, 0) + 1
            result = self.condition.invoke(stage, function, payload, nth)
        except ConditionError as error:
            self.not_run = f"{error.message}. {error.cure}".strip()
            raise pytest.skip.Exception(f"not run: {self.not_run}", _use_item_location=True) from error
        finally:
            _inside.condition = False
        self.first_error = self.first_error or error_of(result)
        return result

    def complaint(self) -> str:
        """Why a test that has passed has shown nothing; empty where it has."""
        most = max(self._invocations.values(), default=0)
        if most >= self.condition.begins_with:
            return ""
        if most == 0:
            return "the test invoked no function through the fixture"
        return f"the test invokes once, and {self.condition.title} begins with invocation {self.condition.begins_with}"

    def close(self) -> None:
        """Everything is again as it was before the test."""
        _inside.condition = True
        try:
            self._ends.close()
        finally:
            _inside.condition = False

    def _stage(self, function: DeployedFunction) -> Stage:
        from emulator.conditions import Stage

        if function.name not in self._stages:
            stage = Stage(function.emulator)
            # What another condition has broken is not this one's, nor the next test's.
            function.recycle("fin")
            self._ends.callback(function.recycle, "fin")
            self._ends.enter_context(stage.under(self.condition, function))
            self._stages[function.name] = stage
        return self._stages[function.name]


class ConditionsPlugin:
    """The marker, the option, and the table at the end; to be registered with pytest's plugin manager."""

    def __init__(self) -> None:
        self._outcomes: list[TestOutcome] = []
        self._runs: dict[str, ConditionRun] = {}

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        parser.getgroup("lambda-freezer").addoption(
            REPORT_OPTION, metavar="FILE", help="write the table of conditions against tests as JSON"
        )

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", _MARKER_LINE)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        marker = metafunc.definition.get_closest_marker(MARKER)
        if marker is None:
            return
        from emulator.conditions import CONDITIONS, find_condition

        try:
            conditions = [find_condition(name) for name in marker.args] or list(CONDITIONS.values())
        except ConditionError as error:
            raise pytest.UsageError(f"{metafunc.definition.nodeid}: {error}") from error
        metafunc.fixturenames.append(_FIXTURE)
        metafunc.parametrize(_FIXTURE, conditions, ids=[c.name for c in conditions], indirect=True)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # pytest drops what no argument asks for once it has the parameters. The test need not ask for it.
        for item in items:
            names: list[str] = getattr(item, "fixturenames", [])
            if _FIXTURE not in names and item.get_closest_marker(MARKER) is not None:
                names.append(_FIXTURE)

    @pytest.fixture(name=_FIXTURE)
    def _condition(self, request: pytest.FixtureRequest) -> Iterator[Condition]:
        """The condition under which this test runs."""
        global _run
        run = _run = self._runs[request.node.nodeid] = ConditionRun(request.param)
        try:
            yield request.param
        finally:
            try:
                run.close()
            finally:
                _run = None
                del self._runs[request.node.nodeid]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        run = self._runs.get(item.nodeid)
        if run is None or (call.when == "setup" and report.passed) or call.when == "teardown":
            return report
        if report.passed and (complaint := run.complaint()):
            run.not_run = complaint
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: not run: {complaint}")
        found = outcome_of(item, report, run.condition.name, run.condition.title, run.not_run, run.first_error)
        item.user_properties += found.properties()
        report.user_properties = list(item.user_properties)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # Here and not where the report is made: with pytest-xdist that is in another process.
        properties = dict(report.user_properties)
        if report.when != "teardown" and PROPERTY in properties:
            self._outcomes.append(TestOutcome.from_properties(report.nodeid, properties))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._outcomes:
            print_table(terminalreporter, self._in_order())

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        path = session.config.getoption(REPORT_OPTION, default=None)
        if path is None or hasattr(session.config, "workerinput"):
            return
        counts = {word: sum(o.outcome == word for o in self._outcomes) for word in (PASSED, FAILED, NOT_RUN)}
        found = {"counts": counts, "tests": [outcome.as_dict() for outcome in self._in_order()]}
        Path(path).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")

    def _in_order(self) -> list[TestOutcome]:
        """As in the catalogue; tests in several processes end in any order."""
        if not self._outcomes:
            return []
        from emulator.conditions import CONDITIONS

        order = list(CONDITIONS)
        return sorted(self._outcomes, key=lambda outcome: order.index(outcome.condition.partition("=")[0]))
