"""Rules of the user's own: how they are found, and that they do no harm."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from emulator.errors import ConfigurationError
from emulator.policies import HalfOfIdle, Histogram, IdleTimeout, MaxLifetime, Policy, Selection
from emulator.policies.idle_times import IdleTimes
from emulator.policies.own import as_policy, described, in_force, is_own_name, load_own
from tests.unit.policies.known import Known, served

MODULE = '''
from emulator.policies import IdleTimeout, MaxLifetime
import beside

COMPOSED = IdleTimeout("7m") | MaxLifetime("2h")
SINGLE = IdleTimeout("7m")
NUMBER = 5

class Nightly:
    """Gone at every full day."""
    def verdict(self, environment, now):
        return f"it is midnight, {beside.WORD}" if now >= 86_400 else None
    def due(self, environment):
        return 86_400.0

class OldestFirst:
    def select(self, idle):
        return min(idle, key=lambda environment: environment.created_at)

class Picky(Nightly, OldestFirst):
    def after_invocation(self, environment, outcome):
        return "enough" if environment.invocations > 2 else None

class NoRule:
    pass

class Needy(Nightly):
    def __init__(self, seconds):
        pass
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration's folder with rules in it."""
    (tmp_path / "rules_of_mine.py").write_text(MODULE)
    (tmp_path / "beside.py").write_text('WORD = "as ever"\n')
    return tmp_path


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("mine:Rule", True), ("a.b.c:Rule", True), ("aws", False), ("mine:", False), (":R", False), ("a/b:R", False)],
)
def test_a_name_of_the_user_s_has_a_colon(name: str, is_one: bool) -> None:
    """So it cannot be taken for a preset."""
    assert is_own_name(name) is is_one


def test_a_class_of_the_folder_becomes_a_policy(folder: Path) -> None:
    """It may import what lies beside it, and leaves nothing behind on the path."""
    before = list(sys.path)
    policy = load_own("rules_of_mine:Nightly", folder)
    assert policy.name == "rules_of_mine:Nightly"
    assert policy.due(Known()) == 86_400.0
    assert policy.verdict(Known(), 86_400.0) == "it is midnight, as ever"
    assert policy.selection is Selection.MOST_RECENT
    assert sys.path == before


def test_a_class_may_choose_and_may_judge_invocations(folder: Path) -> None:
    """Each method is used for what it is for, alone or together."""
    chooser, picky = load_own("rules_of_mine:OldestFirst", folder), load_own("rules_of_mine:Picky", folder)
    young, old = Known(created_at=2.0), Known(created_at=1.0)
    for policy in (chooser, picky):
        chosen, reason = policy.select([old, young], Random(0))
        assert chosen is old
        assert reason.startswith("chosen of 2 idle by ")
    assert chooser.rules == ()
    assert picky.after_invocation(Known(invocations=3), served()) == "enough"


@pytest.mark.parametrize(("name", "rules"), [("COMPOSED", 2), ("SINGLE", 1)])
def test_what_is_ready_made_is_taken_as_it_is(folder: Path, name: str, rules: int) -> None:
    """A module may compose rules with ``|`` and be named in the configuration."""
    policy = load_own(f"rules_of_mine:{name}", folder)
    assert policy.rules == (IdleTimeout("7m"), MaxLifetime("2h"))[:rules]
    assert policy.name == f"rules_of_mine:{name}"


def test_a_module_is_read_anew(folder: Path) -> None:
    """Setting the policy again takes what was mended meanwhile."""
    assert len(load_own("rules_of_mine:COMPOSED", folder).rules) == 2
    (folder / "rules_of_mine.py").write_text(
        "from emulator.policies import IdleTimeout\nCOMPOSED = IdleTimeout('9m')\n"
    )
    assert load_own("rules_of_mine:COMPOSED", folder).rules == (IdleTimeout("9m"),)


def test_an_installed_module_is_found_too(folder: Path) -> None:
    """Where the folder has none of that name."""
    assert load_own("tests.unit.policies.test_own:Steady", folder).verdict(Known(), 0.0) is None


@pytest.mark.parametrize(
    ("name", "complaint", "cure"),
    [
        ("not_there:Rule", "there is no module not_there", "Put not_there.py into "),
        ("rules_of_mine:Missing", "rules_of_mine has no class Missing", "It has Needy, Nightly, NoRule, "),
        ("rules_of_mine:NUMBER", "rules_of_mine has no class NUMBER", "It has "),
        ("rules_of_mine:NoRule", "NoRule is no rule", "verdict, after_invocation, select"),
        ("rules_of_mine:Needy", "Needy() raised TypeError", "without arguments"),
        ("broken:Rule", "broken cannot be imported: ZeroDivisionError", "Mend "),
        ("wordless:Rule", "wordless cannot be imported: SyntaxError", "Mend "),
        ("lonely:Rule", "lonely imports nowhere_to_be_found, which is not there", "Install it"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_cure(folder: Path, name: str, complaint: str, cure: str) -> None:
    """The emulator does not start with a policy that is not the wanted one."""
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "wordless.py").write_text("class Rule(\n")
    (folder / "lonely.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(ConfigurationError) as caught:
        load_own(name, folder)
    assert caught.value.message.startswith(f"policy {name}: {complaint}")
    assert cure in caught.value.cure


class Steady:
    """A rule that does what a test tells it to."""

    def __init__(self, verdict: object = None, due: object = None) -> None:
        self.answers = {"verdict": verdict, "due": due}
        self.asked = 0

    def verdict(self, environment: Any, now: float) -> Any:
        return self._answer("verdict")

    def due(self, environment: Any) -> Any:
        return self._answer("due")

    def _answer(self, method: str) -> Any:
        self.asked += 1
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (Steady(verdict=ZeroDivisionError("division by zero")), "Steady.verdict raised ZeroDivisionError: division by"),
        (Steady(verdict=True), "Steady.verdict answered True instead of a reason or None"),
        (Steady(verdict=""), "Steady.verdict answered '' instead of a reason or None"),
        (Steady(due=KeyError("x")), "Steady.due raised KeyError: 'x'"),
        (Steady(due="tomorrow"), "Steady.due answered 'tomorrow' instead of a moment or None"),
        (Steady(due=math.nan), "Steady.due answered nan instead of a moment or None"),
        (Steady(due=math.inf), "Steady.due answered inf instead of a moment or None"),
    ],
)
def test_a_rule_that_fails_is_told_once_and_left_out(rule: Steady, told: str) -> None:
    """The rules beside it go on as before, and the sentence says what to do."""
    heard: list[str] = []
    policy = in_force(rule | IdleTimeout(60.0), IdleTimes(), heard.append)
    for _ in range(3):
        assert policy.verdict(Known(), 1.0) is None
        assert policy.due(Known()) == 60.0
    assert len(heard) == 1
    assert heard[0].startswith(told)
    assert "left out" in heard[0]
    assert "PUT /_emulator/api/policy" in heard[0]
    asked = rule.asked
    assert policy.verdict(Known(), 60.0) == "idle 1 min >= 1 min"
    assert rule.asked == asked


def test_a_moment_that_passed_in_silence_is_not_waited_for_again() -> None:
    """A rule that promises a verdict and has none would have its timer fire for ever."""
    policy = in_force(Policy("test", (Steady(due=50.0),)), IdleTimes(), pytest.fail)
    assert policy.due(Known()) == 50.0
    assert policy.verdict(Known(), 50.0) is None
    assert policy.due(Known()) is None


class Choosy:
    """A choice that does what a test tells it to."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def choose(self, idle: Any, chance: Random) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("answer", [ValueError("no idea"), (Known(), "a stranger"), (None, "nobody")])
def test_a_choice_that_fails_leaves_it_to_the_most_recent(answer: object) -> None:
    """An event is served whatever the user's class does."""
    heard: list[str] = []
    policy = in_force(Policy("test", selection=Choosy(answer)), IdleTimes(), heard.append)
    first, second = Known(), Known()
    for _ in range(2):
        assert policy.select([first, second], Random(0)) == (second, "used last of 2 idle")
    assert len(heard) == 1


def test_what_is_the_emulator_s_own_is_not_watched() -> None:
    """It costs nothing on the way of an invocation; only what learns is tied to its function."""
    plain = IdleTimeout("7m") | HalfOfIdle()
    assert in_force(plain, IdleTimes(), pytest.fail) is plain
    learning = in_force(IdleTimeout("7m") | Histogram("1m"), IdleTimes(), pytest.fail)
    assert learning.learns
    assert learning.due(Known()) == 60.0


def test_rules_are_described_in_words_and_the_user_s_by_their_class() -> None:
    """Also when they are in force."""
    policy = IdleTimeout("5m..10m") | Histogram("1m") | Steady()
    words = ("idle timeout 5 min to 10 min", "idle timeout learnt from a histogram, 1 min until then", "Steady")
    assert described(policy) == words
    assert described(in_force(policy, IdleTimes(), pytest.fail)) == words


def test_what_a_program_composed_is_a_policy() -> None:
    """A single rule too; anything else is refused with an example."""
    assert as_policy(IdleTimeout("7m")) == Policy("own", (IdleTimeout("7m"),))
    with pytest.raises(ConfigurationError) as caught:
        as_policy(7)
    assert 'IdleTimeout("7m")' in caught.value.cure
