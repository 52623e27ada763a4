"""The files of the dashboard as they lie in the package, and all of them joined into one page with its data."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["FOLDER", "content_type", "files", "one_page"]

FOLDER = Path(__file__).parent / "dashboard"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
_STYLE = re.compile(r'<link rel="stylesheet" href="([^"]+)">')
_SCRIPT = re.compile(r'<script( type="module")? src="([^"]+)"></script>')
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const) (\w+))", re.MULTILINE)


@functools.cache
def files() -> Mapping[str, bytes]:
    """Every file of the dashboard by its name, such as ``vendor/uPlot.min.css``."""
    return {
        path.relative_to(FOLDER).as_posix(): path.read_bytes()
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in _TYPES
    }


def content_type(name: str) -> str:
    """What kind of file it is, as a header says it."""
    return _TYPES[Path(name).suffix]


def one_page(data: Mapping[str, Any]) -> str:
    """The dashboard with everything it needs in one file, showing this data instead of a running emulator.

    Whatever the data says is data: the page's policy runs the scripts of this package and nothing else, and the data
    cannot end the block that it stands in.
    """
    page = files()["index.html"].decode()
    allowed: dict[str, list[str]] = {"style": [], "script": []}

    def style(match: re.Match[str]) -> str:
        code = files()[match[1]].decode()
        allowed["style"].append(_hash(code))
        return f"<style>{code}</style>"

    def script(match: re.Match[str]) -> str:
        code = _joined(match[2]) if match[1] else files()[match[2]].decode()
        allowed["script"].append(_hash(code))
        return f"<script{match[1] or ''}>{code}</script>"

    page = _SCRIPT.sub(script, _STYLE.sub(style, page))
    policy = (
        f"default-src 'none'; img-src data:; style-src {' '.join(allowed['style'])}; "
        f"script-src {' '.join(allowed['script'])}; base-uri 'none'; form-action 'none'"
    )
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    page = page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n    {meta}', 1)
    block = f'<script type="application/json" id="run">{_as_data(data)}</script>\n    '
    begin = page.index("<script>")
    return page[:begin] + block + page[begin:]


def _as_data(data: Mapping[str, Any]) -> str:
    """JSON in which nothing is a tag, a comment or the end of a script."""
    told = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    # Half a surrogate pair has no place in a file; the page shows a question mark.
    return told.replace("<", "\\u003c").encode(errors="replace").decode()


def _hash(code: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


def _joined(main: str) -> str:
    """A module and all that it imports as one: each in a function of its own, whose result is what it exports."""
    return "\n".join(f"const {_variable(name)} = (() => {{\n{code}\n}})();" for name, code in _in_order(main, {}))


def _in_order(name: str, seen: dict[str, None]) -> Iterator[tuple[str, str]]:
    if name in seen:
        return
    seen[name] = None
    code = files()[name].decode()
    for match in _IMPORT.finditer(code):
        yield from _in_order(match[2], seen)
    names = ", ".join(match[1] for match in _EXPORT.finditer(code))
    code = _IMPORT.sub(lambda match: f"const {{{match[1]}}} = {_variable(match[2])};\n", code)
    yield name, f"{_EXPORT.sub('', code)}\nreturn {{ {names} }};"


def _variable(name: str) -> str:
    return f"module_{name.removesuffix('.js')}"
