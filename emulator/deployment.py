"""A function's code and its layers: whether they can be used."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from emulator.errors import CodeError
from emulator.model import Function

__all__ = ["check_code"]

_OTHERS = stat.S_IROTH | stat.S_IXOTH
_CODE = "code names the folder that holds the handler's file, or what a build makes: build it first."


def check_code(function: Function, *, other_user: bool) -> None:
    """Refuse a folder that a sandbox could not use; and layers of which that can be seen without unpacking them.

    Arguments:
        other_user: the code is read by a user who is not us, as in a container.

    Raises:
        CodeError: it is missing, no folder, unreadable or empty, with the cure.
    """
    if function.code is not None:
        _check_code_folder(function.name, function.code, other_user=other_user)
    for layer in function.layers:
        _check_layer(f"function {function.name}: its layer {layer}", layer, other_user=other_user)


def _check_code_folder(function: str, folder: Path, *, other_user: bool) -> None:
    where = f"function {function}: its code {folder}"
    if not folder.exists():
        raise CodeError(f"{where} does not exist", cure=_CODE)
    if not folder.is_dir():
        raise CodeError(f"{where} is not a folder", cure="code names a folder, not a file or an archive.")
    _check_folder(where, folder, other_user=other_user)
    if not any(folder.iterdir()):
        raise CodeError(f"{where} is empty", cure=_CODE)


def _check_layer(where: str, layer: Path, *, other_user: bool) -> None:
    if not layer.exists():
        raise CodeError(f"{where} does not exist", cure="layers names folders and zip archives.")
    if layer.is_dir():
        _check_folder(where, layer, other_user=other_user)
    elif not os.access(layer, os.R_OK):
        raise CodeError(f"{where} cannot be read", cure=f"chmod u+r {layer}")


def _check_folder(where: str, folder: Path, *, other_user: bool) -> None:
    if not os.access(folder, os.R_OK | os.X_OK):
        raise CodeError(f"{where} cannot be read", cure=f"chmod u+rx {folder}")
    if other_user and folder.stat().st_mode & _OTHERS != _OTHERS:
        raise CodeError(
            f"{where} can be read by its owner only, and Lambda runs code as another user",
            cure=f"chmod -R o+rX {folder}",
        )
