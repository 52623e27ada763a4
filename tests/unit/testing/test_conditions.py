"""The marker, in a run of pytest's own: what runs, what is told, and what is never passed over in silence."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from emulator.testing import conditions

pytest_plugins = ["pytester"]

PLUGIN = '''
import pytest
from emulator.errors import DatabaseError
from emulator.testing import conditions
from tests.unit.conditions.played import PlayedFunction, result_of

def pytest_addoption(parser, pluginmanager):
    pluginmanager.register(conditions.ConditionsPlugin(), "conditions")

LOST = result_of({"errorMessage": "(2013, 'Lost connection to MySQL server during query')"}, failed=True)

class Function(PlayedFunction):
    """What the fixture of the real plugin gives, but played: it loses its session when time is skipped."""
    def invoke(self, payload=None):
        result = super().invoke(payload)
        return LOST if any(call.startswith("skip") for call in self.emulator.calls) else result

class UnderTest:
    def __init__(self, played):
        self.played = played
    def invoke(self, payload=None):
        return conditions.invoke(self.played, payload)

@pytest.fixture
def lambda_function():
    played = Function()
    if "restart" in getattr(pytest, "refused", ()):
        played.emulator.refuses = "it is your own"
    yield UnderTest(played)
    assert played.emulator.policy == "as deployed" and played.emulator.path == "direct", "not put back"
'''


@pytest.fixture
def run(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(PLUGIN)
    pytester.makeini("[pytest]\naddopts = -p no:lambda-freezer\n")  # its fixtures and this marker are played here
    pytester.syspathinsert(Path(__file__).parents[3])
    return pytester


TWICE = """
    import pytest
    @pytest.mark.lambda_conditions({})
    def test_order(lambda_function):
        assert lambda_function.invoke(1).function_error is None
        assert lambda_function.invoke(2).function_error is None
"""


def test_a_test_runs_once_under_each_condition(run: pytest.Pytester) -> None:
    """With the condition in its id; the table shows them all, with the code of the first error where one failed."""
    run.makepyfile(TWICE.format('"warm", "nat", "storm=3"'))
    result = run.runpytest("-v", "--strict-markers")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*::test_order?warm? PASSED*",
            "*::test_order?nat? FAILED*",
            "*::test_order?storm=3? PASSED*",
            "*= conditions =*",
            "*test_order",
            "warm * ✓",
            "frozen 350 s behind NAT * ✗ 2013",
            "storm of 3 * ✓",
            "✗ test_order, frozen 350 s behind NAT: 2013 Lost connection to MySQL server during query",
        ]
    )


def test_without_names_all_conditions_are_meant(run: pytest.Pytester) -> None:
    """In the order of the catalogue."""
    from emulator.conditions import CONDITIONS

    run.makepyfile(TWICE.format(""))
    result = run.runpytest("--collect-only", "-q")
    collected = [line.partition("[")[2].rstrip("]") for line in result.outlines if "::" in line]
    assert collected == list(CONDITIONS)


def test_a_test_without_the_marker_is_as_it_was(run: pytest.Pytester) -> None:
    """No condition, no parameter, no table."""
    run.makepyfile("def test_it(lambda_function):\n    assert lambda_function.invoke().payload == 'fine'\n")
    result = run.runpytest("-v")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*conditions*=*")


def test_parameters_of_its_own_stay(run: pytest.Pytester) -> None:
    """The columns of the table are the test with each of its own parameters."""
    run.makepyfile(
        """
        import pytest
        @pytest.mark.lambda_conditions("warm", "nat")
        @pytest.mark.parametrize("size", ["small", "large"])
        def test_order(lambda_function, size):
            lambda_function.invoke(size)
            assert lambda_function.invoke(size).payload == "fine"
        """
    )
    result = run.runpytest()
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*test_order?small?  test_order?large?", "warm * ✓ * ✓", "frozen * ✗ 2013 * ✗ 2013"])


def test_a_condition_that_cannot_be_had_is_not_passed(run: pytest.Pytester) -> None:
    """It is skipped with the reason, and the table says so."""
    run.makepyfile(
        test_order="import pytest\npytest.refused = {'restart'}\n" + _dedented(TWICE.format('"database-restarted"'))
    )
    result = run.runpytest("test_order.py", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(
        ["database restarted *–", "– test_order, database restarted: not run: *it is your own*"]
    )


def test_a_condition_that_was_never_felt_is_not_passed(run: pytest.Pytester) -> None:
    """A test with a single invocation freezes nothing: green would be a lie. A failure stays a failure."""
    run.makepyfile(
        """
        import pytest
        pytestmark = pytest.mark.lambda_conditions("frozen-past-wait-timeout")
        def test_once(lambda_function):
            assert lambda_function.invoke().function_error is None
        def test_never(lambda_function):
            pass
        def test_wrong(lambda_function):
            assert lambda_function.invoke().payload == "tea"
        """
    )
    result = run.runpytest("-rs")
    result.assert_outcomes(skipped=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*not run: the test invokes once, and frozen past wait_timeout begins with invocation 2*",
            "*not run: the test invoked no function through the fixture*",
            "✗ test_wrong, frozen past wait_timeout: *fine*",
        ]
    )


def test_an_error_that_the_test_stands_is_no_failure(run: pytest.Pytester) -> None:
    """The table shows what the test says of it."""
    run.makepyfile(
        """
        import pytest
        @pytest.mark.lambda_conditions("nat")
        def test_order(lambda_function):
            lambda_function.invoke(1)
            assert lambda_function.invoke(2).function_error == "Unhandled"
        """
    )
    run.runpytest().assert_outcomes(passed=1)


def test_a_misspelt_condition_stops_the_run(run: pytest.Pytester) -> None:
    """With the names that there are."""
    run.makepyfile(TWICE.format('"warmer"'))
    result = run.runpytest()
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*there is no condition 'warmer'*", "*There are warm, cold-each-time*"])


def test_the_report_as_json_and_as_junit_properties(run: pytest.Pytester) -> None:
    """Each test under each condition, with what came of it."""
    run.makepyfile(TWICE.format('"warm", "nat"'))
    run.runpytest("--lambda-conditions-report=found.json", "--junitxml=found.xml", "-o", "junit_family=xunit1")
    found = json.loads((run.path / "found.json").read_text())
    assert found["counts"] == {"passed": 1, "failed": 1, "not run": 0}
    warm, nat = found["tests"]
    assert warm["outcome"] == "passed"
    assert nat == {
        "test": nat["test"],
        "condition": "nat",
        "title": "frozen 350 s behind NAT",
        "outcome": "failed",
        "code": 2013,
        "words": "Lost connection to MySQL server during query",
    }
    assert nat["test"].endswith("::test_order")
    cases = ElementTree.parse(run.path / "found.xml").iter("testcase")
    properties = [{p.get("name"): p.get("value") for p in case.iter("property")} for case in cases]
    assert [one["lambda_condition_outcome"] for one in properties] == ["passed", "failed"]
    assert properties[1]["lambda_condition_error_code"] == "2013"


def test_many_tests_are_numbered_where_their_names_do_not_fit(run: pytest.Pytester) -> None:
    """The table stays as narrow as the terminal; what each number means stands below."""
    tests = "\n".join(f"def test_{'long' * 8}_{n}(lambda_function):\n    lambda_function.invoke()" for n in range(3))
    run.makepyfile(f"import pytest\npytestmark = pytest.mark.lambda_conditions('warm')\n{tests}")
    result = run.runpytest()
    result.stdout.fnmatch_lines(["*  1  2  3", "warm * ✓  ✓  ✓", f"1 is *::test_{'long' * 8}_0"])


def test_each_condition_begins_and_ends_without_an_environment(run: pytest.Pytester) -> None:
    """What one has broken is not found by the next, nor by a test without a condition."""
    run.makepyfile(
        """
        import pytest
        @pytest.mark.lambda_conditions("warm")
        def test_order(lambda_function):
            global calls
            calls = lambda_function.played.emulator.calls
            lambda_function.invoke(1)
            lambda_function.invoke(2)
        def test_after():
            assert calls == ["recycle fin", "invoke 1", "invoke 2", "recycle fin"]
        """
    )
    run.runpytest().assert_outcomes(passed=2)


def test_no_condition_is_active_outside_of_a_test() -> None:
    """Whoever invokes there invokes plainly."""
    assert conditions.active() is None


def _dedented(text: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in text.splitlines()) + "\n"
