"""The code that clients bring: archives, unpacked where nothing of them can do harm; folders, and what they come to.

[R] What cannot be unpacked is one and the same error to AWS, whatever is wrong with it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import lzma
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from emulator import text
from emulator.control.registry import Code
from emulator.errors import InvalidParameterValueError, RequestTooLargeError
from emulator.layers import MAX_UNZIPPED_BYTES

__all__ = ["HOT_RELOAD", "MAX_ZIPPED_BYTES", "CodeStore"]

HOT_RELOAD = "hot-reload"
"""As ``S3Bucket``: what is named by ``S3Key`` is a folder of this machine."""
MAX_ZIPPED_BYTES = 52_428_800
"""What one archive may have in a request [R]."""

_BROKEN = "Could not unzip uploaded file. Please check your file, then try to upload again."  # [R]
_EMPTY = "Uploaded file must be a non-empty zip"  # [X]
_TOO_LARGE = f"Unzipped size must be smaller than {MAX_UNZIPPED_BYTES} bytes"  # [R]
_TROUBLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError, ValueError)
_PIECE = 1 << 20
_LONGEST_LINK = 4096
_INSIDE = ("/var/task/", "/opt/")  # what an absolute link may lead to: it is there when the function runs
_FILE, _FOLDER = 0o644, 0o755
_NOT_CODE = frozenset({"__pycache__", ".git"})  # what comes of running it, or of writing it
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that an archive can name

_Json = Mapping[str, Any]


class CodeStore:
    """Where the code of functions is kept.

    Arguments:
        folder: everything is below it; it need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counted: dict[Path, tuple[object, tuple[str, int]]] = {}

    async def take(self, name: str, given: _Json) -> Code:
        """The code that a request brings: ``ZipFile``, a folder by the convention for hot reload, or ``ImageUri``.

        Raises:
            InvalidParameterValueError: it is none of these, or cannot be used.
            RequestTooLargeError: the archive is larger than AWS takes.
        """
        if (image := given.get("ImageUri")) is not None:
            # DIFFERS: on AWS it is the image's own digest, which is not known here before the image is.
            return Code("image", "", hashlib.sha256(image.encode()).hexdigest(), image=image)
        if (archive := given.get("ZipFile")) is not None:
            return await asyncio.to_thread(self._unpack, name, archive)
        if given.get("S3Bucket") == HOT_RELOAD:
            return _of_folder(given.get("S3Key", ""))
        if "S3Bucket" in given:
            raise InvalidParameterValueError(
                f"There is no S3 here: the bucket {given['S3Bucket']} cannot be read.",
                cure="Send the archive itself as ZipFile; or name a folder of this machine: "
                f'S3Bucket="{HOT_RELOAD}", S3Key="/its/whole/path".',
            )
        raise InvalidParameterValueError("Please provide a source for function code.")  # [X]

    async def keep(self, name: str, code: Code) -> Code:
        """The same code, which changes no more: what is a folder of the user's is copied."""
        if code.kind != "folder":
            return code
        return await asyncio.to_thread(self._copy, name, code)

    async def count(self, code: Code) -> tuple[str, int]:
        """SHA-256 in base64, and bytes: of the archive, or of what a folder would be as one."""
        if code.kind != "folder":
            return code.sha256, code.size
        return await asyncio.to_thread(self._count, Path(code.folder))

    async def drop(self, code: Code) -> None:
        """Nobody needs it any more; a folder of the user's stays."""
        if code.kind == "zip":
            await asyncio.to_thread(shutil.rmtree, Path(code.folder).parent, ignore_errors=True)

    # -- in a thread of its own --------------------------------------------------------------------------

    def _unpack(self, name: str, archive: bytes) -> Code:
        if len(archive) > MAX_ZIPPED_BYTES:
            raise RequestTooLargeError(f"Zipped size must be smaller than {MAX_ZIPPED_BYTES} bytes")
        place = self._make_place(name)
        try:
            _unzip(archive, place / "code")
            (place / "code.zip").write_bytes(archive)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        return Code("zip", str(place / "code"), _digest(archive), len(archive), archive=str(place / "code.zip"))

    def _copy(self, name: str, code: Code) -> Code:
        if self._folder.is_relative_to(code.folder):
            raise InvalidParameterValueError(f"The code in {code.folder} cannot be copied into itself: {self._folder}")
        place = self._make_place(name)
        try:
            shutil.copytree(code.folder, place / "code", symlinks=True, ignore=shutil.ignore_patterns(*_NOT_CODE))
            with (place / "code.zip").open("wb") as file:
                archive = _Counting(file)
                _zip(place / "code", archive)
        except (OSError, shutil.Error) as error:
            shutil.rmtree(place, ignore_errors=True)
            raise InvalidParameterValueError(f"The code in {code.folder} cannot be copied: {error}") from error
        return Code("zip", str(place / "code"), *archive.result, archive=str(place / "code.zip"))

    def _make_place(self, name: str) -> Path:
        place = self._folder / f"{name}-{text.new_request_id()}"
        place.mkdir(mode=_FOLDER, parents=True)
        place.chmod(_FOLDER)
        return place

    def _count(self, folder: Path) -> tuple[str, int]:
        state = _state(folder)
        known = self._counted.get(folder)
        if known is not None and known[0] == state:
            return known[1]
        counting = _Counting()
        try:
            _zip(folder, counting)
        except OSError:  # it is being saved, or is gone: counted as far as it went, and anew the next time
            return counting.result
        self._counted[folder] = (state, counting.result)
        return counting.result


class _Counting(io.RawIOBase):
    """A file that goes forward only, and knows its digest and its size; what is written goes on, if anywhere."""

    def __init__(self, onward: BinaryIO | None = None) -> None:
        self._onward = onward
        self._digest = hashlib.sha256()
        self._size = 0

    @property
    def result(self) -> tuple[str, int]:
        return base64.b64encode(self._digest.digest()).decode(), self._size

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._digest.update(data)
        self._size += len(data)
        if self._onward is not None:
            self._onward.write(data)
        return len(data)


def _of_folder(given: str) -> Code:
    folder = Path(given)
    if not folder.is_absolute() or not folder.is_dir():
        raise InvalidParameterValueError(f"{given} is not a folder of this machine; S3Key is its whole path.")
    return Code("folder", str(folder))


def _digest(archive: bytes) -> str:
    return base64.b64encode(hashlib.sha256(archive).digest()).decode()


def _state(folder: Path) -> object:
    """What differs when something in a folder does, without a look into its files."""
    states = []
    for name, path in _files(folder):
        with_links = path.lstat()
        states.append((name, with_links.st_mtime_ns, with_links.st_size, with_links.st_mode))
    return tuple(states)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Everything that is code, by its name in an archive, in one order on every machine; links are not followed."""
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - _NOT_CODE)
        links = [name for name in folders if Path(path, name).is_symlink()]
        for name in sorted([*files, *links]):
            found = Path(path, name)
            if found.is_symlink() or found.is_file():
                yield found.relative_to(folder).as_posix(), found


def _zip(folder: Path, file: _Counting) -> None:
    """The folder as an archive that is the same wherever and whenever it is made."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, path in _files(folder):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # the one that has modes
            mode = path.lstat().st_mode
            entry.external_attr = (stat.S_IFMT(mode) | (_FOLDER if mode & 0o100 else _FILE)) << 16
            data = os.readlink(path).encode() if stat.S_ISLNK(mode) else path.read_bytes()
            archive.writestr(entry, data)


# -- unpacking -------------------------------------------------------------------------------------------


def _unzip(archive: bytes, folder: Path) -> None:
    """Unpack an archive into a folder that is made for it.

    Links are made last, so that no entry can be written through one.

    Raises:
        InvalidParameterValueError: it is empty, broken, too large, or reaches out of the folder.
    """
    folder.mkdir(mode=_FOLDER)
    folder.chmod(_FOLDER)
    if not archive:
        raise InvalidParameterValueError(_EMPTY)
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            entries = opened.infolist()
            if not any(not entry.is_dir() for entry in entries):
                raise InvalidParameterValueError(_EMPTY)
            if sum(entry.file_size for entry in entries) >= MAX_UNZIPPED_BYTES:
                raise InvalidParameterValueError(_TOO_LARGE)
            _write_all(opened, entries, folder)
    except (*_TROUBLE, OSError) as error:
        raise InvalidParameterValueError(_BROKEN, cure=str(error)) from error


def _write_all(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], folder: Path) -> None:
    links: list[tuple[Path, str]] = []
    left = MAX_UNZIPPED_BYTES
    for entry in entries:
        name = PurePosixPath(entry.filename)
        if name.is_absolute() or ".." in name.parts:
            raise zipfile.BadZipFile(f"{entry.filename!r} is outside of its folder")
        if not name.parts:
            continue
        target = folder / name
        mode = entry.external_attr >> 16
        if entry.is_dir():
            _make_folders(folder, name)
        elif stat.S_ISLNK(mode):
            with archive.open(entry) as source:
                links.append((target, os.fsdecode(source.read(_LONGEST_LINK))))
            _make_folders(folder, name.parent)
        else:
            _make_folders(folder, name.parent)
            left -= _write(archive, entry, target, left)
            # DIFFERS: on AWS a file that only its owner may read is one that the function cannot.
            target.chmod(mode & 0o755 | _FILE)
    for target, leads_to in links:
        target.symlink_to(leads_to)
    for target, leads_to in links:
        known = f"{os.path.normpath(leads_to)}/".startswith(_INSIDE)
        if not known and not target.resolve().is_relative_to(folder.resolve()):
            raise zipfile.BadZipFile(f"{target.name!r} is a link that leads out of its folder")


def _make_folders(folder: Path, name: PurePosixPath) -> None:
    for part in name.parts:
        folder /= part
        if not folder.is_dir():
            folder.mkdir()
            folder.chmod(_FOLDER)  # whatever the mask of this process is


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, room: int) -> int:
    """Unpack one file, whatever its entry says of its size; answers how large it is."""
    written = 0
    with archive.open(entry) as source, target.open("wb") as file:
        while piece := source.read(_PIECE):
            written += len(piece)
            if written >= room:
                raise InvalidParameterValueError(_TOO_LARGE)
            file.write(piece)
    return written
