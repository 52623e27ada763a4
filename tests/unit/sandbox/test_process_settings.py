"""What processes are made of: the command line with and without a wrapper, and their variables."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from emulator.model import Function
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
