"""Scrolling through the lanes of many environments, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["FLAGS", "WIDTHS", "scroll"]

FLAGS = ("--no-sandbox", "--disable-gpu-vsync", "--disable-frame-rate-limit")
"""For a Chromium whose frames come as fast as they are made, so that they can be timed."""

WIDTHS = ("15", "60", "all")
"""How much time is in sight; the values of the page's buttons."""

_SCROLL = """async (frames) => {
    const lanes = document.querySelector("#lanes");
    const { spent, count } = document.querySelector("#lanes-canvas").frames;
    const canvas = CanvasRenderingContext2D.prototype;
    const fill = canvas.fillRect;
    let fills = 0;
    canvas.fillRect = function (...where) { fills += 1; return fill.apply(this, where); };
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
    canvas.fillRect = fill;
    const drawn = count() - begin;
    const gaps = stamps.slice(1).map((stamp, index) => stamp - stamps[index]);
    return {
        drawn, fills, gaps, spent: Array.from({ length: drawn }, (_, index) => spent[(begin + index) % spent.length]),
    };
}"""


def scroll(page: Page, width: str, frames: int) -> dict[str, Any]:
    """Scroll a page that is live, a step with each frame.

    Returns ``drawn``, how often the lanes were drawn; ``fills``, how many rectangles that took; ``gaps``, milliseconds
    from frame to frame; ``spent``, the page's own part of each drawing in milliseconds.
    """
    page.click(f"[data-width='{width}']")
    found: dict[str, Any] = page.evaluate(_SCROLL, frames)
    return found
