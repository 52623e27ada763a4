"""The sessions of every policy over time against the server's limit, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator.errors import ConfigurationError
from emulator.simulation.results import Result
from emulator.spans import in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["check_plot", "draw"]

_KINDS = (".png", ".svg")
_BUSY, _IDLE, _ZOMBIE, _LIMIT = "#2a9d8f", "#8ecae6", "#e76f51", "#222222"
_UNITS = (
    (86_400.0 * 3, 86_400.0, "days"),
    (7_200.0, 3_600.0, "hours"),
    (120.0, 60.0, "minutes"),
    (0.0, 1.0, "seconds"),
)


def check_plot(path: Path) -> None:
    """Before millions of events are simulated: whether a picture can be drawn, and written there.

    Raises:
        ConfigurationError: it cannot, with the cure.
    """
    if path.suffix.lower() not in _KINDS:
        raise ConfigurationError(f"{path} is neither .svg nor .png", cure="The ending says which picture is drawn.")
    if not path.parent.is_dir():
        raise ConfigurationError(
            f"there is no folder {path.parent}", cure="Make it first, or name another with --plot."
        )
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "matplotlib, which draws the plot, is not installed",
            cure="Install it beside the emulator: pip install matplotlib; or leave --plot, or take --json.",
        ) from error


def draw(results: Sequence[Result], source: str, path: Path) -> None:
    """Write the picture: one panel a policy, each on the scale that shows it and the limit.

    Raises:
        ConfigurationError: see :func:`check_plot`; or the file cannot be written.
    """
    check_plot(path)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {
        "svg.hashsalt": "lambda-freezer",
        "font.size": 9.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(9.0, 1.4 + 2.3 * len(results)), layout="constrained")
        panels = figure.subplots(len(results), 1, sharex=True, squeeze=False)[:, 0]
        longest = max(result.seconds for result in results)
        _, divisor, unit = next(unit for unit in _UNITS if longest >= unit[0])
        for panel, result in zip(panels, results, strict=True):
            _panel(panel, result, divisor)
        panels[-1].set_xlabel(unit)
        panels[0].set_xlim(0, (longest or 1.0) / divisor)
        figure.suptitle(f"Database connections over time\n{source}", fontsize=10)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        try:
            figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be written: {error.strerror}", cure="Name another file with --plot."
            ) from error


def _panel(panel: Axes, result: Result, divisor: float) -> None:
    over = result.over_time
    moments = [(number + 0.5) * over.width / divisor for number in range(len(over.most))]
    _, _, zombies = panel.stackplot(
        moments,
        over.in_use,
        over.resting,
        over.zombies,
        labels=("of environments that serve", "idle", "zombies"),
        colors=(_BUSY, _IDLE, _ZOMBIE),
        linewidth=0,
    )
    zombies.set(hatch="////", edgecolor="white")  # to be told apart without colours as well
    panel.plot(moments, over.most, color=_LIMIT, linewidth=0.6, alpha=0.6, label="most at once")
    limit = result.max_connections
    panel.axhline(limit, color=_LIMIT, linestyle="--", linewidth=1.0, label=f"max_connections, {limit:,}")
    panel.set_ylim(0, max(result.peak_connections, limit) * 1.08)
    panel.set_ylabel("connections")
    panel.set_title(
        f"{result.policy}: {result.cold_start_rate:.2%} cold, most {result.peak_connections:,}, "
        f"{result.wasted:.0%} wasted, {result.share_above:.1%} of {in_words(result.seconds)} above",
        fontsize=9,
        loc="left",
    )
