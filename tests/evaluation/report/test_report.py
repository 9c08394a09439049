"""Reports of a run: right figures, bounded, safe whatever was said, and whole or not there."""

import base64
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pllava_cli.errors import ClipError, ExitStatus, UsageError
from pllava_cli.evaluation import report
from pllava_cli.evaluation.items import Average, Fault, Group, Result, Said, Verdict
from pllava_cli.video.reader import sample_frames
from tests.clips import write_clip
from tests.disks import read_only_folder, room
from tests.evaluation.reports import check_alone, table_of
from tests.evaluation.results import HOSTILE, hostile, percent, verdict

Frame = np.ndarray[Any, Any]


def no_frames(_: Said, __: int) -> Sequence[Frame]:
    return []


def written(folder: Path, result: Result) -> tuple[str, str]:
    """Write a report; return its Markdown and its page."""
    report.write(folder, result, frames=no_frames)
    return (folder / "report.md").read_text("utf-8"), (folder / "report.html").read_text("utf-8")


MANY = [
    verdict(
        number,
        ("right", "wrong", "wrong", "unparsed")[number % 4],
        ("action_sequence", "moving_count")[number % 2],
    )
    for number in range(80)
]


def test_a_run_gets_its_three_files(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    written(folder, percent(MANY))
    assert sorted(each.name for each in folder.iterdir()) == ["report.html", "report.md", "result.json"]
    assert json.loads((folder / "result.json").read_text())["benchmark"] == "mvbench"


def test_the_tables_hold_the_figures_beside_the_papers(tmp_path: Path) -> None:
    markdown, page = written(tmp_path, percent(MANY))
    groups = table_of(markdown, "group")
    heads = ["answers", "%", "95 %", "not understood", "PLLaVA 7B", "PLLaVA 13B", "PLLaVA 34B"]
    assert groups["group"] == heads
    assert groups["action_sequence"] == ["40", "50.0", "35.2–64.8", "0", "58.0", "66.0", "67.5"]
    assert groups["moving_count"] == ["40", "0.0", "0.0–8.8", "20", "42.0", "45.5", "43.0"]
    averages = table_of(markdown, "average")
    assert averages["mean over tasks"][:5] == ["25.0", "16.8–35.5", "46.6", "50.1", "58.1"]
    assert table_of(markdown, "setting")["checkpoint"] == ["tiny"]
    text = check_alone(page).text
    for shown in ("35.2–64.8", "action_sequence", "PLLaVA 34B", "67.5", "tiny", "Not understood: 20"):
        assert shown in text
    assert text.count("mvbench: tiny") == 2, "pages of several runs are told apart"
    assert check_alone(page).of("class").count("bar") == 2
    assert "## Not understood: 20" in markdown


def test_a_run_is_never_shown_beside_the_paper_without_saying_what_differs(tmp_path: Path) -> None:
    for text in written(tmp_path, percent(MANY)):
        assert "arXiv 2404.16994v2, table 3" in text
        assert (
            "not comparable with them: the checkpoint is tiny; it counts 80 answers, the paper 4,000" in text
        )


def test_however_much_differs_all_of_it_is_told(tmp_path: Path) -> None:
    settings = {"checkpoint": f"/checkpoints/{'long' * 250}", "quantisation": "4bit"}
    for text in written(tmp_path, percent(MANY, settings=settings)):
        assert (
            "its weights are quantised: 4bit" in text and "could not be asked: 1; whether its system" in text
        )


def test_printed_averages_that_a_run_does_not_have_are_shown_with_their_names(tmp_path: Path) -> None:
    groups = [
        Group(name, 4, value) for name, value in (("correctness of information", 3.5), ("consistency", 2.0))
    ]
    averages = [Average("mean of the five dimensions", 2.75)]
    result = Result("vcgbench", "judge: x", "of 5", groups, averages, [])
    averages_shown = table_of(written(tmp_path, result)[0], "average")
    assert averages_shown["mean of the five dimensions (of 5)"][:4] == ["2.75", "2.99", "3.10", "3.32"]
    assert averages_shown["average as printed (of 5)"][:4] == ["–", "3.12", "3.27", "3.48"]
    assert averages_shown["mean over judged answers (of 5)"][1:4] == ["3.14", "3.23", "3.48"]
    assert table_of((tmp_path / "report.md").read_text(), "group")["consistency"][-3:] == [
        "2.93",
        "3.09",
        "3.25",
    ]


def test_a_judges_grade_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    verdicts = [replace(verdict(1), score=4.0), replace(verdict(2, "wrong"), score=2.5), verdict(3, "empty")]
    result = Result("vcgbench", "judge: x", "of 5", [Group("consistency", 3, 2.17)], (), verdicts)
    markdown, page = written(tmp_path, result)
    for text in (markdown.replace("\\", ""), check_alone(page).text):
        for shown in (
            "4.00 of 5: action_sequence/1",
            "2.50 of 5: action_sequence/2",
            "Empty: action_sequence/3",
        ):
            assert shown in text
        assert "Right:" not in text and "Wrong:" not in text
    assert [each for each in check_alone(page).of("class") if each.startswith("card ")] == [
        "card graded",
        "card graded",
        "card empty",
    ]


def test_other_benchmarks_have_nothing_beside_them(tmp_path: Path) -> None:
    for text in written(tmp_path, percent(MANY, "mc")):
        assert "PLLaVA 7B" not in text
        assert "2404.16994" not in text


def test_captions_are_measured_not_judged(tmp_path: Path) -> None:
    groups = [Group("BLEU-4", 2, 31.25, {"measured": 2}), Group("CIDEr-D", 2, 142.5, {"measured": 2})]
    result = Result("captions", "words", "", groups, (), [verdict(1, "measured"), verdict(2, "measured")])
    markdown, page = written(tmp_path, result)
    assert table_of(markdown, "group") == {
        "group": ["answers", "figure"],
        "---": ["---:", "---:"],
        "BLEU-4": ["2", "31.25"],
        "CIDEr-D": ["2", "142.50"],
    }
    assert "bar" not in check_alone(page).of("class"), "one ends at 100, the other at 1000"
    for text in (markdown, check_alone(page).text):
        assert "udged" not in text
        assert "Said: action_sequence/1" in text.replace("\\", "")
        assert "Averages" not in text


def test_averages_of_another_measure_have_no_interval(tmp_path: Path) -> None:
    averages = [Average("accuracy", 50.0), Average("mean score", 3.25, unit="of 5"), Average("other", 12.0)]
    result = replace(percent([verdict(1), verdict(2, "wrong")], "videoqa-msvd"), averages=averages)
    rows = table_of(written(tmp_path, result)[0], "average")
    assert rows["accuracy"][:2] == ["50.0", "9.5–90.5"]
    assert rows["mean score (of 5)"][:5] == ["3.25", "", "4.10", "4.10", "4.20"]
    assert rows["other"][:2] == ["12.0", ""]


def test_a_mean_over_tasks_is_as_sure_as_its_smallest_tasks(tmp_path: Path) -> None:
    """Even where the mean over items, of which most are of one task, comes to the same."""
    verdicts = [verdict(1, group="one"), *(verdict(number, group="many") for number in range(199))]
    rows = table_of(written(tmp_path, percent(verdicts, "mc"))[0], "average")
    assert rows["mean over tasks"][:2] == ["100.0", "50.9–100.0"]
    assert rows["mean over items"][:2] == ["100.0", "98.1–100.0"]


@pytest.mark.parametrize(
    ("where", "written_as"),
    [("# big", "* \\# big: "), ("- - -", "* \\- - -: "), ("12. x", "* 12\\. x: "), ("7.json", "* 7.json: ")],
)
def test_a_point_of_a_list_begins_nothing_else(tmp_path: Path, where: str, written_as: str) -> None:
    result = replace(percent([verdict(1)]), faults=[Fault(where, "has no answer")])
    assert f"\n{written_as}has no answer\n" in written(tmp_path, result)[0]


def test_why_an_answer_failed_is_said_once(tmp_path: Path) -> None:
    failed = [verdict(1, "failed", note=f"{before}cannot be decoded") for before in ("", "consistency: ")]
    for written_as in written(tmp_path, percent(failed)):
        told = written_as.partition("Failed: 2")[2].partition("Some of the answers")[0]
        assert told.count("cannot be decoded") == 2 and told.count("consistency: cannot") == 1


@pytest.mark.parametrize("note", ["", "cannot be decoded"])
def test_an_error_is_not_what_was_said(tmp_path: Path, note: str) -> None:
    one = verdict(1, "failed", note=note)
    for written_as in written(tmp_path, percent([one])):
        card = written_as.rpartition("Failed: action_sequence/1")[2]
        assert card.count("cannot be decoded") == 1 and "said" not in card


@pytest.mark.parametrize("benchmark", [HOSTILE, "mvbench"], ids=["hostile", "published"])
def test_nothing_that_was_said_becomes_markup(tmp_path: Path, benchmark: str) -> None:
    markdown, page = written(tmp_path, replace(hostile(), benchmark=benchmark))
    text = check_alone(page).text
    assert text.count('<script>alert("1")</script>') >= 12
    for character in ("\x00", "\x1b", "\u202e", "\udcff"):
        assert character not in page
        assert character not in markdown
    for line in markdown.splitlines():
        assert not line.startswith(("# [a]", " [a]"))
        plain = (
            line.replace("\\<", "")
            .replace("\\[", "")
            .replace("\\`", "")
            .replace("\\|", "")
            .replace("\\$", "")
        )
        assert "<script" not in plain
        assert "](" not in plain.replace("\\]", "")
        assert "`" not in plain
        assert "$" not in plain
    assert HOSTILE not in markdown


def test_lists_and_tables_are_bounded(tmp_path: Path) -> None:
    verdicts = [verdict(number, "failed", f"group {number}", clip="x" * 3000) for number in range(2000)]
    markdown, page = written(tmp_path, percent(verdicts, "mc"))
    assert "… and 1980 more answers, in result.json" in markdown
    assert "… and 1,600 more groups, in result.json" in check_alone(page).text
    assert len(markdown) < 150_000
    assert len(page) < 600_000


def test_an_empty_result_is_a_report(tmp_path: Path) -> None:
    for unit in ("%", "of 5", ""):
        markdown, page = written(tmp_path, Result("mc", "strict", unit, [], [], []))
        assert "strict" in markdown
        check_alone(page)


def test_the_same_answers_are_shown_every_time_and_of_every_group(tmp_path: Path) -> None:
    verdicts = [
        verdict(number, "right" if number % 2 else "wrong", f"g{number % 4}") for number in range(400)
    ]
    first = written(tmp_path, percent(verdicts, "mc"))[0]
    again = written(tmp_path, percent(verdicts, "mc"))[0]
    heads = [line for line in first.splitlines() if line.startswith("### ")]
    assert heads == [line for line in again.splitlines() if line.startswith("### ")]
    assert [head.partition(":")[0] for head in heads] == ["### Right"] * 4 + ["### Wrong"] * 4
    assert {head.partition(": ")[2].partition("/")[0] for head in heads} == {"g0", "g1", "g2", "g3"}


def picture(shade: int, height: int = 240, width: int = 320) -> Frame:
    """A picture that is red on the left."""
    frame = np.full((height, width, 3), shade, np.uint8)
    frame[:, : width // 2] = (250, 10, 10)
    return frame


def shown(page: str) -> list[Frame]:
    """The pictures of a page, as RGB."""
    urls = check_alone(page).of("src")
    raw = [base64.b64decode(url.partition(",")[2], validate=True) for url in urls]
    pictures = [cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_COLOR) for each in raw]
    return [cv2.cvtColor(each, cv2.COLOR_BGR2RGB) for each in pictures]


def test_frames_that_were_seen_are_shown_small_and_in_their_colours(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def frames(said: Said, most: int) -> Sequence[Frame]:
        asked.append((said.item.id, most))
        return [picture(shade) for shade in (0, 80, 160)]

    report.write(tmp_path, percent(MANY), frames=frames)
    page = (tmp_path / "report.html").read_text()
    pictures = shown(page)
    assert len(pictures) == 3 * len(asked) == 30
    assert {each.shape for each in pictures} == {(112, 149, 3)}
    assert pictures[1][50, 20].tolist() == pytest.approx([250, 10, 10], abs=12)
    assert pictures[1][50, 130].tolist() == pytest.approx([80, 80, 80], abs=12)
    assert "1.5 s" in page and "4.2 s" in page


@pytest.mark.parametrize(("height", "width"), [(1, 1), (20, 4000), (3000, 10), (112, 300)])
def test_frames_of_any_shape_become_pictures(tmp_path: Path, height: int, width: int) -> None:
    report.write(tmp_path, percent([verdict(1)]), frames=lambda *_: [picture(9, height, width)])
    (only,) = shown((tmp_path / "report.html").read_text())
    assert only.shape[0] <= 112 and only.shape[1] <= 300


def test_the_page_stays_small_whatever_the_frames(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (112, 300, 3), np.uint8)
    report.write(tmp_path, percent(MANY), frames=lambda *_: [noise] * 20)
    page = (tmp_path / "report.html").read_text()
    assert "The frames are left out" in page
    assert shown(page)
    assert len(page.encode()) < 3_000_000


def test_a_clip_that_is_gone_is_said_in_place(tmp_path: Path) -> None:
    def frames(said: Said, _: int) -> Sequence[Frame]:
        raise ClipError("<b>gone</b>", "nothing to be done")

    report.write(tmp_path, percent([verdict(1), verdict(2, "wrong")]), frames=frames)
    page = check_alone((tmp_path / "report.html").read_text())
    assert page.text.count("The frames cannot be shown: <b>gone</b>") == 2
    assert not page.tags["img"]


def test_frames_are_decoded_again_from_the_clips(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", 3, frames=60)
    there, gone = verdict(1, clip=str(clip)), verdict(2, "wrong", clip=str(tmp_path / "gone.mp4"))
    said = there.said
    _, times_s, _ = sample_frames(clip, 4, said.item.start_s, said.item.end_s)
    there = replace(there, said=replace(said, timestamps_s=tuple(times_s)))
    report.write(tmp_path / "run", percent([there, gone]))
    page = check_alone((tmp_path / "run" / "report.html").read_text())
    assert page.tags["img"] == 4  # as many as the answer has times
    assert page.text.count("The frames cannot be shown") == 1


Writing = Callable[[Path, Result], object]


@pytest.fixture
def unplotted(monkeypatch: pytest.MonkeyPatch) -> None:
    """To load matplotlib takes a second or two, and is not the point."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


WRITERS: dict[str, Writing] = {
    "report": lambda folder, result: report.write(folder, result, frames=no_frames),
    "sweep": lambda folder, result: report.write_sweep(folder, [({"alpha": "4"}, result)]),
}


@pytest.mark.usefixtures("unplotted")
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, write: Writing) -> None:
    write(tmp_path, percent([verdict(1)]))
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    with room(100), pytest.raises(UsageError) as caught:
        write(tmp_path, percent(MANY))
    assert caught.value.status == ExitStatus.USAGE
    assert caught.value.hint == "free some space"
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


@pytest.mark.usefixtures("unplotted")
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_folder_that_cannot_be_written_is_a_usage_error(write: Writing) -> None:
    with read_only_folder() as folder:
        for out in (folder, folder / "new"):
            with pytest.raises(UsageError) as caught:
                write(out, percent([verdict(1)]))
            assert "cannot" in caught.value.message
            assert caught.value.status == ExitStatus.USAGE


@pytest.mark.usefixtures("unplotted")
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_file_in_the_folders_place_is_a_usage_error(tmp_path: Path, write: Writing) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="cannot make the folder"):
        write(tmp_path / "file", percent([verdict(1)]))
    assert (tmp_path / "file").read_text() == "mine"


def test_verdicts_of_one_item_in_several_groups_are_shown_once(tmp_path: Path) -> None:
    twice = [verdict(1), replace(verdict(1), kind="wrong"), replace(verdict(1), note="again")]
    many: list[Verdict] = [*twice, verdict(2)]
    heads = [line for line in written(tmp_path, percent(many))[0].splitlines() if line.startswith("### ")]
    assert sorted(heads) == ["### Right: action_sequence/1", "### Right: action_sequence/2"]
