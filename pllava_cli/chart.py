"""Line charts as SVG: a few named curves over one axis.

Written out by hand: a chart of results needs axes, curves and a legend, for which a plotting library
would be a large dependency, and text files show in a diff what has changed.
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
MOST_LETTERS, MOST_TITLE_LETTERS, MOST_UPRIGHT_LETTERS = 90, 75, 45
"""Of a name or label, of the title in its larger type, and of the y axis's label: what there is room for."""
MOST_TICK_LETTERS = 24
"""Of the name of a place on the x axis."""
SLOPE = 0.5
"""Sine of the 30 degrees by which names are turned that would run into each other."""


@dataclass(frozen=True)
class Curve:
    """Points that are joined by a line."""

    name: str
    points: Sequence[tuple[float, float]]
    """(x, y) in the order in which they are joined; what is not finite is left out, with the line there."""
    band: Sequence[tuple[float, float]] = ()
    """Lowest and highest y about each point, as of a confidence interval; empty: none."""
    is_dashed: bool = False
    """Whether it is there for comparison only."""


@dataclass(frozen=True)
class Chart:
    """What a chart shows, however it is drawn."""

    title: str
    x_label: str
    """What the x axis tells, with its unit; likewise y."""
    y_label: str
    curves: Sequence[Curve]
    y_range: tuple[float, float] | None = None
    """Lowest and highest y shown; None: the points' and bands'."""
    x_names: Sequence[str] = ()
    """Names of the places 0, 1, 2, ... of an x axis that has no numbers."""
    marked: tuple[float, str] | None = None
    """A place on the x axis that is pointed out, and what it is."""

    @property
    def points(self) -> list[tuple[float, float]]:
        """All points that can be drawn."""
        return [point for curve in self.curves for point in curve.points if is_finite(point)]

    @property
    def heights(self) -> list[float]:
        """Every y that has to be within the picture, of points and bands."""
        bands = [limits for curve in self.curves for limits in curve.band if is_finite(limits)]
        return [y for _, y in self.points] + [y for limits in bands for y in limits]


@dataclass(frozen=True)
class Style:
    """What a chart is drawn in: colours as SVG has them."""

    ink: str
    grid: str
    colours: Sequence[str]
    background: str | None


COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Told apart with any colour vision: Okabe and Ito, https://jfly.uni-koeln.de/color (yellow left out)."""
ALONE = Style("#333333", "#e3e3e3", COLOURS, "white")
"""Of a chart in a file of its own."""


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
    """Write a chart of plain curves; points that are not finite are left out, and with them the line there.

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
    drawn = [Curve(name, points) for name, points in curves.items()]
    chart = Chart(title, x_label, y_label, drawn, y_range)
    if not chart.points:
        raise ValueError(f"no point to draw in {path}")
    svg = draw(chart)
    indent(svg)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree(svg).write(path, encoding="utf-8", xml_declaration=True)


def draw(chart: Chart, style: Style = ALONE) -> Element:
    """Draw a chart, as an `svg` element.

    Raises:
        ValueError: There is nothing to draw.
    """
    points = chart.points
    if not points:
        raise ValueError("no point to draw")
    places = [x for x, _ in points] + [float(place) for place in range(len(chart.x_names))]
    x_axis = _Axis(*_span(places), LEFT, WIDTH - RIGHT)
    y_axis = _Axis(*(chart.y_range or _span(chart.heights)), HEIGHT - BOTTOM, TOP)
    names = [shortened(name, MOST_TICK_LETTERS) for name in chart.x_names]
    room = _room_below(names, x_axis)
    rows = _legend_rows(chart.curves)
    height = HEIGHT + room + len(rows) * LEGEND_ROW
    svg = _picture(chart, height, style)
    _text(svg, WIDTH / 2, 26, shortened(chart.title, MOST_TITLE_LETTERS), style, size=15)
    _draw_axes(svg, x_axis, y_axis, names, room, style)
    _text(svg, (LEFT + WIDTH - RIGHT) / 2, HEIGHT + room - 14, shortened(chart.x_label), style)
    middle = f"translate(17 {(TOP + HEIGHT - BOTTOM) / 2:g}) rotate(-90)"
    _text(svg, 0, 0, shortened(chart.y_label, MOST_UPRIGHT_LETTERS), style).set("transform", middle)
    if chart.marked is not None and x_axis.low <= chart.marked[0] <= x_axis.high:
        _draw_mark(svg, x_axis(chart.marked[0]), chart.marked[1], style)
    for number, curve in enumerate(chart.curves):
        colour = style.colours[number % len(style.colours)]
        _draw_band(svg, curve, colour, x_axis, y_axis)
        _draw_curve(svg, curve, colour, x_axis, y_axis)
    _draw_legend(svg, rows, HEIGHT + room, style)
    return svg


def ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Return round numbers from `low` to `high`, about `count`: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def shortened(text: str, most: int = MOST_LETTERS) -> str:
    """Cut a text that is too long, and show that it is cut."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def is_finite(pair: tuple[float, float]) -> bool:
    """Whether a point can be drawn."""
    return all(map(math.isfinite, pair))


def stretches(curve: Curve) -> list[list[int]]:
    """Return the numbers of the points that are joined, stretch by stretch: gaps break a curve."""
    found: list[list[int]] = [[]]
    for number, point in enumerate(curve.points):
        if is_finite(point):
            found[-1].append(number)
        else:
            found.append([])
    return [stretch for stretch in found if stretch]


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    spare = 0.03 * (high - low) or max(abs(low), 1.0) * 0.1
    return low - spare, high + spare


def _picture(chart: Chart, height: float, style: Style) -> Element:
    shown = {"viewBox": f"0 0 {WIDTH} {height:g}", "width": str(WIDTH), "height": f"{height:g}"}
    if style.background is not None:  # within a page the element needs no name space
        shown = {"xmlns": "http://www.w3.org/2000/svg"} | shown
    else:
        shown |= {"role": "img", "aria-label": chart.title}
    svg = Element("svg", shown)
    svg.set("font-family", "system-ui, sans-serif")
    svg.set("font-size", "12")
    if style.background is not None:
        SubElement(svg, "rect", width="100%", height="100%", fill=style.background)
    return svg


def _is_crowded(names: Sequence[str], x_axis: _Axis) -> bool:
    return len(names) > 1 and max(map(len, names)) * LETTER > x_axis(1) - x_axis(0) - 6


def _room_below(names: Sequence[str], x_axis: _Axis) -> float:
    """How much deeper the picture is where names of places are turned."""
    if not _is_crowded(names, x_axis):
        return 0
    return math.ceil(max(map(len, names)) * LETTER * SLOPE)


def _draw_axes(
    svg: Element, x_axis: _Axis, y_axis: _Axis, names: Sequence[str], room: float, style: Style
) -> None:
    for value in ticks(y_axis.low, y_axis.high):
        _line(svg, x_axis.start, y_axis(value), x_axis.end, y_axis(value), style.grid)
        _text(svg, x_axis.start - 8, y_axis(value) + 4, f"{value:.6g}", style, anchor="end")
    for value in range(len(names)) if names else ticks(x_axis.low, x_axis.high):
        x, y = x_axis(value), y_axis.start + 20
        _line(svg, x, y_axis.start, x, y_axis.start + 5, style.ink)
        name = names[int(value)] if names else f"{value:.6g}"
        written = _text(svg, x, y, name, style, anchor="end" if room else "middle")
        if room:
            written.set("transform", f"rotate(-30 {x:.1f} {y:.1f})")
    _line(svg, x_axis.start, y_axis.start, x_axis.end, y_axis.start, style.ink)
    _line(svg, x_axis.start, y_axis.start, x_axis.start, y_axis.end, style.ink)


def _draw_mark(svg: Element, x: float, name: str, style: Style) -> None:
    _line(svg, x, HEIGHT - BOTTOM, x, TOP, style.ink).set("stroke-dasharray", "2 4")
    _text(svg, x, TOP - 5, shortened(name, MOST_TICK_LETTERS), style)


def _draw_band(svg: Element, curve: Curve, colour: str, x_axis: _Axis, y_axis: _Axis) -> None:
    if not curve.band:
        return
    for stretch in stretches(curve):
        known = [number for number in stretch if is_finite(curve.band[number])]
        edges = [(x_axis(curve.points[number][0]), *map(y_axis, curve.band[number])) for number in known]
        if len(edges) == 1:  # a band has no width there
            x, low, high = edges[0]
            _line(svg, x, low, x, high, colour).set("stroke-opacity", "0.5")
        elif edges:
            around = [(x, low) for x, low, _ in edges] + [(x, high) for x, _, high in reversed(edges)]
            corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in around)
            SubElement(svg, "polygon", points=corners, fill=colour).set("fill-opacity", "0.15")


def _draw_curve(svg: Element, curve: Curve, colour: str, x_axis: _Axis, y_axis: _Axis) -> None:
    places = {
        number: f"{x_axis(curve.points[number][0]):.1f},{y_axis(curve.points[number][1]):.1f}"
        for stretch in stretches(curve)
        for number in stretch
    }
    for stretch in stretches(curve):
        if len(stretch) > 1:
            joined = " ".join(places[number] for number in stretch)
            line = SubElement(svg, "polyline", points=joined, fill="none", stroke=colour)
            line.set("stroke-width", "1.5" if curve.is_dashed else "2")
            line.set("stroke-linejoin", "round")
            if curve.is_dashed:
                line.set("stroke-dasharray", "6 5")
    for place in places.values() if len(curve.points) <= MARKED else ():
        x, y = place.split(",")
        SubElement(svg, "circle", cx=x, cy=y, r="2.5" if curve.is_dashed else "3.5", fill=colour)


def _legend_rows(curves: Sequence[Curve]) -> list[list[tuple[float, int, Curve]]]:
    """The legend's entries (x, number, curve), row by row, as many in a row as there is room for."""
    rows: list[list[tuple[float, int, Curve]]] = []
    x = math.inf
    for number, curve in enumerate(curves):
        wide = 40 + len(shortened(curve.name)) * LETTER
        if x + wide > WIDTH - RIGHT:
            rows.append([])
            x = LEFT
        rows[-1].append((x, number, curve))
        x += wide
    return rows


def _draw_legend(
    svg: Element, rows: Sequence[Sequence[tuple[float, int, Curve]]], top: float, style: Style
) -> None:
    for row_number, row in enumerate(rows):
        y = top + 4 + row_number * LEGEND_ROW
        for x, number, curve in row:
            line = _line(svg, x, y - 4, x + 18, y - 4, style.colours[number % len(style.colours)])
            line.set("stroke-width", "3")
            if curve.is_dashed:
                line.set("stroke-dasharray", "5 3")
            _text(svg, x + 24, y, shortened(curve.name), style, anchor="start")


def _line(svg: Element, x1: float, y1: float, x2: float, y2: float, colour: str) -> Element:
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    return SubElement(svg, "line", ends, stroke=colour)


def _text(
    svg: Element, x: float, y: float, text: str, style: Style, *, anchor: str = "middle", size: int = 12
) -> Element:
    written = SubElement(svg, "text", {"text-anchor": anchor}, x=f"{x:.1f}", y=f"{y:.1f}", fill=style.ink)
    if size != 12:
        written.set("font-size", str(size))
    written.text = text
    return written
