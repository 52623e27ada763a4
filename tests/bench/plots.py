"""Curves as pictures for the documentation."""

from __future__ import annotations

from pathlib import Path

from tests.bench.growth import Curve

__all__ = ["IMAGES", "draw"]

IMAGES = Path(__file__).parent.parent.parent / "docs" / "images"
_COLOURS = {"process": "#2a6fb0", "RIE": "#b0562a"}
_STYLES = {"process": "-", "RIE": "--"}


def draw(curve: Curve, folder: Path = IMAGES) -> Path:
    """The median as a line, up to the 99th percentile as a shade; the file that was written."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "lambda-freezer"  # the same figures make the same file
    from matplotlib import pyplot

    picture, axes = pyplot.subplots(figsize=(6.4, 3.2), layout="constrained")
    try:
        for who, points in curve.lines.items():
            sizes = [point.size for point in points]
            medians = [point.latency.median * 1e6 for point in points]
            tails = [point.latency.p99 * 1e6 for point in points]
            colour = _COLOURS.get(who, "#555555")
            axes.plot(
                sizes, medians, _STYLES.get(who, ":"), marker="o", markersize=4, color=colour, label=f"{who}, p50"
            )
            axes.fill_between(sizes, medians, tails, color=colour, alpha=0.15, linewidth=0, label=f"{who}, to p99")
        axes.set_xscale("symlog" if min(min(p.size for p in line) for line in curve.lines.values()) == 0 else "log")
        wide = max(point.latency.median for line in curve.lines.values() for point in line) > 0.005
        axes.set_yscale("log" if wide else "linear")
        if not wide:
            axes.set_ylim(bottom=0)
        axes.set_xlabel(curve.over)
        axes.set_ylabel("warm invocation, µs")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="small")
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"bench-{curve.name}.svg"
        picture.savefig(target, metadata={"Date": None, "Title": f"Latency over {curve.over}"})
    finally:
        pyplot.close(picture)
    return target
