"""Layers: folders and zip archives that become one ``/opt``, later ones over earlier ones.

What AWS unpacks as its own user is unpacked here with the rights of whoever runs the emulator, so nothing of a layer
may leave its folder: neither by its name nor through a link that another entry has made.
"""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from emulator.errors import CodeError
from emulator.model import Function

__all__ = ["MAX_UNZIPPED_BYTES", "extension_names", "merge_layers", "unpack_layer", "unpacked_size"]

MAX_UNZIPPED_BYTES = 262_144_000
"""What code and layers may take together [D]."""

_NO_MODE_FILE, _NO_MODE_FOLDER = 0o644, 0o755  # for archives of systems that have no modes
_LONGEST_LINK = 4096
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError)


def merge_layers(function: Function, opt: Path) -> None:
    """Put all layers of a function into ``opt``, an empty folder, in their order.

    Files keep their modes, links stay links. Folders can always be entered and changed by us, who have to remove them.

    Raises:
        CodeError: a layer is no folder and no archive, is broken, reaches out of its folder, or all that the function
            brings is too large.
    """
    opt = opt.resolve()
    layers = [_Layer(f"function {function.name}: its layer {path}", path) for path in function.layers]
    size = (_size_of(function.code) if function.code is not None else 0) + sum(layer.size() for layer in layers)
    if size > MAX_UNZIPPED_BYTES:
        raise CodeError(
            f"function {function.name}: code and layers take {size:,} bytes unzipped",
            cure=f"Together they may take {MAX_UNZIPPED_BYTES:,}, as on AWS; leave out what is not imported.",
        )
    for layer in layers:
        layer.add_to(opt)


def unpack_layer(path: Path, folder: Path) -> None:
    """Put one layer into a folder that is made for it, as :func:`merge_layers` would.

    Raises:
        CodeError: it is no archive, is broken, reaches out of its folder, or is too large.
    """
    folder.mkdir()
    layer = _Layer(f"layer {path.name}", path)
    if layer.size() > MAX_UNZIPPED_BYTES:
        raise CodeError(f"Unzipped size must be smaller than {MAX_UNZIPPED_BYTES} bytes")  # [R]
    layer.add_to(folder.resolve())


def unpacked_size(path: Path) -> int:
    """Bytes of a folder, or of an archive when it is unpacked.

    Raises:
        CodeError: it is no archive, or cannot be read.
    """
    return _Layer(f"layer {path.name}", path).size()


def extension_names(opt: Path) -> tuple[str, ...]:
    """The external extensions of a merged ``/opt``: whatever is directly in ``extensions`` and no folder [C]."""
    try:
        entries = list(os.scandir(opt / "extensions"))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    # A name over two lines could not be told to a shell, nor registered in an HTTP header.
    return tuple(sorted(entry.name for entry in entries if not entry.is_dir() and "\n" not in entry.name))


class _Layer:
    """One layer; ``where`` begins what is said of it."""

    def __init__(self, where: str, path: Path) -> None:
        self._path = path
        self._where = where

    def size(self) -> int:
        """Bytes when unpacked."""
        if self._path.is_dir():
            return _size_of(self._path)
        with self._archive() as archive:
            return sum(entry.file_size for entry in archive.infolist())

    def add_to(self, opt: Path) -> None:
        try:
            if self._path.is_dir():
                self._add_folder(opt)
            else:
                with self._archive() as archive:
                    for entry in archive.infolist():
                        self._add_entry(opt, archive, entry)
        except _BROKEN as error:
            raise CodeError(f"{self._where} cannot be unpacked: {error}", cure="Make the archive anew.") from error
        except OSError as error:
            raise CodeError(
                f"{self._where} cannot be unpacked: {error}", cure="Look at its modes, and at the room in TMPDIR."
            ) from error

    def _archive(self) -> zipfile.ZipFile:
        cure = "A layer is a folder or a zip archive whose content goes to /opt."
        try:
            return zipfile.ZipFile(self._path)
        except _BROKEN as error:
            raise CodeError(f"{self._where} is no zip archive: {error}", cure=cure) from error
        except OSError as error:
            raise CodeError(f"{self._where} cannot be read: {error.strerror}", cure=cure) from error

    def _add_folder(self, opt: Path) -> None:
        for source, name in _walk(self._path):
            found = source.lstat()
            if stat.S_ISLNK(found.st_mode):
                self._cleared(opt, name).symlink_to(source.readlink())
            elif stat.S_ISDIR(found.st_mode):
                self._make_folder(opt, name, found.st_mode)
            elif stat.S_ISREG(found.st_mode):  # a socket or a pipe would not get into an archive either
                shutil.copy2(source, self._cleared(opt, name))

    def _add_entry(self, opt: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        name = PurePosixPath(entry.filename)
        if name.is_absolute() or ".." in name.parts:
            raise self._climbing(entry.filename)
        if not name.parts:
            return
        mode = entry.external_attr >> 16
        if entry.is_dir():
            self._make_folder(opt, name, mode or _NO_MODE_FOLDER)
        elif stat.S_ISLNK(mode):
            with archive.open(entry) as file:
                self._cleared(opt, name).symlink_to(os.fsdecode(file.read(_LONGEST_LINK)))
        else:
            target = self._cleared(opt, name)
            with archive.open(entry) as source, target.open("xb") as file:
                shutil.copyfileobj(source, file)
            target.chmod(mode & 0o777 or _NO_MODE_FILE)

    def _make_folder(self, opt: Path, name: PurePosixPath, mode: int) -> None:
        target = self._way_to(opt, name.parent) / name.name
        if not (self._leads_to_folder_inside(opt, target) if target.is_symlink() else target.is_dir()):
            target.unlink(missing_ok=True)
            target.mkdir()
        target.chmod(mode & 0o777 | 0o700)

    def _cleared(self, opt: Path, name: PurePosixPath) -> Path:
        """Where an entry goes; what an earlier layer had put there is gone."""
        target = self._way_to(opt, name.parent) / name.name
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
        return target

    def _way_to(self, opt: Path, name: PurePosixPath) -> Path:
        """A folder inside ``opt``, with all above it; archives need not name their folders."""
        folder = opt
        for part in name.parts:
            folder /= part
            if folder.is_symlink():
                if not self._leads_to_folder_inside(opt, folder):
                    raise self._climbing(str(name))
            elif not folder.is_dir():
                folder.unlink(missing_ok=True)
                folder.mkdir(mode=_NO_MODE_FOLDER)
                folder.chmod(_NO_MODE_FOLDER)  # whatever the mask of this process is
        return folder

    @staticmethod
    def _leads_to_folder_inside(opt: Path, link: Path) -> bool:
        real = link.resolve()
        return real.is_dir() and real.is_relative_to(opt)

    def _climbing(self, name: str) -> CodeError:
        return CodeError(
            f"{self._where} holds {name!r}, which is outside of its folder",
            cure="Names in a layer are relative, and no link on the way to them leads out of it; make it anew.",
        )


def _walk(folder: Path) -> Iterator[tuple[Path, PurePosixPath]]:
    """Everything below a folder, folders before what is in them; links are not followed."""
    for path, folders, files in os.walk(folder):
        for name in sorted(folders) + sorted(files):
            source = Path(path, name)
            yield source, PurePosixPath(source.relative_to(folder))


def _size_of(folder: Path) -> int:
    return sum(found.st_size for source, _ in _walk(folder) if stat.S_ISREG((found := source.lstat()).st_mode))
