"""What processes are made of: the command line with and without a wrapper, and their variables."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.model import Function
from emulator.runtimes import KNOWN, own_runtime
from emulator.sandbox.debugger import debugger_variables
from emulator.sandbox.equipment import Equipment
from emulator.sandbox.process_settings import extension_variables, runtime_command, runtime_variables
from emulator.sandbox.runtime_main import search_path

CODE, OPT = Path("/srv/orders"), Path("/run/layers-1")
LIBRARY = f"python{sys.version_info.major}.{sys.version_info.minor}"


def function(**environment: str) -> Function:
    return Function(name="orders", code=CODE, handler="app.main", environment=environment)


def runtime(opt: Path | None = None, **given: str) -> dict[str, str]:
    return runtime_variables(function(), given, opt=opt, temporary=Path("/run/tmp"), runtime_api="127.1.0.1:9001")


def test_the_script_is_the_last_word_of_the_command_line() -> None:
    """Wrappers put options of the interpreter before it."""
    command = runtime_command(function(), None)
    assert command[0] == sys.executable
    assert Path(command[-1]).name == "runtime_main.py"


@pytest.mark.parametrize(
    ("wrapper", "place"),
    [
        ("/opt/bin/wrapper", OPT / "bin" / "wrapper"),
        ("/var/task/wrapper", CODE / "wrapper"),
        ("/usr/bin/env", Path("/usr/bin/env")),
        ("/optional/wrapper", Path("/optional/wrapper")),
    ],
)
def test_a_wrapper_is_looked_for_where_its_place_on_lambda_is_here(wrapper: str, place: Path) -> None:
    """And it gets the command line that the runtime would have had."""
    command = runtime_command(function(AWS_LAMBDA_EXEC_WRAPPER=wrapper), OPT)
    assert command[-4:] == [place, *runtime_command(function(), OPT)]


def test_without_layers_nothing_speaks_of_them() -> None:
    """Search paths are what they were."""
    found = runtime()
    assert found["PYTHONPATH"] == str(CODE)
    assert found["PATH"] == f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    assert found.keys().isdisjoint({"LAMBDA_FREEZER_OPT", "LD_LIBRARY_PATH"})


def test_layers_come_after_the_code() -> None:
    """In the order of AWS: code, a library of this version, any library; programs and shared libraries as well."""
    found = runtime(OPT)
    assert found["PYTHONPATH"] == f"{CODE}:{OPT}/python/lib/{LIBRARY}/site-packages:{OPT}/python"
    assert found["PATH"].endswith(f":/bin:{OPT}/bin")
    assert found["LD_LIBRARY_PATH"] == f"{OPT}/lib"
    assert found["LAMBDA_FREEZER_OPT"] == str(OPT)


def test_users_win_over_search_paths_and_not_over_addresses() -> None:
    """What AWS reserves is refused earlier; here nobody can get in between all the same."""
    found = runtime(OPT, PYTHONPATH="mine", LD_LIBRARY_PATH="mine", AWS_LAMBDA_RUNTIME_API="elsewhere")
    assert (found["PYTHONPATH"], found["LD_LIBRARY_PATH"]) == ("mine", "mine")
    assert found["AWS_LAMBDA_RUNTIME_API"] == found["AWS_LAMBDA_METADATA_API"] == "127.1.0.1:9001"


def test_extensions_see_less() -> None:
    """Not what is documented to be hidden, and not what a runtime sets for itself; the address they need they see."""
    given = {"COLOUR": "blue", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11", "_AWS_XRAY_DAEMON_PORT": "2000"}
    found = extension_variables(function(), given, opt=OPT, temporary=Path("/run/tmp"), runtime_api="127.1.0.1:9001")
    assert found.keys() == {
        *("PATH", "LANG", "TZ", "TMPDIR", "PWD", "SHLVL", "LD_LIBRARY_PATH", "LAMBDA_FREEZER_OPT", "COLOUR"),
        *("AWS_LAMBDA_METADATA_API", "AWS_LAMBDA_RUNTIME_API"),
    }


def test_the_runtimes_own_search_path_cannot_be_taken_from_it() -> None:
    """Whatever PYTHONPATH says: code and layers first, each once, then the rest in its order."""
    before = ["/mine", f"{OPT}/python", "/usr/lib/python", str(CODE)]
    assert search_path(str(CODE), str(OPT), before) == [
        str(CODE),
        f"{OPT}/python/lib/{LIBRARY}/site-packages",
        f"{OPT}/python",
        "/mine",
        "/usr/lib/python",
    ]
    assert search_path(str(CODE), "", ["/usr/lib/python"]) == [str(CODE), "/usr/lib/python"]


# -- other languages -----------------------------------------------------------------------------------------------

MODULES = Path("/srv/runtimes/nodejs/node_modules")
NODE = Equipment(KNOWN["nodejs22.x"], Path("/usr/local/node/bin/node"), (MODULES / "aws-lambda-ric/dist/index.mjs",))
JAVA = Equipment(KNOWN["java21"], Path("/usr/bin/java"), (Path("/jars/a.jar"), Path("/jars/b.jar")))
BROUGHT = Equipment(KNOWN["provided.al2023"])
OWN = Equipment(own_runtime("mine", command=("./run", "$_HANDLER", "${LAMBDA_TASK_ROOT}/x", "$$5", "$UNKNOWN")))
OF_PYTHON = {"PYTHONPATH", "LAMBDA_FREEZER_ORIGINS"}


def other(equipment: Equipment, opt: Path | None = None) -> dict[str, str]:
    return runtime_variables(
        function(), {}, opt=opt, temporary=Path("/run/tmp"), runtime_api="127.1.0.1:9001", equipment=equipment
    )


def test_node_is_given_its_share_of_the_memory() -> None:
    """The script is the last word, as wrappers expect it."""
    command = runtime_command(function(), None, NODE)
    assert command[0] == NODE.program
    assert {"--max-semi-space-size=6", "--max-old-space-size=116"} <= set(command)
    assert Path(command[-1]).name == "nodejs_main.mjs"


@pytest.mark.parametrize(("wait", "option"), [(False, "--inspect"), (True, "--inspect-brk")])
def test_node_listens_for_a_debugger_where_it_is_told_to(wait: bool, option: str) -> None:
    """It stops at its first line for one that is coming."""
    told = debugger_variables(("127.1.2.3", 41_000), wait=wait)
    assert runtime_command(function(), None, NODE, variables=told)[1] == f"{option}=127.1.2.3:41000"
    assert not [word for word in runtime_command(function(), None, NODE) if "--inspect" in str(word)]


def test_node_finds_layers_client_and_code() -> None:
    """In the order of AWS; its own folder comes first in PATH, and no Python's."""
    found = other(NODE, OPT)
    assert found["NODE_PATH"] == f"{OPT}/nodejs/node22/node_modules:{OPT}/nodejs/node_modules:{MODULES}:{CODE}"
    assert found["PATH"] == f"/usr/local/node/bin:/usr/local/bin:/usr/bin:/bin:{OPT}/bin"
    assert found["LD_LIBRARY_PATH"] == f"{CODE}:{CODE}/lib:{OPT}/lib"
    assert found["LAMBDA_RUNTIME_DIR"] == str(MODULES / "aws-lambda-ric/dist")
    assert found["LAMBDA_FREEZER_CLIENT"] == str(MODULES / "aws-lambda-ric/dist/index.mjs")
    assert other(NODE)["NODE_PATH"] == f"{MODULES}:{CODE}"


def test_java_has_client_code_and_layers_on_its_class_path() -> None:
    """In this order; most of the memory is its heap's, and /tmp is where TMPDIR says."""
    command = runtime_command(function(), OPT, JAVA, variables={"TMPDIR": "/run/tmp"})
    assert command[0] == JAVA.program
    assert command[command.index("-cp") + 1] == f"/jars/a.jar:/jars/b.jar:{CODE}:{CODE}/lib/*:{OPT}/java/lib/*"
    assert {"-XX:MaxHeapSize=108m", "-Djava.io.tmpdir=/run/tmp"} <= set(command)
    assert command[-2:] == ["com.amazonaws.services.lambda.runtime.api.client.AWSLambda", "app.main"]
    assert other(JAVA)["LAMBDA_RUNTIME_DIR"] == "/jars"
    assert not [word for word in command if "NativeClient.JNI" in str(word)]
    unpacked = runtime_command(function(), None, replace(JAVA, native=Path("/run/client.so")))
    assert [str(word).rpartition("=")[2] for word in unpacked if "NativeClient.JNI" in str(word)] == ["/run/client.so"]


def test_a_program_of_the_functions_own_is_all_there_is() -> None:
    """[D] Not even a wrapper is asked for."""
    wrapped = function(AWS_LAMBDA_EXEC_WRAPPER="/opt/wrapper")
    assert runtime_command(wrapped, OPT, BROUGHT, bootstrap=CODE / "bootstrap") == [CODE / "bootstrap"]
    assert other(BROUGHT)["LAMBDA_RUNTIME_DIR"] == "/var/runtime"
    assert other(BROUGHT)["PATH"] == "/usr/local/bin:/usr/bin:/bin"


def test_a_command_of_the_configuration_knows_the_variables() -> None:
    """What is none of them stays as it is; a wrapper comes in front of it."""
    variables = other(OWN)
    expected = ["./run", "app.main", f"{CODE}/x", "$5", "$UNKNOWN"]
    assert runtime_command(function(), None, OWN, variables=variables) == expected
    wrapped = function(AWS_LAMBDA_EXEC_WRAPPER="/var/task/wrapper")
    assert runtime_command(wrapped, None, OWN, variables=variables)[-6:] == [CODE / "wrapper", *expected]
    found = Equipment(own_runtime("mine", command=("deno", "run")), Path("/opt/deno/bin/deno"))
    assert runtime_command(function(), None, found) == [Path("/opt/deno/bin/deno"), "run"]


@pytest.mark.parametrize("equipment", [NODE, JAVA, BROUGHT, OWN], ids=["node", "java", "provided", "own"])
def test_nobody_else_has_what_is_pythons(equipment: Equipment) -> None:
    """Neither its variables nor the emulator's own interpreter in PATH; extensions likewise."""
    found = other(equipment, OPT)
    assert found.keys().isdisjoint(OF_PYTHON)
    assert str(Path(sys.executable).parent) not in found["PATH"].split(":")
    beside = extension_variables(
        function(), {}, opt=OPT, temporary=Path("/run/tmp"), runtime_api="127.1.0.1:9001", equipment=equipment
    )
    assert beside["PATH"] == found["PATH"]
    assert "LAMBDA_FREEZER_CLIENT" not in beside
