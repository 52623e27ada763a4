"""One emulator and one browser for all; a page is each test's own, and nothing may complain in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emulator import Emulator, Function
from tests.browser.frames import FLAGS
from tests.needs import need_browser, need_database

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

HERE = Path(__file__).parent
FUNCTIONS = HERE.parent / "functions"
SAMPLES = HERE.parent.parent / "sample_functions"
PATIENCE = 15_000  # milliseconds; a cold start on a busy machine takes some of them

Open = Callable[..., "Page"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever is here needs a browser."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    program = need_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=[*FLAGS])
        yield running
        running.close()


@pytest.fixture(scope="package")
def emulator() -> Iterator[Emulator]:
    """Three functions before a database of few connections."""
    need_database()
    with Emulator({"emulator": {"sandbox": "process"}, "database": {"max_connections": 40}}) as running:
        for name, code in (
            ("orders", SAMPLES / "connect_once"),
            ("invoices", SAMPLES / "connect_per_invocation"),
            ("anything", FUNCTIONS / "anything"),
        ):
            running.add(Function(name=name, code=code, memory=1769, timeout=10))
        yield running


@pytest.fixture(scope="package")
def dashboard(emulator: Emulator) -> str:
    """Where the page is."""
    return f"{emulator.endpoint_url}/_emulator/"


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open an address, in a context of its own; scripts that fail and policies that are broken fail the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(url: str, *, expect_complaints: bool = False, **options: Any) -> Page:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        if not expect_complaints:
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda message: complaints.extend(_complaint(message.type, message.text)))
            page.on("dialog", lambda dialog: complaints.append(dialog.message))
        for _ in range(5):
            page.goto(url)
            if page.evaluate("document.querySelector('#connection')?.dataset.state !== ''"):
                break
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def _complaint(kind: str, text: str) -> list[str]:
    """What the console says of something that is ours.

    A browser gives up what it loads when the machine gets another network, which containers of others' tests do; then
    a page is opened once more.
    """
    return [text] if kind == "error" and "ERR_NETWORK_CHANGED" not in text else []
