"""Charts as PNG, drawn by matplotlib where it is installed: the extra `eval`."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pllava_cli.chart import COLOURS, MARKED, MOST_TICK_LETTERS, Chart, Curve, is_finite, shortened, stretches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

SIZE_IN, DPI = (8.0, 5.0), 150
"""1200 by 750 pixels, or somewhat more where a legend is long."""
MARKERS = "osD^vPX"
MOST_LETTERS = 70
"""Of a title or name, at this size."""
IN_LEGEND_ROW = 3
LEGEND_ROW_IN = 0.24


class NoPlotterError(Exception):
    """Matplotlib is not installed, or does not work here: why."""


def to_png(chart: Chart) -> bytes:
    """Draw a chart that has points, as a PNG file.

    Raises:
        NoPlotterError: There is no matplotlib that could.
    """
    with _quiet():
        try:
            import matplotlib
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except (ImportError, OSError) as error:  # its cache of fonts may have no place
            raise NoPlotterError(str(error)) from None
        with matplotlib.rc_context():  # whatever the user's own settings are
            matplotlib.rcdefaults()
            rows = -(-len(chart.curves) // _in_row(chart))
            figure = Figure((SIZE_IN[0], SIZE_IN[1] + rows * LEGEND_ROW_IN), dpi=DPI, layout="constrained")
            FigureCanvasAgg(figure)
            axes = figure.add_subplot()
            _draw(chart, axes)
            handles, names = axes.get_legend_handles_labels()
            legend = figure.legend(
                handles, names, loc="outside lower center", ncols=_in_row(chart), frameon=False
            )
            for text in legend.get_texts():
                _as_it_is(text)
            written = io.BytesIO()
            figure.savefig(written, format="png")
    return written.getvalue()


def _draw(chart: Chart, axes: "Axes") -> None:
    for number, curve in enumerate(chart.curves):
        _draw_curve(curve, number, axes)
    if chart.y_range is not None:
        axes.set_ylim(*chart.y_range)
    if chart.x_names:
        names = [shortened(name, MOST_TICK_LETTERS) for name in chart.x_names]
        is_crowded = len(names) * max(map(len, names)) > MOST_LETTERS
        axes.set_xticks(range(len(names)), names, rotation=30 if is_crowded else 0)
        axes.set_xlim(-0.5, len(names) - 0.5)
        for label in axes.get_xticklabels():
            _as_it_is(label)
            label.set_horizontalalignment("right" if is_crowded else "center")
    if chart.marked is not None:
        place, name = chart.marked
        axes.axvline(place, color="#333333", linewidth=1, linestyle=":")
        shown = axes.annotate(
            shortened(name, MOST_TICK_LETTERS),
            (place, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
        _as_it_is(shown)
    axes.grid(axis="y", color="#e3e3e3")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    pad = 20.0 if chart.marked is not None else 8.0  # points
    _as_it_is(axes.set_title(shortened(chart.title, MOST_LETTERS), pad=pad))
    _as_it_is(axes.set_xlabel(shortened(chart.x_label, MOST_LETTERS)))
    _as_it_is(axes.set_ylabel(shortened(chart.y_label, MOST_LETTERS)))


def _draw_curve(curve: Curve, number: int, axes: "Axes") -> None:
    colour = COLOURS[number % len(COLOURS)]
    marker = MARKERS[(number + number // len(COLOURS)) % len(MARKERS)] if len(curve.points) <= MARKED else ""
    style = "--" if curve.is_dashed else "-"
    label = " " + shortened(curve.name, MOST_LETTERS)  # a name that begins with _ would be left out
    for stretch in stretches(curve):
        known = [at for at in stretch if curve.band and is_finite(curve.band[at])]
        x = [curve.points[at][0] for at in known]
        low, high = ([curve.band[at][side] for at in known] for side in (0, 1))
        if len(known) == 1:  # a band has no width there
            axes.vlines(x, low, high, color=colour, alpha=0.5, linewidth=1.5)
        elif known:
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    xs, ys = zip(
        *(point if is_finite(point) else (point[0], float("nan")) for point in curve.points), strict=True
    )
    width, size = (1.3, 4.0) if curve.is_dashed else (2.0, 6.0)
    axes.plot(xs, ys, style, color=colour, marker=marker, label=label, linewidth=width, markersize=size)


def _in_row(chart: Chart) -> int:
    longest = max(len(shortened(curve.name, MOST_LETTERS)) for curve in chart.curves)
    return max(1, min(IN_LEGEND_ROW, len(chart.curves), 90 // (longest + 6)))


def _as_it_is(text: "Text") -> None:
    """Have a text written letter by letter: dollars would make it a formula."""
    text.set_parse_math(False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the library has to say of its fonts off the terminal: a letter that they lack is a box."""
    logger = logging.getLogger("matplotlib")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
