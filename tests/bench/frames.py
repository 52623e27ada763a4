"""How long the dashboard takes for a frame, with many environments and events."""

from __future__ import annotations

from importlib.util import find_spec

from tests.bench.errors import BenchError
from tests.bench.figures import Row, Spread
from tests.bench.part import Scale
from tests.browser.crowd import Crowd
from tests.browser.frames import FLAGS, WIDTHS, scroll
from tests.needs import find_browser

__all__ = ["frames"]

_SCREEN = 0.016  # seconds from one frame to the next, at 60 in a second


def frames(scale: Scale) -> list[Row]:
    """Scrolling through 1,000 environments and 100,000 events, while 400 more of them come in a second."""
    program = find_browser()
    if find_spec("playwright") is None or program is None:
        raise BenchError("there is no Chromium, or no Playwright to drive it")
    from playwright.sync_api import sync_playwright

    rows = []
    with sync_playwright() as playwright, Crowd(1000, 100_000, live=400) as crowd:
        browser = playwright.chromium.launch(executable_path=program, args=[*FLAGS])
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.goto(crowd.url)
        page.wait_for_selector("#connection[data-state=live]", timeout=30_000)
        for width in WIDTHS:
            gaps = Spread.of([gap / 1000 for gap in scroll(page, width, scale.pick(150, 600))["gaps"]])
            name = f"a frame of the dashboard, {'everything' if width == 'all' else f'{width} s'} in sight"
            rows.append(Row(part="frames", name=name, measured=gaps, value=gaps.median, value_unit="s", limit=_SCREEN))
            scale.tick()
        browser.close()
    return rows
