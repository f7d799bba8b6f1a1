"""The dashboard's picture: drawn from the dashboard itself, small enough for a README."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageChops

from sandbox.dashboard_picture import COLUMNS, draw
from sandbox.dashboard_session import Curve, Picture
from sandbox.emulator import ROOT
from support.template import STACK, Resolved

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.metric_math import Series

LARGEST_BYTES = 300_000


def picture(*, empty: bool = False) -> Picture:
    """A session in which every metric had a value in every other period, or none in any."""
    body = Resolved().of_type("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]
    widgets: list[dict[str, Any]] = json.loads(body)["widgets"]
    values: Series = [None, None] if empty else [1.0, None, 3.0]
    curves = {
        widget["properties"]["title"]: [Curve(line[-1], values) for line in widget["properties"]["metrics"]]
        for widget in widgets
        if widget["type"] == "metric"
    }
    return Picture(widgets, curves, STACK, {"dead-letters": "ALARM", "unauthorised": "OK"}, 120.0, 13)


def test_it_is_as_large_as_the_dashboard_and_small_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "images" / "dashboard.png"

    draw(picture(), path)

    with Image.open(path) as image:
        width, height = image.size
    assert width > 1400
    assert height > width  # a dashboard of four rows and a head
    assert path.stat().st_size < LARGEST_BYTES


def test_every_chart_shows_its_values(tmp_path: Path) -> None:
    shown, paths = picture(), [tmp_path / "values.png", tmp_path / "none.png"]
    draw(shown, paths[0])
    draw(picture(empty=True), paths[1])

    rows = max(widget["y"] + widget["height"] for widget in shown.widgets) + 0.6
    with Image.open(paths[0]) as values, Image.open(paths[1]) as none:
        changed = ImageChops.difference(values.convert("RGB"), none.convert("RGB"))
    charts = [widget for widget in shown.widgets if widget["type"] == "metric"]
    assert charts
    for chart in charts:
        left, right = (edge / COLUMNS * changed.width for edge in (chart["x"], chart["x"] + chart["width"]))
        top, bottom = (edge / rows * changed.height for edge in (chart["y"], chart["y"] + chart["height"]))
        assert changed.crop((round(left), round(top), round(right), round(bottom))).getbbox(), chart["properties"]


def test_the_picture_in_the_documents_is_a_small_one() -> None:
    path = ROOT / "docs" / "images" / "dashboard.png"
    with Image.open(path) as image:
        assert image.format == "PNG"
    assert path.stat().st_size < LARGEST_BYTES
