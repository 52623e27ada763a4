"""When environments end: by hand, by policy, and what stays of them."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from emulator import Emulator, Function
from emulator.errors import ServiceError, ThrottledError
from tests.integration.conftest import FUNCTIONS, Deploy


def test_recycled_by_hand(emulator: Emulator, deploy: Deploy) -> None:
    """A recycled environment is gone with its processes and its files, and the next event starts a new one."""
    function = deploy()
    first = function.invoke({"do": "count"})
    (view,) = function.environments()
    answer = function.recycle()
    assert answer.recycled == (first.environment_id,)
    assert function.environments() == []
    assert not Path(f"/proc/{view.sandbox.pid}").exists()
    second = function.invoke({"do": "count"})
    assert second.payload == 1
    assert second.environment_id != first.environment_id
    ended = emulator.wait_for("environment.shutting-down", environment=first.environment_id)
    assert ended.reason == "recycled by hand"


def test_policies_of_single_functions(emulator: Emulator, deploy: Deploy) -> None:
    """always-cold never serves twice; max_invocations counts; each ending says why."""
    cold = deploy(policy={"name": "always-cold"})
    assert len({cold.invoke({"do": "count"}).environment_id for _ in range(2)}) == 2
    assert cold.environments() == []
    counted = deploy(policy={"max_invocations": 3})
    results = [counted.invoke({"do": "count"}) for _ in range(4)]
    assert [result.payload for result in results] == [1, 2, 3, 1]
    ended = emulator.wait_for("environment.shutting-down", environment=results[0].environment_id)
    assert ended.reason == "3 invocations >= 3"


def test_idle_timeout_and_lifetime_pass_by_fast_forward(emulator: Emulator, deploy: Deploy) -> None:
    """Skipping time ends what has been idle too long, and keep-warm keeps it."""
    short, kept = deploy(policy={"idle_timeout": "7m"}), deploy(policy={"name": "keep-warm"})
    gone = short.invoke({"do": "count"}).environment_id
    stays = kept.invoke({"do": "count"}).environment_id
    emulator.fast_forward(minutes=6)
    assert [view.id for view in short.environments()] == [gone]
    emulator.fast_forward(minutes=2)
    ended = emulator.wait_for("environment.shutting-down", environment=gone)
    assert ended.reason.startswith("idle 7 min")
    assert ended.reason.endswith(">= 7 min")
    assert [view.id for view in kept.environments()] == [stays]


def test_code_that_was_taken_away(emulator: Emulator, tmp_path: Path) -> None:
    """It is told in one message, nobody makes a folder in its place, and putting it back is all that is needed."""
    code = tmp_path / "mine"
    shutil.copytree(FUNCTIONS / "anything", code)
    tmp_path.chmod(0o755)
    function = emulator.add(Function(name="taken-away", code=code, memory=512))
    function.recycle()
    shutil.rmtree(code)
    with pytest.raises(ServiceError, match="the code of function taken-away is gone"):
        function.invoke({"do": "count"})
    assert not code.exists()
    shutil.copytree(FUNCTIONS / "anything", code)
    assert function.invoke({"do": "count"}).payload == 1
    function.recycle()


def test_concurrency_limit() -> None:
    """At the account's limit a request is refused with AWS's reason, and served again when there is room."""
    with Emulator({"emulator": {"sandbox": "process", "concurrency": 1}, "database": {"server": "none"}}) as emulator:
        function = emulator.add(Function(name="one", code=FUNCTIONS / "anything"))
        function.invoke({"do": "count"})
        since = emulator.last_event
        try:
            function.invoke_parallel([{"do": "sleep", "seconds": 0.5}] * 2)
        except ThrottledError as error:
            refused = error
        assert refused.body() == {
            "Reason": "ConcurrentInvocationLimitExceeded",
            "Type": "User",
            "message": "Rate Exceeded.",
        }
        emulator.wait_for("invocation.finished", since=since)
        assert function.invoke({"do": "count"}).payload >= 2


def test_stopping_in_the_middle_of_an_invocation_leaves_nothing() -> None:
    """Leaving the with block ends running environments; whoever waits for them is told."""
    failures: list[Exception] = []
    with Emulator({"emulator": {"sandbox": "process"}, "database": {"server": "none"}}) as emulator:
        function = emulator.add(Function(name="slow", code=FUNCTIONS / "anything", timeout=60))

        def wait_for_it() -> None:
            try:
                function.invoke({"do": "sleep", "seconds": 60})
            except ServiceError as error:
                failures.append(error)

        waiting = threading.Thread(target=wait_for_it)
        waiting.start()
        emulator.wait_for("environment.invoking")
        (view,) = function.environments()
    waiting.join(timeout=30)
    assert len(failures) == 1
    assert not Path(f"/proc/{view.sandbox.pid}").exists()
