"""Charts: files that any reader of XML takes, with every point where it belongs."""

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pllava_cli.chart import ALONE, Chart, Curve, Style, line_chart, ticks
from pllava_cli.chart import draw as drawn

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


def boxes(root: ElementTree.Element) -> dict[str, float]:
    """How far to the left each text begins, as far as its letters tell."""
    found = {}
    for each in (each for each in root.iter("text") if "transform" not in each.attrib):
        wide = 6.6 * len(each.text or "") * {"start": 0, "middle": 0.5, "end": 1}[each.attrib["text-anchor"]]
        found[each.text or ""] = float(each.attrib["x"]) - wide
    return found


def points(polygon: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = (each.split(",") for each in polygon.attrib["points"].split())
    return [(float(x), float(y)) for x, y in pairs]


def test_a_band_lies_about_its_curve() -> None:
    curve = Curve("a", [(0, 5), (1, 6), (2, 7)], [(4, 6), (5, 7), (1, 9)])
    root = drawn(Chart("t", "x", "y", [curve]))
    (band,) = root.iter("polygon")
    corners = points(band)
    assert len(corners) == 6
    lows, highs = corners[:3], corners[:2:-1]
    for (x, y), (low_x, low), (high_x, high) in zip(circles_of(root), lows, highs, strict=True):
        assert x == low_x == high_x
        assert high < y < low  # upwards
    assert max(y for _, y in corners) <= 344  # within the plotted area


def circles_of(root: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in root.iter("circle")]


def test_a_lone_point_has_its_band_as_a_line_and_gaps_have_none() -> None:
    gap = (math.nan, math.nan)
    curve = Curve("a", [(0, 5), (1, math.nan), (2, 7), (3, 8)], [(4, 6), gap, (6, 8), gap])
    root = drawn(Chart("t", "x", "y", [curve]))
    assert not list(root.iter("polygon"))
    assert sum("stroke-opacity" in each.attrib for each in root.iter("line")) == 2


def test_what_is_there_for_comparison_is_dashed() -> None:
    root = drawn(
        Chart("t", "x", "y", [Curve("a", [(0, 1), (1, 2)]), Curve("b", [(0, 2), (1, 1)], is_dashed=True)])
    )
    assert ["stroke-dasharray" in each.attrib for each in root.iter("polyline")] == [False, True]


@pytest.mark.parametrize("place", [0.0, 2.0, 4.0])
def test_a_place_is_pointed_out(place: float) -> None:
    root = drawn(Chart("t", "x", "y", [Curve("a", [(0, 1), (4, 2)])], marked=(place, "default")))
    (line,) = (each for each in root.iter("line") if "stroke-dasharray" in each.attrib)
    (start, _), (end, _) = circles_of(root)
    assert float(line.attrib["x1"]) == pytest.approx(start + place / 4 * (end - start), abs=0.2)
    assert "default" in boxes(root)


def test_a_place_outside_the_axis_is_not_pointed_out() -> None:
    root = drawn(Chart("t", "x", "y", [Curve("a", [(0, 1), (4, 2)])], marked=(9.0, "default")))
    assert "default" not in boxes(root)


def test_names_of_places_are_turned_where_they_would_run_into_each_other() -> None:
    def turned(names: list[str]) -> tuple[int, float]:
        curve = Curve("a", [(float(at), 1.0) for at in range(len(names))])
        root = drawn(Chart("t", "x", "y", [curve], x_names=names))
        count = sum("rotate(-30" in each.attrib.get("transform", "") for each in root.iter("text"))
        return count, float(root.attrib["height"])

    few, low = turned(["one", "two", "three"])
    many, high = turned([f"a rather long name {at}" for at in range(9)])
    assert (few, many) == (0, 9)
    assert high > low + 40


def test_names_of_any_length_stay_within_the_picture() -> None:
    long = "x" * 5000
    root = drawn(Chart(long, long, long, [Curve(long, [(0, 1)])], x_names=[long], marked=(0, long)))
    assert min(boxes(root).values()) >= -1
    assert max(len(each.text or "") for each in root.iter("text")) <= 90


def test_a_style_gives_every_colour() -> None:
    chart = Chart("t", "x", "y", [Curve("a", [(0, 1), (1, 2)], [(0, 2), (1, 3)])], marked=(1, "m"))
    plain = ElementTree.tostring(drawn(chart, Style("ink", "grid", ["first"], None)), encoding="unicode")
    assert "#" not in plain and "xmlns" not in plain
    for colour in ("ink", "grid", "first"):
        assert f'"{colour}"' in plain
    assert drawn(chart, ALONE).find("rect") is not None
