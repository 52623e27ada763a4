"""Curves as pictures for the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.growth import Curve, Point

__all__ = ["IMAGES", "draw", "short"]

IMAGES = Path(__file__).parent.parent.parent / "docs" / "images"
_COLOURS = {"process": "#2a6fb0", "RIE": "#b0562a"}
_STYLES = {"process": "-", "RIE": "--"}
_WIDE = 20  # times the least median: from there on a line would lie on the ground


def short(number: float) -> str:
    """A number as an axis shows it: 300, 10 k, 3 M."""
    for factor, letter in ((1_000_000, " M"), (1_000, " k")):
        if abs(number) >= factor:
            return f"{number / factor:g}{letter}"
    return f"{number:g}"


def draw(curve: Curve, folder: Path = IMAGES) -> Path:
    """The median as a line, up to the 99th percentile as a shade; the file that was written."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "lambda-freezer"  # the same figures make the same file
    from matplotlib import pyplot

    picture, axes = pyplot.subplots(figsize=(6.4, 3.2), layout="constrained")
    try:
        for who, points in curve.lines.items():
            _line(axes, who, points)
        _scales(axes, [point for points in curve.lines.values() for point in points])
        axes.set_xlabel(curve.over)
        axes.set_ylabel("warm invocation, ms")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="small")
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"bench-{curve.name}.svg"
        picture.savefig(target, metadata={"Date": None, "Title": f"Latency over {curve.over}"})
    finally:
        pyplot.close(picture)
    return target


def _line(axes: Any, who: str, points: Sequence[Point]) -> None:
    sizes = [point.size for point in points]
    medians = [point.latency.median * 1e3 for point in points]
    tails = [point.latency.p99 * 1e3 for point in points]
    colour, style = _COLOURS.get(who, "#555555"), _STYLES.get(who, ":")
    axes.plot(sizes, medians, style, marker="o", markersize=4, color=colour, label=f"{who}, p50")
    axes.fill_between(sizes, medians, tails, color=colour, alpha=0.15, linewidth=0, label=f"{who}, to p99")


def _scales(axes: Any, points: Sequence[Point]) -> None:
    sizes = sorted({point.size for point in points})
    axes.set_xscale("symlog" if sizes[0] == 0 else "log")
    axes.set_xticks(sizes, [short(size) for size in sizes])
    medians = [point.latency.median for point in points]
    if max(medians) > _WIDE * min(medians):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _place: short(value))
    axes.minorticks_off()
