"""Code that clients bring: what is unpacked, and what is refused without a trace."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.control import code as code_module
from emulator.control.code import MAX_ZIPPED_BYTES, CodeStore
from emulator.control.registry import Code
from emulator.errors import InvalidParameterValueError, RequestError, RequestTooLargeError
from tests.unit.control.archives import archive, link

BROKEN = "Could not unzip uploaded file. Please check your file, then try to upload again."


@pytest.fixture
def store(tmp_path: Path) -> CodeStore:
    """A store in a folder of its own, beside which nothing may appear."""
    return CodeStore(tmp_path / "store" / "code")


def take(store: CodeStore, **given: Any) -> Code:
    """What comes of a request's code."""
    return asyncio.run(store.take("orders", given))


def refusal(store: CodeStore, kind: type[RequestError] = InvalidParameterValueError, **given: Any) -> str:
    """The message with which it is refused."""
    with pytest.raises(kind) as caught:
        take(store, **given)
    return caught.value.message


def files(folder: Path) -> set[str]:
    """Everything below it that is no folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()}


def test_an_archive_is_unpacked_as_it_was_packed(store: CodeStore, tmp_path: Path) -> None:
    """Names, content, execution bits and links; digest and size are those of the archive."""
    script = zipfile.ZipInfo("bin/run.sh")
    script.external_attr = (stat.S_IFREG | 0o755) << 16
    given_archive = archive(("app.py", "x = 1"), (script, "#!/bin/sh"), ("empty/", ""), (link("lib/now"), "../bin"))
    code = take(store, ZipFile=given_archive)
    folder = Path(code.folder)
    assert files(folder) == {"app.py", "bin/run.sh", "lib/now"}
    assert (folder / "empty").is_dir()
    assert (folder / "lib/now/run.sh").read_text() == "#!/bin/sh"
    assert (folder / "app.py").stat().st_mode & 0o777 == 0o644  # whatever its mode in the archive
    assert (folder / "bin/run.sh").stat().st_mode & 0o777 == 0o755
    assert (code.kind, code.size) == ("zip", len(given_archive))
    assert code.sha256 == base64.b64encode(hashlib.sha256(given_archive).digest()).decode()
    assert Path(str(code.archive)).read_bytes() == given_archive
    asyncio.run(store.drop(code))
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    "entries",
    [
        [("../evil.py", "x")],
        [("a/../../evil.py", "x")],
        [("/evil.py", "x")],
        [(link("out"), "../../..")],
        [(link("out"), "/etc/passwd")],
        [(link("out"), "/opt/../etc/passwd")],
        [(link("d"), "."), (link("e"), "d/../..")],
        [(link("d"), ".."), ("d/evil.py", "x")],
        [("d/evil.py", "x"), (link("d"), "..")],
        [(link("a"), "b"), (link("b"), "a"), (link("c"), "a/../../..")],
        [("file", "x"), ("file/below", "x")],
        [("n" * 300, "x")],
    ],
)
def test_what_reaches_out_is_refused_and_nothing_is_left(store: CodeStore, tmp_path: Path, entries: Any) -> None:
    """By names, by links, by links on the way, by what no folder can hold: one message, and not a file anywhere."""
    assert refusal(store, ZipFile=archive(*entries)) == BROKEN
    assert files(tmp_path) == set()


def test_links_to_where_code_and_layers_are_mounted_may_stay(store: CodeStore) -> None:
    """They lead somewhere when the function runs."""
    code = take(store, ZipFile=archive((link("a"), "/opt/lib/a.so"), (link("b"), "/var/task/a")))
    assert files(Path(code.folder)) == {"a", "b"}


@pytest.mark.parametrize(
    "given_bytes",
    [b"no archive", archive()[:-9], archive()[:40], b"PK\x05\x06" + b"\0" * 10],
    ids=["never one", "its end cut off", "its beginning", "less than an end"],
)
def test_what_is_no_archive_is_refused(store: CodeStore, tmp_path: Path, given_bytes: bytes) -> None:
    """Whether it never was one or was cut off."""
    assert refusal(store, ZipFile=given_bytes) == BROKEN
    assert files(tmp_path) == set()


@pytest.mark.parametrize("given_bytes", [b"", archive(("folder/", "")), b"PK\x05\x06" + b"\0" * 18])
def test_an_archive_of_nothing_is_refused(store: CodeStore, given_bytes: bytes) -> None:
    """No byte, no entry, or folders only."""
    assert refusal(store, ZipFile=given_bytes) == "Uploaded file must be a non-empty zip"


def test_an_encrypted_archive_is_refused(store: CodeStore) -> None:
    """There is no password to give."""
    given_bytes = bytearray(archive())
    central = given_bytes.index(b"PK\x01\x02")
    given_bytes[6] |= 1
    given_bytes[central + 8] |= 1
    assert refusal(store, ZipFile=bytes(given_bytes)) == BROKEN


def test_too_large_by_its_own_account(store: CodeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the entries say together counts, before anything is unpacked."""
    monkeypatch.setattr(code_module, "MAX_UNZIPPED_BYTES", 1000)
    taken = take(store, ZipFile=archive(("a", b"\0" * 999)))
    assert Path(taken.folder, "a").stat().st_size == 999
    message = refusal(store, ZipFile=archive(("a", b"\0" * 600), ("b", b"\0" * 600)))
    assert message == "Unzipped size must be smaller than 262144000 bytes"


def test_a_bomb_that_lies_about_its_size_is_stopped(store: CodeStore, tmp_path: Path) -> None:
    """The library reads no more than an entry says, and then finds that it is not what it said."""
    given_bytes = bytearray(archive(("a", b"\0" * 5_000_000)))
    central = given_bytes.index(b"PK\x01\x02")
    struct.pack_into("<I", given_bytes, central + 24, 10)
    struct.pack_into("<I", given_bytes, 22, 10)
    assert refusal(store, ZipFile=bytes(given_bytes)) == BROKEN
    assert files(tmp_path) == set()


def test_an_archive_over_the_limit_is_too_large(store: CodeStore) -> None:
    """[R] Another error than all others have."""
    message = refusal(store, RequestTooLargeError, ZipFile=b"\0" * (MAX_ZIPPED_BYTES + 1))
    assert message == "Zipped size must be smaller than 52428800 bytes"


@given(given_bytes=st.binary(max_size=400) | st.builds(lambda cut: archive()[:cut], st.integers(0, 300)))
@settings(max_examples=50, deadline=None)
def test_any_bytes_are_taken_or_refused(tmp_path_factory: pytest.TempPathFactory, given_bytes: bytes) -> None:
    """Nothing else can come of them, and nothing of what is refused is left."""
    folder = tmp_path_factory.mktemp("any")
    try:
        take(CodeStore(folder / "code"), ZipFile=given_bytes)
    except RequestError:
        assert files(folder) == set()


# -- folders, images, and what there is none of ------------------------------------------------------------------


def test_a_folder_stays_where_it_is_and_is_counted_when_asked(store: CodeStore, tmp_path: Path) -> None:
    """The digest is one of its content: the same for the same, another for another; bytecode does not count."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "app.py").write_text("x = 1")
    code = take(store, S3Bucket="hot-reload", S3Key=str(folder))
    assert (code.kind, code.folder, code.archive) == ("folder", str(folder), None)
    first = asyncio.run(store.count(code))
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "app.pyc").write_text("")
    assert asyncio.run(store.count(code)) == first
    (folder / "app.py").write_text("x = 22")
    second = asyncio.run(store.count(code))
    assert second[0] != first[0]
    (folder / "app.py").write_text("x = 1")
    assert asyncio.run(CodeStore(tmp_path / "other").count(code)) == first
    asyncio.run(store.drop(code))
    assert (folder / "app.py").exists()


def test_a_folder_is_kept_by_a_copy(store: CodeStore, tmp_path: Path) -> None:
    """What is published of it changes no more; its digest is the one that was shown, and is that of its archive."""
    folder = tmp_path / "mine"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "app.py").write_text("x = 1")
    (folder / "again").symlink_to("sub/app.py")
    code = take(store, S3Bucket="hot-reload", S3Key=str(folder))
    kept = asyncio.run(store.keep("orders", code))
    assert asyncio.run(store.count(kept)) == asyncio.run(store.count(code))
    (folder / "sub" / "app.py").write_text("x = 2")
    assert Path(kept.folder, "again").read_text() == "x = 1"
    with zipfile.ZipFile(io.BytesIO(Path(str(kept.archive)).read_bytes())) as opened:
        assert opened.namelist() == ["again", "sub/app.py"]
    assert asyncio.run(store.keep("orders", kept)) is kept


@pytest.mark.parametrize("key", ["relative", "/nowhere/at/all", ""])
def test_a_folder_that_is_none_is_refused(store: CodeStore, key: str) -> None:
    """And told of as it was given."""
    message = refusal(store, S3Bucket="hot-reload", S3Key=key)
    assert message == f"{key} is not a folder of this machine; S3Key is its whole path."


def test_another_bucket_is_refused_with_the_cure(store: CodeStore) -> None:
    """There is no S3; what can be done instead is said."""
    with pytest.raises(InvalidParameterValueError) as caught:
        take(store, S3Bucket="mine", S3Key="code.zip")
    assert "mine" in caught.value.message
    assert "hot-reload" in caught.value.cure


def test_no_code_at_all_is_refused(store: CodeStore) -> None:
    """In AWS's words."""
    assert refusal(store) == "Please provide a source for function code."


def test_an_image_has_no_folder(store: CodeStore) -> None:
    """There is nothing to mount, and no size [R]; two images have two digests."""
    code, other = take(store, ImageUri="image:1"), take(store, ImageUri="image:2")
    assert (code.kind, code.image, code.size) == ("image", "image:1", 0)
    assert code.folder == ""
    assert code.sha256 != other.sha256
