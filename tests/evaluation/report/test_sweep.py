"""Sweeps: the axis is found, the figures are right in every file, and a chart is there in any case."""

import csv
import json
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.evaluation import report
from pllava_cli.evaluation.items import Average, Group, Result
from pllava_cli.evaluation.report.published import of as printed
from pllava_cli.evaluation.report.sweep import arrange
from pllava_cli.evaluation.report.sweep_chart import chart_of
from tests.evaluation.reports import check_alone, table_of
from tests.evaluation.results import hostile, of_share, percent, verdict

Runs = Sequence[tuple[Mapping[str, str], Result]]
ALPHAS = ("0", "2", "4", "8", "12", "16", "20", "32")


def over_alpha(count: int) -> Runs:
    return [({"alpha": alpha}, of_share(20 + 2 * at, 50)) for at, alpha in enumerate(ALPHAS[:count])]


def size_of(png: Path) -> tuple[int, int]:
    raw = png.read_bytes()
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", raw[16:24])
    return width, height


@pytest.mark.parametrize("count", [1, 2, 8])
def test_a_sweep_gets_its_files(tmp_path: Path, count: int) -> None:
    pytest.importorskip("matplotlib")
    assert report.write_sweep(tmp_path, over_alpha(count), defaults={"alpha": "4"}) == []
    names = ["sweep.csv", "sweep.html", "sweep.json", "sweep.md", "sweep.png"]
    assert sorted(each.name for each in tmp_path.iterdir()) == names
    width, height = size_of(tmp_path / "sweep.png")
    assert 1000 <= width <= 1400 and 600 <= height <= 1200
    assert check_alone((tmp_path / "sweep.html").read_text()).tags["svg"] == 1
    assert "![mvbench over alpha](sweep.png)" in (tmp_path / "sweep.md").read_text()


def test_every_file_has_the_same_figures(tmp_path: Path) -> None:
    report.write_sweep(tmp_path, over_alpha(8)[::-1])
    plain = json.loads((tmp_path / "sweep.json").read_text())
    assert plain["schema"] == "pllava.sweep/1"
    assert plain["axes"] == ["alpha"]
    assert [run["settings"]["alpha"] for run in plain["runs"]] == list(ALPHAS)  # by size, however they came
    averages = [
        next(each for each in run["averages"] if each["label"] == "mean over items") for run in plain["runs"]
    ]
    assert [each["value"] for each in averages] == [40 + 4 * at for at in range(8)]
    rows = table_of((tmp_path / "sweep.md").read_text(), "alpha")
    low, high = averages[2]["interval"]
    assert rows["4"] == [f"48.0 ({low:.1f}–{high:.1f})"] * 2 + ["50"]
    assert low == pytest.approx(34.80, abs=0.01)  # Wilson, 24 of 50
    groups = table_of((tmp_path / "sweep.md").read_text(), "group")
    assert groups["action_sequence"] == [f"{40 + 4 * at:.1f}" for at in range(8)]
    lines = list(csv.DictReader((tmp_path / "sweep.csv").open()))
    assert len(lines) == 8 * 3
    mine = next(each for each in lines if each["alpha"] == "4" and each["name"] == "mean over items")
    assert (mine["figure"], mine["unit"], mine["what"]) == ("48", "%", "average")
    assert float(mine["low"]) == pytest.approx(low, abs=1e-3)
    assert "48.0 (34.8–61.5)" in check_alone((tmp_path / "sweep.html").read_text()).text


def test_the_chart_has_bands_the_default_and_the_papers_curve() -> None:
    chart = chart_of(arrange(over_alpha(8)), printed("mvbench"), {"alpha": "4"})
    assert chart is not None
    mine, paper = chart.curves
    assert mine.points == [(float(alpha), 40.0 + 4 * at) for at, alpha in enumerate(ALPHAS)]
    assert all(low < y < high for (_, y), (low, high) in zip(mine.points, mine.band, strict=True))
    assert paper.is_dashed and paper.name == "PLLaVA 7B, printed"
    assert dict(paper.points)[20] == 47.0
    assert chart.marked == (4, "default: 4")
    assert (chart.title, chart.y_label) == ("mvbench over alpha", "mean over tasks, %")


def test_missing_figures_are_gaps(tmp_path: Path) -> None:
    none = replace(of_share(1, 2), averages=[Average("mean over tasks", None)], groups=[Group("g", 0, None)])
    runs = [*over_alpha(8)[:3], ({"alpha": "8"}, none), *over_alpha(8)[4:]]
    chart = chart_of(arrange(runs), None, {})
    assert chart is not None
    assert len(chart.points) == 7
    report.write_sweep(tmp_path, runs)
    page = check_alone((tmp_path / "sweep.html").read_text())
    assert page.tags["polyline"] == 2 + 1  # the run's in two, and the paper's
    assert table_of((tmp_path / "sweep.md").read_text(), "alpha")["8"][:2] == ["–", "–"]
    assert "nan" not in (tmp_path / "sweep.csv").read_text().lower()


def test_a_sweep_without_any_figure_has_tables_and_says_that_there_is_no_picture(tmp_path: Path) -> None:
    none = percent([])
    assert report.write_sweep(tmp_path, [({"alpha": "1"}, none), ({"alpha": "2"}, none)]) == [
        "sweep.png is left out: there is no figure to draw"
    ]
    assert not (tmp_path / "sweep.png").exists()
    assert not check_alone((tmp_path / "sweep.html").read_text()).tags["svg"]


def test_a_second_axis_makes_lines() -> None:
    runs = [
        ({"frames": frames, "alpha": alpha}, of_share(int(frames) + int(alpha), 50))
        for alpha in ("4", "20", "0")
        for frames in ("16", "4")
    ]
    sweep = arrange(runs)
    assert sweep.axes == ["alpha", "frames"]
    chart = chart_of(sweep, None, {})
    assert chart is not None
    assert [curve.name for curve in chart.curves] == ["frames 4", "frames 16"]
    assert [x for x, _ in chart.curves[0].points] == [0, 4, 20]
    assert chart.curves[1].points[2] == (20, 72.0)


def test_numbers_that_cannot_be_drawn_are_names() -> None:
    chart = chart_of(
        arrange([({"alpha": alpha}, of_share(1, 2)) for alpha in ("1e308", "4", "nan")]), None, {}
    )
    assert chart is not None
    assert list(chart.x_names) == ["1e308", "4", "nan"]


def test_many_runs_stand_below_each_other(tmp_path: Path) -> None:
    runs = [({"alpha": str(alpha), "frames": "4"}, of_share(alpha, 20)) for alpha in range(14)]
    runs.append(({"alpha": "3", "frames": "8"}, of_share(9, 20)))
    report.write_sweep(tmp_path, runs)
    tables = (tmp_path / "sweep.md").read_text().partition("## Groups")[2]
    assert "| alpha | frames | action_sequence |" in tables
    assert "| 3 | 4 | 15.0 |" in tables and "| 3 | 8 | 45.0 |" in tables


def test_values_that_are_no_numbers_are_places_in_their_order(tmp_path: Path) -> None:
    shapes = ("16x12x12", "4x12x12", "none")
    runs = [({"pooling_shape": shape}, of_share(at + 1, 8)) for at, shape in enumerate(shapes)]
    chart = chart_of(arrange(runs), printed("mvbench"), {"pooling_shape": "16x12x12"})
    assert chart is not None
    assert list(chart.x_names) == list(shapes)
    assert chart.curves[0].points == [(0, 12.5), (1, 25), (2, 37.5)]
    assert chart.curves[1].points == [(1, 44.6)]  # the paper has only this one of them
    assert chart.marked == (0, "default: 16x12x12")
    report.write_sweep(tmp_path, runs)
    text = check_alone((tmp_path / "sweep.html").read_text()).text
    assert "figure 7 a" in text and "4x12x12" in text


def test_captions_have_a_curve_for_each_metric() -> None:
    def measured(value: float) -> Result:
        groups = [Group("BLEU-4", 9, value), Group("CIDEr-D", 9, 4 * value)]
        return Result("captions", "words", "", groups, (), [verdict(1, "measured")])

    runs = [({"alpha": alpha}, measured(float(alpha))) for alpha in ("1", "2")]
    chart = chart_of(arrange(runs), None, {})
    assert chart is not None
    assert {curve.name: curve.points for curve in chart.curves} == {
        "BLEU-4": [(1, 1), (2, 2)],
        "CIDEr-D": [(1, 4), (2, 8)],
    }
    two = [
        ({"alpha": alpha, "frames": frames}, measured(1))
        for alpha in ("1", "2", "3")
        for frames in ("4", "8")
    ]
    chart = chart_of(arrange(two), None, {})
    assert chart is not None
    assert chart.y_label == "CIDEr-D"
    assert [curve.name for curve in chart.curves] == ["frames 4", "frames 8"]


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([], "there are no runs to compare"),
        (
            [({}, of_share(1, 2)), ({}, of_share(1, 2, "mc"))],
            "runs of mc (%) and mvbench (%) cannot be compared",
        ),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path, runs: Runs, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        report.write_sweep(tmp_path, runs)
    assert caught.value.message == said
    assert not list(tmp_path.iterdir())


def test_runs_that_differ_in_more_than_their_settings_say_so(tmp_path: Path) -> None:
    runs = [({"alpha": "1"}, of_share(1, 2)), ({"alpha": "2"}, replace(of_share(1, 3), scoring="reference"))]
    report.write_sweep(tmp_path, runs)
    for name in ("sweep.md", "sweep.html"):
        text = (tmp_path / name).read_text()
        assert "scored in different ways: reference; strict" in text
        assert "of different numbers of answers" in text


def test_what_else_the_runs_were_made_with_is_told_where_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    runs = []
    for frames, packed in (("8", "none"), ("16", "none"), ("64", "4bit")):
        made = {"checkpoint": "pllava-7b", "frames": frames, "quantisation": packed}
        runs.append(({"frames": frames}, replace(of_share(1, 2), settings=made)))
    report.write_sweep(tmp_path, runs)
    for name in ("sweep.md", "sweep.html"):
        text = (tmp_path / name).read_text()
        assert "quantisation is none (frames 8, frames 16); 4bit (frames 64)" in text
        assert text.count("differ in more") == 1
    plain = json.loads((tmp_path / "sweep.json").read_text())
    assert plain["settings"] == {"checkpoint": "pllava-7b"}
    assert plain["runs"][2]["settings"] == {"frames": "64", "quantisation": "4bit"}


def test_a_note_of_some_runs_tells_of_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    runs = [
        ({"alpha": alpha}, replace(of_share(1, 2), notes=["Of all.", f"{lost} failed."]))
        for alpha, lost in (("0", 2), ("4", 2), ("8", 3))
    ]
    report.write_sweep(tmp_path, runs)
    notes = (tmp_path / "sweep.md").read_text().partition("## Notes")[2]
    assert "\n* Of all.\n" in notes
    assert "\n* alpha 0; alpha 4: 2 failed.\n" in notes and "\n* alpha 8: 3 failed.\n" in notes


def test_what_could_not_be_asked_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    report.write_sweep(tmp_path, over_alpha(3))
    assert over_alpha(1)[0][1].faults, "of each run the same"
    for name in ("sweep.md", "sweep.html"):
        text = (tmp_path / name).read_text()
        assert text.count("could not be asked: 1; the report of each run names them") == 1


@pytest.mark.parametrize("shapes", [("16x12x12", "8x6x6"), ("16x12x12", "4x12x12")])
def test_dashes_are_explained_where_there_are_any(tmp_path: Path, shapes: tuple[str, ...]) -> None:
    """The paper has some shapes only, and without a picture the Markdown shows none of its curves."""
    report.write_sweep(tmp_path, [({"pooling_shape": shape}, of_share(1, 8)) for shape in shapes])
    has_any = "4x12x12" in shapes
    for name, is_seen in (("html", True), ("md", (tmp_path / "sweep.png").exists())):
        assert ("Dashed:" in (tmp_path / f"sweep.{name}").read_text()) == (has_any and is_seen)


def test_nothing_in_a_sweep_becomes_markup(tmp_path: Path) -> None:
    result = hostile()
    worst = str(next(iter(result.settings)))
    report.write_sweep(tmp_path, [({worst: worst}, result), ({worst: "_$\\frac$"}, result)])
    page = check_alone((tmp_path / "sweep.html").read_text())
    assert "<script>" in page.text
    markdown = (tmp_path / "sweep.md").read_text()
    assert "<script" not in markdown.replace("\\<", "")
    assert json.loads((tmp_path / "sweep.json").read_text())["benchmark"] == worst
    rows = list(csv.reader((tmp_path / "sweep.csv").open(newline="")))
    assert {len(row) for row in rows} == {8}


def test_without_matplotlib_the_rest_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sweep.png").write_bytes(b"of an earlier sweep")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    notes = report.write_sweep(tmp_path, over_alpha(3))
    assert notes == ["sweep.png is left out: it needs matplotlib (pip install 'pllava[eval]')"]
    assert not (tmp_path / "sweep.png").exists()
    assert "sweep.png" not in (tmp_path / "sweep.md").read_text()
    assert check_alone((tmp_path / "sweep.html").read_text()).tags["svg"] == 1


def test_drawing_leaves_no_trace_in_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    matplotlib.rcParams["lines.linewidth"] = 7.5
    try:
        report.write_sweep(tmp_path, over_alpha(2))
        assert matplotlib.rcParams["lines.linewidth"] == 7.5
        assert "matplotlib.pyplot" not in sys.modules
    finally:
        matplotlib.rcdefaults()
