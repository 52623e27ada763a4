"""The dashboard's files, and the page that has all of them and a run in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from emulator.pages import FOLDER, content_type, files, one_page

NASTY = "</script><script>alert(1)</script><!-- \u2028 \ud800"


class Blocks(HTMLParser):
    """The scripts and styles of a page, as a browser finds them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self._open: tuple[str, dict[str, str | None]] | None = None
        self._text = ""
        self.policy = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in ("script", "style"):
            self._open, self._text = (tag, named), ""
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"] or ""
        assert not any(name.startswith("on") or name == "style" for name in named), "no code in attributes"
        assert tag not in ("iframe", "object", "embed")

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if self._open is not None and tag == self._open[0]:
            self.found.append((*self._open, self._text))
            self._open = None


def test_every_file_has_a_type() -> None:
    """The page names none that there is not, and every file but licences is used."""
    named = set(re.findall(r'(?:href|src)="([\w./-]+)"', files()["index.html"].decode()))
    for name, code in files().items():
        if name.endswith(".js"):
            named |= set(re.findall(r'from "\./([\w.]+)"', code.decode()))
        assert content_type(name)
    assert named | {"index.html", "vendor/uPlot-LICENSE.txt"} == set(files())


def test_vendored_library_is_the_one_that_is_said() -> None:
    """Version and licence are beside it; the notice is in the code as well."""
    assert files()["vendor/uPlot.iife.min.js"].startswith(b"/*! https://github.com/leeoniya/uPlot (v1.6.32) */")
    assert b"MIT License" in files()["vendor/uPlot-LICENSE.txt"]


def test_no_text_ever_becomes_markup() -> None:
    """What functions say gets into the page as text; nothing in our modules could make more of it."""
    for name, code in files().items():
        if name.endswith(".js") and not name.startswith("vendor/"):
            assert not re.search(
                rb"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", code
            ), name


def test_one_page_needs_no_other() -> None:
    """Nothing of it is loaded from anywhere, and only scripts and styles of the package may run."""
    page = Blocks(one_page({"logs": {"a": "b"}}))
    assert len(page.found) == 5  # two styles, the data, the library, the modules
    for tag, attributes, code in page.found:
        assert "src" not in attributes
        if attributes.get("type") != "application/json":
            digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in re.search(rf"{tag}-src ([^;]*)", page.policy)[1]  # type: ignore[index]
    assert page.policy.startswith("default-src 'none'")
    assert "unsafe" not in page.policy


def test_modules_are_joined() -> None:
    """None of them asks for another any more; each stands before those that use it."""
    (code,) = [code for _, attributes, code in Blocks(one_page({})).found if attributes.get("type") == "module"]
    assert not re.search(r"^(import|export) ", code, re.MULTILINE)
    order = re.findall(r"^const module_(\w+) = ", code, re.MULTILINE)
    assert order[-1] == "main"
    assert order.index("model") < order.index("axis") < order.index("view")
    assert order.index("words") < order.index("telling") < order.index("lanes")
    assert set(order) == {path.stem for path in FOLDER.glob("*.js")}


@pytest.mark.parametrize("where", ["key", "value"])
def test_data_stays_data(where: str) -> None:
    """Whatever a function has written, it ends no block, and is read as it was, half a surrogate pair aside."""
    data = {NASTY: 1} if where == "key" else {"logs": NASTY}
    page = one_page(data)
    (told,) = [code for _, attributes, code in Blocks(page).found if attributes.get("id") == "run"]
    read = json.loads(told)
    assert (next(iter(read)) if where == "key" else read["logs"]) == NASTY.replace("\ud800", "?")
    page.encode()
