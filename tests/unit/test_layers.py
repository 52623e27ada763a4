"""Layers: what becomes of folders and archives, and what is refused."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.errors import CodeError
from emulator.layers import MAX_UNZIPPED_BYTES, extension_names, merge_layers
from emulator.model import Function

Content = str | bytes
LINK = stat.S_IFLNK | 0o777


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "app.py").write_text("def handler(event, context): ...\n")
    return folder


@pytest.fixture
def opt(tmp_path: Path) -> Iterator[Path]:
    """The empty folder that becomes ``/opt``; nothing may ever appear beside it."""
    inside = tmp_path / "inside"
    folder = inside / "opt"
    folder.mkdir(parents=True)
    yield folder
    assert list(inside.iterdir()) == [folder]


def folder_with(path: Path, **files: Content) -> Path:
    """A layer as a folder; double underscores in names are slashes."""
    for name, content in files.items():
        file = path / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def archive_with(path: Path, *entries: tuple[str, int, Content]) -> Path:
    """A layer as an archive: names, modes as in ``st_mode``, contents."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, mode, content in entries:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16 | 0x20  # and what other systems put there
            archive.writestr(entry, content)
    return path


def merge(code: Path, opt: Path, *layers: Path) -> None:
    merge_layers(Function(name="orders", code=code, layers=layers), opt)


def refusal(code: Path, opt: Path, *layers: Path) -> CodeError:
    with pytest.raises(CodeError) as caught:
        merge(code, opt, *layers)
    assert caught.value.message.startswith("function orders: ")
    assert caught.value.cure
    return caught.value


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_later_layers_win(tmp_path: Path, code: Path, opt: Path) -> None:
    """Folders and archives in one row; what only one of them has stays."""
    first = folder_with(tmp_path / "first", python__a="1", python__b="1", data="1")
    second = archive_with(tmp_path / "second.zip", ("python/b", 0o100644, "2"), ("python/c", 0o100644, "2"))
    third = folder_with(tmp_path / "third", python__c="3")
    merge(code, opt, first, second, third)
    found = {str(p.relative_to(opt)): p.read_text() for p in opt.rglob("*") if p.is_file()}
    assert found == {"python/a": "1", "python/b": "2", "python/c": "3", "data": "1"}


def test_modes_are_kept(tmp_path: Path, code: Path, opt: Path) -> None:
    """What can be executed can be, from folder and archive; nothing gets another user's rights."""
    archive = archive_with(
        tmp_path / "layer.zip",
        ("extensions/agent", 0o100755, "#!/bin/sh\n"),
        ("extensions/plain", 0o100644, ""),
        ("bin/root", 0o104755, ""),
        ("shut/", stat.S_IFDIR | 0o555, ""),
        ("shut/file", 0o100444, ""),
    )
    folder = folder_with(tmp_path / "folder", bin__tool="x")
    (folder / "bin" / "tool").chmod(0o750)
    merge(code, opt, archive, folder)
    assert mode_of(opt / "extensions" / "agent") == 0o755
    assert mode_of(opt / "extensions" / "plain") == 0o644
    assert mode_of(opt / "bin" / "root") == 0o755
    assert mode_of(opt / "bin" / "tool") == 0o750
    assert mode_of(opt / "shut") == 0o755  # who removes it must be able to
    assert mode_of(opt / "shut" / "file") == 0o444


def test_an_archive_without_modes_can_be_read(tmp_path: Path, code: Path, opt: Path) -> None:
    """As other systems make them; and folders that no entry names are there, whatever the mask is."""
    archive = archive_with(tmp_path / "layer.zip", ("python/deep/module.py", 0, "x = 1"))
    before = os.umask(0o077)
    try:
        merge(code, opt, archive)
    finally:
        os.umask(before)
    assert mode_of(opt / "python" / "deep" / "module.py") == 0o644
    assert mode_of(opt / "python" / "deep") == mode_of(opt / "python") == 0o755


def test_links_stay_links(tmp_path: Path, code: Path, opt: Path) -> None:
    """Shared libraries have them; also one to a place that exists in the environment only."""
    archive = archive_with(
        tmp_path / "layer.zip", ("lib/libx.so.1", 0o100755, "elf"), ("lib/libx.so", LINK, "libx.so.1")
    )
    folder = folder_with(tmp_path / "folder", a="1")
    (folder / "runtime").symlink_to("/var/runtime")
    (folder / "here").symlink_to("lib")
    merge(code, opt, archive, folder)
    assert (opt / "lib" / "libx.so").readlink() == Path("libx.so.1")
    assert (opt / "runtime").readlink() == Path("/var/runtime")
    assert (opt / "here" / "libx.so").read_text() == "elf"


def test_a_layer_may_use_a_link_of_an_earlier_one(tmp_path: Path, code: Path, opt: Path) -> None:
    """``lib64`` is often a link to ``lib``; what goes there ends up in the one place."""
    first = archive_with(tmp_path / "1.zip", ("lib/", stat.S_IFDIR | 0o755, ""), ("lib64", LINK, "lib"))
    second = archive_with(tmp_path / "2.zip", ("lib64/", stat.S_IFDIR | 0o755, ""), ("lib64/x.so", 0o100644, "x"))
    merge(code, opt, first, second)
    assert (opt / "lib" / "x.so").read_text() == "x"
    assert (opt / "lib64").is_symlink()


def test_kinds_may_change_from_layer_to_layer(tmp_path: Path, code: Path, opt: Path) -> None:
    """A file where a folder was, a folder where a file was, a file where a link was: the later one wins whole."""
    first = folder_with(tmp_path / "first", one__deep="1", two="1")
    (first / "three").symlink_to("two")
    second = folder_with(tmp_path / "second", one="2", two__deep="2", three="2")
    merge(code, opt, first, second)
    assert (opt / "one").read_text() == (opt / "two" / "deep").read_text() == (opt / "three").read_text() == "2"
    assert not (opt / "three").is_symlink()


def test_what_is_no_file_is_left_out(tmp_path: Path, code: Path, opt: Path) -> None:
    """A pipe or a socket in a folder would hold us up, and would not get into an archive."""
    folder = folder_with(tmp_path / "folder", a="1")
    os.mkfifo(folder / "pipe")
    merge(code, opt, folder)
    assert [path.name for path in opt.iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["../evil", "python/../../evil", "/etc/evil", "a/b/../../../evil"])
def test_a_name_that_climbs_out_is_refused(tmp_path: Path, code: Path, opt: Path, name: str) -> None:
    """Nothing is ever written beside the folder; its fixture looks."""
    error = refusal(code, opt, archive_with(tmp_path / "layer.zip", (name, 0o100644, "evil")))
    assert "outside of its folder" in error.message


@pytest.mark.parametrize("target", ["..", "/", "../../outside", "lib/../.."])
def test_a_link_is_no_way_out(tmp_path: Path, code: Path, opt: Path, target: str) -> None:
    """An entry that goes through a link of the same archive, or of an earlier one, stays inside or is refused."""
    (tmp_path / "outside").mkdir()
    entries = [("lib/", stat.S_IFDIR | 0o755, ""), ("way", LINK, target), ("way/evil", 0o100644, "evil")]
    error = refusal(code, opt, archive_with(tmp_path / "layer.zip", *entries))
    assert "outside of its folder" in error.message
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path, code: Path, opt: Path) -> None:
    """A file of the same name as a link that leads out takes its place."""
    outside = tmp_path / "outside"
    outside.write_text("as it was")
    first = archive_with(tmp_path / "1.zip", ("name", LINK, str(outside)))
    second = archive_with(tmp_path / "2.zip", ("name", 0o100644, "new"))
    merge(code, opt, first, second)
    assert (opt / "name").read_text() == "new"
    assert outside.read_text() == "as it was"


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 and then nothing"])
def test_what_is_no_archive_is_refused(tmp_path: Path, code: Path, opt: Path, content: bytes) -> None:
    """A tar, an empty file, half a download."""
    layer = tmp_path / "layer.zip"
    layer.write_bytes(content)
    assert "is no zip archive" in refusal(code, opt, layer).message


def test_a_broken_archive_is_refused(tmp_path: Path, code: Path, opt: Path) -> None:
    """Its table of contents is fine, and the content is not."""
    layer = archive_with(tmp_path / "layer.zip", ("file", 0o100644, "some content that can be told from other"))
    content = bytearray(layer.read_bytes())
    content[40] ^= 0xFF
    layer.write_bytes(content)
    assert "cannot be unpacked" in refusal(code, opt, layer).message


def test_code_and_layers_have_a_limit_together(tmp_path: Path, code: Path, opt: Path) -> None:
    """250 MB unzipped, counted over all; a file that is only long, and an archive that is only long when unpacked."""
    layer = tmp_path / "layer"
    layer.mkdir()
    with (layer / "long").open("wb") as file:
        file.truncate(MAX_UNZIPPED_BYTES - 33)
    with (code / "long").open("wb") as file:
        file.truncate(1)
    archive = archive_with(tmp_path / "layer.zip", ("zeros", 0o100644, bytes(1_000)))
    error = refusal(code, opt, layer, archive)
    assert f"{MAX_UNZIPPED_BYTES + 1_001:,} bytes" in error.message  # 33 are in the code's one module
    assert list(opt.iterdir()) == []


def test_extensions_are_the_files_of_their_folder(tmp_path: Path) -> None:
    """Sorted; those that cannot be executed too, for they fail where it can be told; what is deeper is their own."""
    folder_with(tmp_path, extensions__b="", extensions__a="", extensions__data__c="", other__d="")
    (tmp_path / "extensions" / "link").symlink_to("/opt/bin/agent")
    (tmp_path / "extensions" / "two\nlines").touch()
    assert extension_names(tmp_path) == ("a", "b", "link")


def test_without_a_folder_there_are_no_extensions(tmp_path: Path) -> None:
    """Also where the name is a file's."""
    assert extension_names(tmp_path) == ()
    (tmp_path / "extensions").touch()
    assert extension_names(tmp_path) == ()
