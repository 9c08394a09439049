"""Charts: files that any reader of XML takes, with every point where it belongs."""

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.chart import line_chart, ticks

SVG = "{http://www.w3.org/2000/svg}"


def draw(path: Path, curves: dict[str, list[tuple[float, float]]], **options: object) -> ElementTree.Element:
    line_chart(path, "A <title> & more", "x", "y, %", curves, **options)  # type: ignore[arg-type]
    return ElementTree.parse(path).getroot()


def circles(root: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in root.iter(f"{SVG}circle")]


def test_is_an_svg_that_names_title_axes_and_curves(tmp_path: Path) -> None:
    root = draw(tmp_path / "new" / "chart.svg", {"a < b": [(0, 1), (1, 2)], "c & d": [(0, 3)]})
    assert root.tag == f"{SVG}svg"
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert {"A <title> & more", "x", "y, %", "a < b", "c & d"} <= set(texts)


def test_points_lie_in_proportion(tmp_path: Path) -> None:
    (x0, y0), (x1, y1), (x2, y2) = circles(draw(tmp_path / "c.svg", {"a": [(0, 0), (1, 10), (4, 40)]}))
    assert (x2 - x0) == pytest.approx(4 * (x1 - x0), abs=0.5)
    assert (y2 - y0) == pytest.approx(4 * (y1 - y0), abs=0.5)
    assert y2 < y1 < y0  # upwards


def test_given_range_is_kept(tmp_path: Path) -> None:
    low, high = {"a": [(0.0, 0.0), (1.0, 1.0)]}, {"a": [(0.0, 99.0), (1.0, 100.0)]}
    places = [circles(draw(tmp_path / "c.svg", each, y_range=(0.0, 100.0))) for each in (low, high)]
    assert places[0][0][1] - places[1][1][1] > 250
    assert abs(places[0][0][1] - places[0][1][1]) < 5


def test_gap_breaks_the_line(tmp_path: Path) -> None:
    curve = [(0.0, 1.0), (1.0, 1.0), (2.0, math.nan), (3.0, 1.0), (4.0, 1.0)]
    root = draw(tmp_path / "c.svg", {"a": curve})
    assert len(list(root.iter(f"{SVG}polyline"))) == 2
    assert "nan" not in (tmp_path / "c.svg").read_text().lower()


def test_long_curves_are_lines_without_marks(tmp_path: Path) -> None:
    root = draw(tmp_path / "c.svg", {"loss": [(step, 1 / (step + 1)) for step in range(5000)]})
    assert not circles(root)
    assert len(list(root.iter(f"{SVG}polyline"))) == 1


@pytest.mark.parametrize("curve", [[(3.0, 7.0)], [(1.0, 5.0), (2.0, 5.0)], [(1e-9, 1e9), (2e-9, -1e9)]])
def test_flat_lone_and_extreme_points_are_inside(tmp_path: Path, curve: list[tuple[float, float]]) -> None:
    for x, y in circles(draw(tmp_path / "c.svg", {"a": curve})):
        assert 0 <= x <= 720
        assert 0 <= y <= 400


@pytest.mark.parametrize("curves", [{}, {"a": []}, {"a": [(math.nan, 1.0)], "b": [(0.0, math.inf)]}])
def test_nothing_to_draw_is_an_error(tmp_path: Path, curves: dict[str, list[tuple[float, float]]]) -> None:
    with pytest.raises(ValueError, match="no point to draw"):
        draw(tmp_path / "c.svg", curves)
    assert not (tmp_path / "c.svg").exists()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (-0.1, 1.05, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (3, 9, list(range(3, 10))),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)
