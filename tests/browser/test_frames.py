"""How smooth it stays: a thousand environments and a hundred thousand events, while more of them come."""

from __future__ import annotations

from statistics import median, quantiles

from tests.browser.conftest import Open
from tests.browser.crowd import Crowd

_FRAMES = 150
_SCROLL = """async (frames) => {
    const lanes = document.querySelector("#lanes");
    const { spent, count } = document.querySelector("#lanes-canvas").frames;
    const begin = count();
    const stamps = [];
    await new Promise((done) => {
        const step = () => {
            stamps.push(performance.now());
            lanes.scrollTop += 23;
            if (stamps.length > frames) done();
            else requestAnimationFrame(step);
        };
        requestAnimationFrame(step);
    });
    const drawn = count() - begin;
    const gaps = stamps.slice(1).map((stamp, index) => stamp - stamps[index]);
    return { drawn, gaps, spent: Array.from({ length: drawn }, (_, index) => spent[(begin + index) % spent.length]) };
}"""


def test_frames(open_page: Open) -> None:
    """Every frame is drawn, and at the median it takes less than a screen's 16 ms, from one to the next."""
    with Crowd(1000, 100_000, live=400) as crowd:
        page = open_page(crowd.url, viewport={"width": 1920, "height": 1080}, expect_complaints=True)
        page.wait_for_selector("#connection[data-state=live]", timeout=30_000)
        for width in ("15", "60", "all"):
            page.click(f"[data-width='{width}']")
            found = page.evaluate(_SCROLL, _FRAMES)
            gaps, spent = found["gaps"], found["spent"]
            print(
                f"\n{width}: {found['drawn']} frames; from one to the next {median(gaps):.1f} ms at the median, "
                f"{quantiles(gaps, n=20)[-1]:.1f} at the 95th percentile; our part {median(spent):.1f} ms"
            )
            assert found["drawn"] >= _FRAMES * 0.9
            assert median(gaps) < 16
        page.close()
