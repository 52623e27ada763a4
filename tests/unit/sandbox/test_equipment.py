"""What processes are made of: interpreters and AWS's clients, and the sentence for what is missing."""

from __future__ import annotations

import json
import platform
import zipfile
from pathlib import Path

import pytest

from emulator.errors import RuntimeNotFoundError
from emulator.model import Function
from emulator.runtimes import KNOWN, own_runtime
from emulator.sandbox import equipment
from emulator.sandbox.equipment import (
    JAVA_CLIENT,
    NODE_CLIENT,
    Equipment,
    client_folders,
    equip,
    unpack_native,
    version_of,
)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that PATH leads to."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(equipment, "_PROGRAMS", str(folder))
    monkeypatch.setattr(equipment, "_CHECKOUT", tmp_path / "no checkout")
    return folder


@pytest.fixture
def function(tmp_path: Path) -> Function:
    folder = tmp_path / "code"
    folder.mkdir()
    return Function(name="orders", code=folder)


def program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def node_client(folder: Path, main: str = "dist/index.mjs", native: str | None = "dist") -> Path:
    """AWS's client as npm installs it below a folder; answers its main module."""
    package = folder / "node_modules" / NODE_CLIENT
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"main": main}))
    (package / main).touch()
    if native is not None:
        (package / native / "rapid-client.node").touch()
    return package / main


def refusal(runtime: str, function: Function | None = None, *folders: Path) -> RuntimeNotFoundError:
    with pytest.raises(RuntimeNotFoundError) as caught:
        equip(KNOWN[runtime], function, folders)
    return caught.value


# -- where -----------------------------------------------------------------------------------------------------


def test_clients_are_looked_for_in_three_places(tmp_path: Path) -> None:
    """What the variable names, the user's cache, and that of a checkout, if it is one."""
    variables = {"LAMBDA_FREEZER_RUNTIMES": "/srv/runtimes", "XDG_CACHE_HOME": "/cache"}
    named, cache = Path("/srv/runtimes"), Path("/cache/lambda-freezer/runtimes")
    assert client_folders(variables, tmp_path) == [named, cache]
    (tmp_path / "dev").touch()
    assert client_folders(variables, tmp_path) == [named, cache, tmp_path / ".cache/runtimes"]
    (own,) = client_folders({}, tmp_path / "other")
    assert own.parts[-3:] == (".cache", "lambda-freezer", "runtimes")


# -- Python, and what the function brings ------------------------------------------------------------------------


def test_python_and_a_functions_own_program_need_nothing(programs: Path, function: Function) -> None:
    """The first is the emulator's own."""
    assert equip(KNOWN["python3.12"], function, []) == Equipment(KNOWN["python3.12"])
    found = equip(KNOWN["provided.al2023"], function, [])
    assert found == Equipment(KNOWN["provided.al2023"])
    assert found.brings_bootstrap


def test_what_is_known_by_its_image_only_is_refused(programs: Path, function: Function) -> None:
    """With what to do about it, in TOML that is right."""
    error = refusal("ruby3.4", function)
    assert error.message == "function orders: there is no command for a process of the runtime ruby3.4"
    assert '[runtimes."ruby3.4"]' in error.cure


# -- Node.js -----------------------------------------------------------------------------------------------------


def test_node_needs_a_program(programs: Path, function: Function) -> None:
    """The cure is a command."""
    error = refusal("nodejs20.x", function)
    assert error.message == "function orders: nodejs20.x needs Node.js, and there is no node in PATH"
    assert error.cure == "Install it: sudo apt-get install nodejs"


def test_node_needs_awss_client(programs: Path, function: Function) -> None:
    """Likewise; somebody with a checkout has a shorter way."""
    program(programs, "node")
    error = refusal("nodejs20.x", function)
    assert error.message == "function orders: nodejs20.x needs AWS's runtime client for Node.js, aws-lambda-ric"
    assert error.cure == "Install it: npm install --prefix ~/.cache/lambda-freezer/runtimes/nodejs aws-lambda-ric"
    equipment._CHECKOUT.mkdir()
    (equipment._CHECKOUT / "dev").touch()
    assert refusal("nodejs20.x", function).cure.startswith("Install it: ./dev setup, or npm install")


def test_the_cure_is_where_clients_are_looked_for(
    programs: Path, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for who keeps his cache elsewhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    for name, runtime in (("node", "nodejs20.x"), ("java", "java17")):
        program(programs, name)
        assert f"/cache/lambda-freezer/runtimes/{runtime[:4]}" in refusal(runtime, function).cure


def test_the_functions_own_client_comes_first(programs: Path, function: Function, tmp_path: Path) -> None:
    """Then those of the folders, in their order."""
    node = program(programs, "node")
    first, second = tmp_path / "first", tmp_path / "second"
    main = node_client(second / "nodejs")
    assert equip(KNOWN["nodejs20.x"], function, [first, second]) == Equipment(KNOWN["nodejs20.x"], node, (main,))
    main = node_client(first / "nodejs", "index.mjs", ".")  # as since version 4
    assert equip(KNOWN["nodejs20.x"], function, [first, second]).client == (main,)
    main = node_client(function.folder)
    assert equip(KNOWN["nodejs20.x"], function, [first, second]).client == (main,)
    assert equip(KNOWN["nodejs20.x"], None, [second]).client[0].is_relative_to(second)


def test_a_client_without_its_native_part_is_refused(programs: Path, function: Function) -> None:
    """npm may have been told not to run what builds it."""
    program(programs, "node")
    node_client(function.folder, native=None)
    error = refusal("nodejs20.x", function)
    assert "was installed without its native part" in error.message
    assert f"npm rebuild --prefix {function.code} --foreground-scripts aws-lambda-ric" in error.cure


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"main": 1}', '{"main": "gone.mjs"}'])
def test_what_is_no_package_is_passed_over(programs: Path, function: Function, content: str) -> None:
    """As if it were not there."""
    program(programs, "node")
    folder = node_client(function.folder).parents[1]
    (folder / "package.json").write_text(content)
    assert "needs AWS's runtime client" in refusal("nodejs20.x", function).message


# -- Java --------------------------------------------------------------------------------------------------------


def test_java_needs_a_program_and_awss_client(programs: Path, function: Function) -> None:
    """Each with its command."""
    error = refusal("java21", function)
    assert error.message == "function orders: java21 needs Java, and there is no java in PATH"
    program(programs, "java")
    error = refusal("java21", function)
    assert error.message == f"function orders: java21 needs AWS's runtime client for Java, {JAVA_CLIENT}"
    assert "mvn -q dependency:copy -Dartifact=$jar" in error.cure


def test_all_archives_of_the_folder_belong_to_javas_client(programs: Path, function: Function, tmp_path: Path) -> None:
    """Unless the function's own package has it, with what it needs."""
    java, folder = program(programs, "java"), tmp_path / "runtimes" / "java"
    folder.mkdir(parents=True)
    (folder / "other-1.jar").touch()
    assert "needs AWS's runtime client" in refusal("java21", function, tmp_path / "runtimes").message
    client = folder / f"{JAVA_CLIENT}-2.9.0.jar"
    client.touch()
    found = equip(KNOWN["java21"], function, [tmp_path / "runtimes"])
    assert found == Equipment(KNOWN["java21"], java, (client, folder / "other-1.jar"), client)
    (function.folder / "lib").mkdir()
    own = function.folder / "lib" / client.name
    own.touch()
    assert equip(KNOWN["java21"], function, [tmp_path / "runtimes"]) == Equipment(KNOWN["java21"], java, archive=own)


@pytest.mark.parametrize(
    ("libc", "machine", "member"),
    [
        ("glibc", "x86_64", "linux-x86_64"),
        ("glibc", "aarch64", "linux-aarch_64"),
        ("", "x86_64", "linux_musl-x86_64"),
    ],
)
def test_the_native_part_of_javas_client_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, libc: str, machine: str, member: str
) -> None:
    """The one for this machine; where there is none the client has to look for itself."""
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, ""))
    monkeypatch.setattr(platform, "machine", lambda: machine)
    archive, place = tmp_path / "client.jar", tmp_path / "client.so"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr(f"jni/libaws-lambda-jni.{member}.so", "native")
    assert unpack_native(archive, place) == place
    assert place.read_text() == "native"
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert unpack_native(archive, place) is None
    assert unpack_native(tmp_path / "none.jar", place) is None
    place.unlink()
    place.write_text("no archive")
    assert unpack_native(place, tmp_path / "other.so") is None


# -- one's own ---------------------------------------------------------------------------------------------------


def test_a_command_needs_its_program(programs: Path, function: Function) -> None:
    """One that has a path is looked for when it is started; it may be the function's."""
    with pytest.raises(RuntimeNotFoundError, match="the runtime deno needs the program deno, which is not in PATH"):
        equip(own_runtime("deno", command=("deno", "run")), function, [])
    deno = program(programs, "deno")
    assert equip(own_runtime("deno", command=("deno", "run")), function, []).program == deno
    for word in ("./server", "/opt/bin/server", "$LAMBDA_TASK_ROOT/server"):
        assert equip(own_runtime("mine", command=(word,)), function, []).program is None
    assert not equip(own_runtime("provided.al2", command=("./run",)), function, []).brings_bootstrap


@pytest.mark.parametrize(
    ("said", "version"),
    [("echo v20.20.2", "20"), ("echo openjdk 17.0.15 2025-04-15", "17"), ("echo 1.2 >&2", "1"), ("exit 1", "")],
)
def test_an_interpreter_tells_its_version(programs: Path, said: str, version: str) -> None:
    """The first number; none where it says none."""
    assert version_of(program(programs, "some", f"#!/bin/sh\n{said}\n")) == version
    assert version_of(programs / "none") == ""
