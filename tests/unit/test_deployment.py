"""A function's code: which folders are refused, and which changes are noticed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.deployment import check_code
from emulator.errors import CodeError
from emulator.model import Function


def function(code: Path) -> Function:
    return Function(name="orders", code=code)


def refusal(code: Path, *, other_user: bool = False) -> CodeError:
    with pytest.raises(CodeError) as caught:
        check_code(function(code), other_user=other_user)
    return caught.value


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with a handler, as a user has it."""
    folder = tmp_path / "orders"
    folder.mkdir(mode=0o755)
    (folder / "app.py").write_text("def handler(event, context): ...\n")
    return folder


def test_an_image_has_no_code_that_could_be_wrong() -> None:
    """Its layers are looked at like those of any other."""
    check_code(Function(name="orders", image="mine:1"), other_user=True)
    with pytest.raises(CodeError, match="its layer /none does not exist"):
        check_code(Function(name="orders", image="mine:1", layers=[Path("/none")]), other_user=True)


@contextlib.contextmanager
def as_ordinary_user() -> Iterator[None]:
    """What access checks say to a user without rights; root passes every one of them."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(65_534, 0, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_a_folder_with_code_is_accepted(code: Path) -> None:
    """By us and by another user."""
    check_code(function(code), other_user=False)
    check_code(function(code), other_user=True)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """The message names function and folder."""
    error = refusal(tmp_path / "missing")
    assert error.message == f"function orders: its code {tmp_path / 'missing'} does not exist"
    assert error.cure


def test_a_file_is_refused(code: Path) -> None:
    """An archive or a module is no folder."""
    assert "is not a folder" in refusal(code / "app.py").message


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """There is no handler in it."""
    assert "is empty" in refusal(tmp_path).message


def test_a_folder_that_we_cannot_read_is_refused(code: Path) -> None:
    """The cure is the command that helps."""
    code.chmod(0o000)
    with as_ordinary_user():
        error = refusal(code)
    assert "cannot be read" in error.message
    assert error.cure == f"chmod u+rx {code}"


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o754, 0o751])
def test_a_private_folder_is_refused_where_another_user_runs_the_code(code: Path, mode: int) -> None:
    """In a container the code is read by Lambda's user; as a process it is read by us."""
    code.chmod(mode)
    check_code(function(code), other_user=False)
    error = refusal(code, other_user=True)
    assert "can be read by its owner only" in error.message
    assert error.cure == f"chmod -R o+rX {code}"


def layered(code: Path, *layers: Path) -> Function:
    return Function(name="orders", code=code, layers=layers)


def test_layers_that_can_be_used_are_accepted(tmp_path: Path, code: Path) -> None:
    """A folder and a file; whether that is an archive is seen when it is unpacked."""
    folder, archive = tmp_path / "folder", tmp_path / "layer.zip"
    folder.mkdir(mode=0o755)
    archive.touch()
    check_code(layered(code, folder, archive), other_user=True)


def test_a_missing_layer_is_refused(tmp_path: Path, code: Path) -> None:
    """The message names function and layer."""
    with pytest.raises(CodeError) as caught:
        check_code(layered(code, tmp_path / "missing"), other_user=False)
    assert caught.value.message == f"function orders: its layer {tmp_path / 'missing'} does not exist"
    assert caught.value.cure


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_a_layer_that_we_cannot_read_is_refused(kind: str) -> None:
    """The cure is the command that helps."""
    with tempfile.TemporaryDirectory() as place:  # other users have to be let into it, to see the code
        Path(place).chmod(0o755)
        code, layer = Path(place) / "code", Path(place) / "layer"
        code.mkdir(mode=0o755)
        (code / "app.py").touch()
        if kind == "folder":
            layer.mkdir()
        else:
            layer.touch()
        layer.chmod(0o000)
        with as_ordinary_user(), pytest.raises(CodeError) as caught:
            check_code(layered(code, layer), other_user=False)
    assert caught.value.message == f"function orders: its layer {layer} cannot be read"
    assert caught.value.cure.startswith("chmod u+r")


def test_a_private_layer_is_refused_where_another_user_runs_the_code(tmp_path: Path, code: Path) -> None:
    """As private code is."""
    layer = tmp_path / "layer"
    layer.mkdir(mode=0o700)
    check_code(layered(code, layer), other_user=False)
    with pytest.raises(CodeError, match="can be read by its owner only"):
        check_code(layered(code, layer), other_user=True)
