"""The dashboard's picture: drawn from the dashboard itself, small enough for a README."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from PIL import Image

from sandbox.dashboard_picture import draw
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


def test_all_of_it_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "images" / "dashboard.png"

    draw(picture(), path)

    with Image.open(path) as image:
        width, height = image.size
    assert width > 1400
    assert height > width  # a dashboard of four rows and a head
    assert path.stat().st_size < LARGEST_BYTES


def test_a_session_without_any_value_is_drawn_too(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.png"

    draw(picture(empty=True), path)

    assert path.stat().st_size > 10_000


def test_the_picture_in_the_documents_is_a_small_one() -> None:
    path = ROOT / "docs" / "images" / "dashboard.png"
    with Image.open(path) as image:
        assert image.format == "PNG"
    assert path.stat().st_size < LARGEST_BYTES
