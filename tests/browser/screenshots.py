"""The pictures of the dashboard in the docs, taken of a real run: ``./dev screenshots``."""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator import Emulator, Function
from emulator.client import Client
from emulator.report import run_of, write_report
from tests.browser.conftest import SAMPLES
from tests.browser.crowd import Crowd
from tests.needs import need_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDER = Path(__file__).parent.parent.parent / "docs" / "images"


def main() -> None:
    """Take all of them."""
    from playwright.sync_api import sync_playwright

    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=need_browser(), args=["--no-sandbox"])
        with _story() as emulator:
            _picture_story(browser, emulator)
        with Crowd(1000, 100_000, live=200) as crowd, _page(browser, crowd.url, 1920, 1080, dark=True) as page:
            page.click("[data-width=all]")
            _choose(page, 4)
            _take(page, "many")
        browser.close()


@contextmanager
def _story() -> Iterator[Emulator]:
    """Two functions and what they do to a database that takes 24 connections; the moments between are real."""
    with Emulator({"emulator": {"sandbox": "process"}, "database": {"max_connections": 24}}) as emulator:
        for name, code in (("orders", "connect_once"), ("invoices", "connect_per_invocation")):
            emulator.add(Function(name=name, code=SAMPLES / code, memory=1769, timeout=10))
        client = Client(emulator.endpoint_url)
        client.post("/_emulator/api/functions/orders/burst", {"count": 3, "payload": {"seconds": 0.6}})
        for _ in range(4):
            emulator.invoke("invoices", {})
            time.sleep(0.7)
        for seconds in (0.5, 0.9):
            client.post("/_emulator/api/functions/orders/burst", {"count": 2, "payload": {"seconds": seconds}})
            time.sleep(0.4)
        emulator.fast_forward(minutes=5)
        emulator.invoke("orders", {"seconds": 0.4})
        emulator.recycle("invoices")
        time.sleep(0.8)
        client.post("/_emulator/api/functions/orders/burst", {"count": 4, "payload": {"seconds": 0.5}})
        for _ in range(3):
            emulator.invoke("invoices", {})
            time.sleep(0.3)
        time.sleep(1)
        yield emulator


def _picture_story(browser: Browser, emulator: Emulator) -> None:
    url = f"{emulator.endpoint_url}/_emulator/"
    for name, width, height, options in (
        ("light", 1280, 800, {}),
        ("dark", 1280, 800, {"dark": True}),
        ("projector", 1920, 1080, {"large": True}),
        ("phone", 390, 844, {}),
    ):
        with _page(browser, url, width, height, **options) as page:
            page.click("[data-width='15']")
            if name in ("light", "dark"):
                _choose(page, 1)
            if name == "light":
                box = page.locator("#lanes").bounding_box()
                assert box is not None, "the lanes are in the page"
                page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 82)
            _take(page, name)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.html")
        write_report(run_of(Client(emulator.endpoint_url)), report)
        with _page(browser, report.as_uri(), 1280, 800) as page:
            _take(page, "report")


@contextmanager
def _page(
    browser: Browser, url: str, width: int, height: int, *, dark: bool = False, large: bool = False
) -> Iterator[Page]:
    size: Any = {"width": width, "height": height}
    context = browser.new_context(viewport=size, color_scheme="dark" if dark else "light")
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("#connection:not([data-state=away], [data-state=''])", timeout=30_000)
    if large:
        page.get_by_label("Large").check()
    page.wait_for_timeout(1500)
    yield page
    context.close()


def _choose(page: Page, row: int) -> None:
    page.evaluate("row => document.querySelectorAll('#environments tbody:nth-of-type(2) button')[row].click()", row)
    page.mouse.move(0, 0)


def _take(page: Page, name: str) -> None:
    """With a palette instead of all colours: a third of the bytes, and nobody sees it."""
    from PIL import Image

    page.wait_for_timeout(500)
    file = FOLDER / f"dashboard-{name}.png"
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(file, optimize=True)
    sys.stderr.write(f"{file.relative_to(FOLDER.parent.parent)}: {file.stat().st_size / 1024:.0f} KB\n")


if __name__ == "__main__":
    main()
