"""Reports: what a run of a benchmark came to, as data, as Markdown and as a page; and runs side by side."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pllava_cli.chart import Chart
from pllava_cli.evaluation.items import Result
from pllava_cli.evaluation.report import markdown, published, stored, sweep_text
from pllava_cli.evaluation.report.files import save
from pllava_cli.evaluation.report.page import write_page
from pllava_cli.evaluation.report.plot import NoPlotterError, to_png
from pllava_cli.evaluation.report.sweep import arrange, to_csv, to_json
from pllava_cli.evaluation.report.sweep_chart import chart_of

if TYPE_CHECKING:
    from pllava_cli.evaluation.report.thumbnails import Frames

PICTURE = "sweep.png"


def write(folder: Path, result: Result, *, frames: "Frames | None" = None) -> None:
    """Write `result.json`, `report.md` and `report.html` into a run's folder, which is made if need be.

    Args:
        folder: Where to; what was there stays if it cannot be replaced whole.
        result: What the run came to.
        frames: Gives the frames that were seen for an answer; None decodes its clip again.

    Raises:
        UsageError: It cannot be written.
    """
    save(folder, {stored.NAME: stored.to_json(result)})  # before clips are decoded for the page
    beside = published.of(result.benchmark)
    save(
        folder,
        {
            "report.md": markdown.write_markdown(result, beside),
            "report.html": write_page(result, beside, frames),
        },
    )


def write_sweep(
    folder: Path,
    runs: Sequence[tuple[Mapping[str, str], Result]],
    *,
    defaults: Mapping[str, str] | None = None,
) -> list[str]:
    """Write `sweep.json`, `.csv`, `.md`, `.html` and `.png`: runs under settings that differ, side by side.

    Args:
        folder: Where to; it is made if need be.
        runs: The settings that differ, by name, and what the run came to.
        defaults: What these settings are if nobody sets them: the place is pointed out in the chart.

    Returns:
        What a user should know: that there is no picture, and why.

    Raises:
        UsageError: There are no runs, they are of different benchmarks, or it cannot be written.
    """
    sweep = arrange(runs)
    beside = published.of(sweep.first.benchmark)
    chart = chart_of(sweep, beside, defaults or {})
    picture, notes = _picture(chart)
    contents: dict[str, str | bytes] = {"sweep.json": to_json(sweep), "sweep.csv": to_csv(sweep)}
    if picture is not None:
        contents[PICTURE] = picture
    contents["sweep.md"] = sweep_text.write_markdown(sweep, beside, chart, picture is not None)
    contents["sweep.html"] = sweep_text.write_page(sweep, beside, chart)
    save(folder, contents)
    if picture is None:
        with suppress(OSError):  # one of another run would be taken for this one's
            (folder / PICTURE).unlink(missing_ok=True)
    return notes


def _picture(chart: Chart | None) -> tuple[bytes | None, list[str]]:
    if chart is None or not chart.points:
        return None, [f"{PICTURE} is left out: there is no figure to draw"]
    try:
        return to_png(chart), []
    except NoPlotterError:
        return None, [f"{PICTURE} is left out: it needs matplotlib (pip install 'pllava[eval]')"]
