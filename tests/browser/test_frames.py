"""That drawing stays the same work however much there is; how long it takes is measured by the bench."""

from __future__ import annotations

from tests.browser.conftest import Open
from tests.browser.crowd import Crowd
from tests.browser.frames import WIDTHS, scroll

_FRAMES = 30


def test_only_what_is_in_sight_is_drawn(open_page: Open) -> None:
    """Ten times the environments and events, while more of them come, take no more rectangles for a frame."""
    fills = [_fills_of_a_frame(open_page, environments, environments * 20) for environments in (100, 1000)]
    for few, many in zip(*fills, strict=True):
        assert 0 < many <= few * 1.5


def _fills_of_a_frame(open_page: Open, environments: int, events: int) -> list[float]:
    with Crowd(environments, events, live=400) as crowd:
        page = open_page(crowd.url, viewport={"width": 1920, "height": 1080}, expect_complaints=True)
        page.wait_for_selector("#connection[data-state=live]", timeout=30_000)
        found = [scroll(page, width, _FRAMES) for width in WIDTHS]
        page.close()
    assert all(each["drawn"] > 0 for each in found)
    return [each["fills"] / each["drawn"] for each in found]
