"""Draws the dashboard of template.yaml, widget by widget, with what a session of the sandbox has measured."""

from __future__ import annotations

import io
import math
import textwrap
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from sandbox.dashboard_session import PERIOD_SECONDS, Curve, Picture

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

COLUMNS = 24
UNIT_INCHES = 0.62
MARGIN = 0.02
INK, FAINT, PAPER, CARD = "#16191f", "#687078", "#f2f3f3", "#ffffff"
STATES = {
    "OK": ("#1d8102", "OK"),
    "ALARM": ("#d13212", "in alarm"),
    "INSUFFICIENT_DATA": ("#aab7b8", "no data yet"),
    "": ("#ffffff", "needs metric math, which the sandbox has not"),
}
ALARM_COLUMNS = 6
MOST_IN_A_LEGEND = 9
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.edgecolor": "#d5dbdb",
    "axes.labelcolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "text.color": INK,
}


def draw(picture: Picture, path: Path) -> None:
    """Writes the picture as PNG."""
    rows = max(widget["y"] + widget["height"] for widget in picture.widgets)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMNS * UNIT_INCHES, (rows + 0.6) * UNIT_INCHES), facecolor=PAPER)
        for widget in picture.widgets:
            box = _box(widget, rows + 0.6)
            if widget["type"] == "text":
                _text(figure, box, widget["properties"]["markdown"])
            elif widget["type"] == "alarm":
                _alarms(figure, box, widget["properties"], picture.stack, picture.alarms)
            else:
                _chart(figure, box, widget["properties"], picture.curves[widget["properties"]["title"]])
        figure.text(MARGIN / 2, 0.006, _footer(picture), color=FAINT, fontsize=7.5)
        image = io.BytesIO()
        figure.savefig(image, dpi=100, format="png")
    path.parent.mkdir(parents=True, exist_ok=True)
    # A palette is enough for lines on white, and a third of the size.
    Image.open(image).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def _footer(picture: Picture) -> str:
    return (
        f"{picture.orders} orders of `make run` in {picture.seconds:.0f} s on one machine, in steps of {PERIOD_SECONDS} s;"
        " what is counted is reckoned for a minute. In AWS, a step is a minute. Curves without a value are left out."
    )


def _box(widget: dict[str, Any], rows: float) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of a widget's card, as shares of the figure, with a gap around it."""
    gap = 0.12
    return (
        (widget["x"] + gap) / COLUMNS,
        1 - (widget["y"] + widget["height"] - gap) / rows,
        (widget["width"] - 2 * gap) / COLUMNS,
        (widget["height"] - 2 * gap) / rows,
    )


def _card(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    card = figure.add_axes(box, facecolor=CARD)
    card.set_xticks([])
    card.set_yticks([])
    card.set_xlim(0, 1)
    card.set_ylim(0, 1)
    return card


def _text(figure: Figure, box: tuple[float, float, float, float], markdown: str) -> None:
    card = _card(figure, box)
    heading, _, rest = markdown.partition("\n")
    card.text(0.008, 0.9, heading.removeprefix("# "), fontsize=13, fontweight="bold", va="top")
    words = textwrap.fill(rest.strip().replace("**", "").replace("`", ""), 250)
    card.text(0.008, 0.52, words, fontsize=8.2, va="top", linespacing=1.45)


def _alarms(
    figure: Figure, box: tuple[float, float, float, float], widget: dict[str, Any], stack: str, states: dict[str, str]
) -> None:
    card = _card(figure, box)
    names = [arn.rpartition(":alarm:")[2].removeprefix(f"{stack}-") for arn in widget["alarms"]]
    card.text(0.008, 0.93, widget["title"], fontsize=9, fontweight="bold", va="top")
    lines = math.ceil(len(names) / ALARM_COLUMNS)
    for number, name in enumerate(names):
        state = states.get(name, "")
        column, line = number % ALARM_COLUMNS, number // ALARM_COLUMNS
        x, y = 0.012 + column * (0.99 / ALARM_COLUMNS), 0.66 - line * (0.72 / lines)
        _square(card, x, y, state)
        weight = "bold" if state == "ALARM" else "normal"
        card.text(x + 0.008, y, name, fontsize=7.8, va="center", fontweight=weight)
    for number, (state, (_, meaning)) in enumerate(STATES.items()):
        x = 0.48 + number * 0.085
        _square(card, x, 0.86, state)
        card.text(x + 0.008, 0.86, meaning, fontsize=7.5, va="center", color=FAINT)


def _square(card: Axes, x: float, y: float, state: str) -> None:
    card.plot([x], [y], marker="s", markersize=7, color=STATES[state][0], markeredgecolor=FAINT, markeredgewidth=0.4)


def _chart(figure: Figure, box: tuple[float, float, float, float], chart: dict[str, Any], curves: list[Curve]) -> None:
    card = _card(figure, box)
    card.text(0.025, 0.96, chart["title"], fontsize=9, fontweight="bold", va="top")
    left, bottom, width, height = box
    shown = [curve for curve in curves if any(value for value in curve.values)]
    second = any(curve.options.get("yAxis") == "right" for curve in shown)
    plot = figure.add_axes(
        (
            left + width * 0.11,
            bottom + height * 0.26,
            width * (0.76 if second else 0.86),
            height * 0.61,
        )
    )
    plot.set_facecolor(CARD)
    plot.grid(axis="y", color="#eaeded", linewidth=0.8)
    plot.set_axisbelow(True)
    right = plot.twinx() if second else None
    for side in ("top", "right"):
        plot.spines[side].set_visible(False)
    _curves(plot, right, chart, shown, max(len(curve.values) for curve in curves))
    _axis(plot, chart["yAxis"]["left"])
    if right is not None:
        _axis(right, chart["yAxis"]["right"])
        for side in ("top", "left"):
            right.spines[side].set_visible(False)
    for line in chart.get("annotations", {}).get("horizontal", []):
        plot.axhline(line["value"], color=line["color"], linewidth=1.2, linestyle=(0, (4, 2)))
        plot.annotate(
            line["label"], (0.995, line["value"]), xycoords=("axes fraction", "data"), color=line["color"],
            xytext=(0, 2), textcoords="offset points", ha="right", va="bottom", fontsize=7,
        )  # fmt: skip
    if not shown:
        plot.text(0.5, 0.5, "nothing to show", transform=plot.transAxes, ha="center", color=FAINT)


def _curves(plot: Axes, right: Axes | None, chart: dict[str, Any], curves: list[Curve], periods: int) -> None:
    seconds = [number * PERIOD_SECONDS for number in range(periods)]
    plot.set_xlim(0, seconds[-1])
    plot.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} s")
    handles: list[Any] = []
    beside = [curve for curve in curves if curve.options.get("yAxis") != "right"]
    if chart["stacked"]:
        filled = [[value or 0.0 for value in curve.values] for curve in beside]
        if beside:
            colours = [curve.options.get("color", "#1f77b4") for curve in beside]
            handles += plot.stackplot(
                seconds, filled, colors=colours, labels=[c.options["label"] for c in beside], step="mid", alpha=0.85
            )
    else:
        handles += [_line(plot, seconds, curve) for curve in beside]
    if right is not None:
        handles += [_line(right, seconds, curve, "--") for curve in curves if curve.options.get("yAxis") == "right"]
    plot.legend(
        handles=handles[:MOST_IN_A_LEGEND], loc="upper center", bbox_to_anchor=(0.5, -0.13), ncol=3, frameon=False,
        fontsize=6.8, handlelength=1.2, columnspacing=1.1, labelspacing=0.35,
    )  # fmt: skip


def _line(plot: Axes, seconds: list[int], curve: Curve, style: str = "-") -> Any:
    points = [(at, value) for at, value in zip(seconds, curve.values, strict=True) if value is not None]
    [line] = plot.plot(
        [at for at, _ in points], [value for _, value in points], style, marker="o", markersize=2.2, linewidth=1.3,
        color=curve.options.get("color", "#1f77b4"), label=curve.options["label"],
    )  # fmt: skip
    return line


def _axis(plot: Axes, axis: dict[str, Any]) -> None:
    plot.set_ylabel(axis["label"], fontsize=7)
    low, high = plot.get_ylim()
    plot.set_ylim(axis.get("min", low), axis.get("max", high * 1.08))
    plot.tick_params(length=0, labelsize=6.8)
