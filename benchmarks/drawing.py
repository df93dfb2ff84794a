"""Draws what ``plots.py`` has measured, as SVG with real text on a light ground."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

# Colours that those who are blind to some can tell apart (Okabe and Ito), and marks
# that tell lines apart in grey.
LOOKS = {
    "presence_async": ("#0072B2", "o"),
    "bare aiohttp": ("#009E73", "s"),
    "SDK, aiohttp handler": ("#E69F00", "^"),
    "SDK": ("#D55E00", "D"),
}
INK, GRID, GROUND = "#333333", "#dddddd", "#ffffff"
FULL_CORE = 100


def draw(measured: dict[str, Any], folder: Path) -> None:
    """Write ``calls.svg`` and ``kept_users.svg``."""
    with mpl.rc_context({
        "svg.fonttype": "none",
        "svg.hashsalt": "presence_async",
        "font.family": "sans-serif",
        "font.size": 11,
        "text.color": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }):
        figure, axes = empty("calls in flight", "calls a second")
        calls = measured["calls a second"]
        loads = calls["in flight"]
        for name in LOOKS:
            line(axes, name, loads, calls[name])
        axes.set_xticks(loads, map(str, loads))
        axes.set_title("Where-now calls a second of one process", loc="left")
        save(figure, folder / "calls.svg", measured["machine"])
        draw_shares(measured, folder)


def draw_shares(measured: dict[str, Any], folder: Path) -> None:
    figure, axes = empty("users kept present, at a timeout of 300 s", "share of a core")
    shares = measured["share of a core"]
    users = shares["users"]
    for name, (colour, _) in LOOKS.items():
        known = [100 * share for share in shares[name] if share is not None]
        line(axes, name, users[: len(known)], known)
        if len(known) < len(users):
            axes.plot(users[len(known)], FULL_CORE, "x", color=colour, ms=9, mew=2)
            axes.annotate(
                "cannot keep up",
                (users[len(known)], FULL_CORE),
                xytext=(0, 8),
                textcoords="offset points",
                ha="center",
                fontsize=9,
                color=colour,
            )
    axes.axhline(FULL_CORE, color=INK, lw=0.8, ls=":")
    axes.set_ylim(top=250)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:g} %"))
    axes.set_xticks(
        [1_000, 10_000, 100_000, 1_000_000], ["1,000", "10,000", "100,000", "1,000,000"]
    )
    axes.set_title("CPU that keeps users present", loc="left")
    save(figure, folder / "kept_users.svg", measured["machine"])


def empty(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.2, 4.2), facecolor=GROUND, layout="constrained")
    axes = figure.add_subplot(facecolor=GROUND)
    axes.set(xscale="log", yscale="log", xlabel=x_label, ylabel=y_label)
    axes.grid(visible=True, color=GRID, lw=0.8)
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    return figure, axes


def line(axes: Axes, name: str, x: list[float], y: list[float]) -> None:
    """Draw a line with its name."""
    colour, mark = LOOKS[name]
    axes.plot(x, y, color=colour, marker=mark, ms=6, lw=2, label=name)


def save(figure: Figure, path: Path, machine: str) -> None:
    axes = figure.axes[0]
    axes.legend(frameon=False, loc="best", fontsize=10)
    figure.supxlabel(machine, fontsize=8, color="#777777", ha="center")
    figure.savefig(path, metadata={"Date": None, "Creator": None})
