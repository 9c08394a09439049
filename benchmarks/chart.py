"""Line charts as SVG: a few named curves over one axis.

Written out by hand: a chart of the results needs axes, curves and a legend, for which a plotting
library would be a large dependency, and text files show in a diff what has changed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

Curves = Mapping[str, Sequence[tuple[float, float]]]
"""The points (x, y) of each curve, in the order in which they are joined, by its name."""

WIDTH, HEIGHT = 720, 400
"""Of the whole picture, in pixels, as all lengths below."""
LEFT, RIGHT, TOP, BOTTOM = 66, 20, 48, 56
"""Margins around the plotted area."""
LEGEND_ROW, LETTER = 18, 6.6
"""Height of a legend's row, and about the width of a letter of its 12 pixel type."""
TICKS = 6
"""About how many ticks an axis has."""
MARKED = 40
"""Most points of a curve that are marked one by one."""
INK, GRID = "#333333", "#e3e3e3"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Told apart with any colour vision: Okabe and Ito, https://jfly.uni-koeln.de/color (yellow left out)."""


@dataclass(frozen=True)
class _Axis:
    """From values to pixels along one axis."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def line_chart(
    path: Path,
    title: str,
    x_label: str,
    y_label: str,
    curves: Curves,
    *,
    y_range: tuple[float, float] | None = None,
) -> None:
    """Write a chart; points that are not finite are left out, and with them the line through them.

    Args:
        path: The SVG file.
        title: Stands above the chart.
        x_label: What the x axis tells, with its unit.
        y_label: What the y axis tells, with its unit.
        curves: At least one finite point in all.
        y_range: Lowest and highest y shown; `None` takes the points'.

    Raises:
        ValueError: There is nothing to draw.
    """
    points = [point for curve in curves.values() for point in curve if _is_finite(point)]
    if not points:
        raise ValueError(f"no point to draw in {path}")
    bottom = HEIGHT - BOTTOM
    x_axis = _Axis(*_span([x for x, _ in points]), LEFT, WIDTH - RIGHT)
    y_axis = _Axis(*(y_range or _span([y for _, y in points])), bottom, TOP)
    rows = _legend_rows(curves)
    height = HEIGHT + len(rows) * LEGEND_ROW
    svg = Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height}",
        width=str(WIDTH),
        height=str(height),
    )
    svg.set("font-family", "system-ui, sans-serif")
    svg.set("font-size", "12")
    SubElement(svg, "rect", width="100%", height="100%", fill="white")
    _text(svg, WIDTH / 2, 26, title, size=15)
    _draw_axes(svg, x_axis, y_axis)
    _text(svg, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, x_label)
    _text(svg, 0, 0, y_label).set("transform", f"translate(17 {(TOP + bottom) / 2:g}) rotate(-90)")
    for number, curve in enumerate(curves.values()):
        _draw_curve(svg, curve, COLOURS[number % len(COLOURS)], x_axis, y_axis)
    _draw_legend(svg, rows)
    indent(svg)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree(svg).write(path, encoding="utf-8", xml_declaration=True)


def ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Return round numbers from `low` to `high`, about `count`: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _is_finite(point: tuple[float, float]) -> bool:
    return all(map(math.isfinite, point))


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    spare = 0.03 * (high - low) or max(abs(low), 1.0) * 0.1
    return low - spare, high + spare


def _draw_axes(svg: Element, x_axis: _Axis, y_axis: _Axis) -> None:
    for value in ticks(y_axis.low, y_axis.high):
        _line(svg, x_axis.start, y_axis(value), x_axis.end, y_axis(value), GRID)
        _text(svg, x_axis.start - 8, y_axis(value) + 4, f"{value:.6g}", anchor="end")
    for value in ticks(x_axis.low, x_axis.high):
        _line(svg, x_axis(value), y_axis.start, x_axis(value), y_axis.start + 5, INK)
        _text(svg, x_axis(value), y_axis.start + 20, f"{value:.6g}")
    _line(svg, x_axis.start, y_axis.start, x_axis.end, y_axis.start, INK)
    _line(svg, x_axis.start, y_axis.start, x_axis.start, y_axis.end, INK)


def _draw_curve(
    svg: Element, curve: Sequence[tuple[float, float]], colour: str, x_axis: _Axis, y_axis: _Axis
) -> None:
    stretches: list[list[str]] = [[]]
    for point in curve:
        if _is_finite(point):
            stretches[-1].append(f"{x_axis(point[0]):.1f},{y_axis(point[1]):.1f}")
        else:
            stretches.append([])
    for stretch in stretches:
        if len(stretch) > 1:
            line = SubElement(svg, "polyline", points=" ".join(stretch), fill="none", stroke=colour)
            line.set("stroke-width", "2")
            line.set("stroke-linejoin", "round")
    for place in (place for stretch in stretches if len(curve) <= MARKED for place in stretch):
        x, y = place.split(",")
        SubElement(svg, "circle", cx=x, cy=y, r="3.5", fill=colour)


def _legend_rows(curves: Curves) -> list[list[tuple[float, str, str]]]:
    """The legend's entries (x, name, colour), row by row, as many in a row as there is room for."""
    rows: list[list[tuple[float, str, str]]] = []
    x = math.inf
    for number, name in enumerate(curves):
        wide = 40 + len(name) * LETTER
        if x + wide > WIDTH - RIGHT:
            rows.append([])
            x = LEFT
        rows[-1].append((x, name, COLOURS[number % len(COLOURS)]))
        x += wide
    return rows


def _draw_legend(svg: Element, rows: list[list[tuple[float, str, str]]]) -> None:
    for number, row in enumerate(rows):
        y = HEIGHT + 4 + number * LEGEND_ROW
        for x, name, colour in row:
            _line(svg, x, y - 4, x + 18, y - 4, colour).set("stroke-width", "3")
            _text(svg, x + 24, y, name, anchor="start")


def _line(svg: Element, x1: float, y1: float, x2: float, y2: float, colour: str) -> Element:
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    return SubElement(svg, "line", ends, stroke=colour)


def _text(svg: Element, x: float, y: float, text: str, *, anchor: str = "middle", size: int = 12) -> Element:
    written = SubElement(svg, "text", {"text-anchor": anchor}, x=f"{x:.1f}", y=f"{y:.1f}", fill=INK)
    if size != 12:
        written.set("font-size", str(size))
    written.text = text
    return written
