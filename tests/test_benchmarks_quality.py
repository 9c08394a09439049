"""What `benchmarks/tiny_quality.py` counts as right, and what it keeps and tells of that."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import pytest

from benchmarks.tiny_report import Part, load_parts, write_report
from benchmarks.tiny_run import HELD_OUT, Clip, Loaded, Setting, Workers, ask_about, held_out
from benchmarks.tiny_scores import (
    CAPTION_FIGURES,
    Asked,
    Said,
    Tally,
    chose,
    figures_of,
    same_answer,
    score_caption,
)
from benchmarks.tiny_study import (
    ALPHAS,
    PRECISIONS,
    PROMPTS,
    Row,
    Study,
    compare_precisions,
    repeat_the_paper,
)
from pllava_cli import Captioner
from pllava_cli.errors import PllavaError
from pllava_cli.shapes.captions import facts, tell
from pllava_cli.shapes.casting import cast
from pllava_cli.shapes.scene import Action, Scene, Thing
from tests.checkpoints import write_script
from tests.engine_checks import EXACT

CIRCLE = Thing("red", "circle", "small", 0.2, 0.5, 0.09, 0.0, (Action("move", direction="left"),))
SQUARE = Thing("blue", "square", "large", 0.7, 0.5, 0.15, 0.0)
TRUTH = facts(Scene((CIRCLE, SQUARE), "white"))
WORDED = "On a white background, a large blue square stays in place. A small red circle drifts left."


def counted(caption: str) -> dict[str, tuple[int, int]]:
    figures, _ = score_caption(TRUTH, caption)
    return {name: (tally.right, tally.of) for name, tally in figures.items()}


class TestCaptions:
    def test_truth_in_any_wording_is_right(self) -> None:
        found = counted(WORDED)
        assert found.pop("hallucinated") == (0, 2)
        assert found.pop("empty") == (0, 1)
        assert all(right == of for right, of in found.values()), found

    @pytest.mark.parametrize("seed", range(40))
    def test_every_telling_of_a_scene_is_exact(self, seed: int) -> None:
        scene = cast(seed)
        figures, actions = score_caption(facts(scene), tell(scene, Random(seed)))
        assert figures["exact"] == Tally(1, 1)
        assert figures["all right"] == Tally(len(scene.things), len(scene.things))
        assert all(tally.right == tally.of for tally in actions.values())

    @pytest.mark.parametrize(
        ("caption", "expected"),
        [
            (
                WORDED.replace("red", "green"),
                {"all right": 1, "colour": 1, "shape": 2, "size": 1, "motion": 1, "hallucinated": 1},
            ),
            (
                WORDED.replace("circle", "star"),
                {"all right": 1, "colour": 2, "shape": 1, "size": 1, "motion": 1, "hallucinated": 1},
            ),
            (WORDED.replace("small", "large"), {"all right": 1, "size": 1, "motion": 2}),
            (WORDED.replace("drifts left", "drifts up"), {"all right": 1, "size": 2, "motion": 1}),
            (WORDED.replace("drifts left", "drifts left, then spins"), {"all right": 1, "motion": 1}),
            ("A small red circle drifts left. The background is white.", {"all right": 1, "colour": 1}),
            (WORDED + " A small pink ring spins.", {"all right": 2, "hallucinated": 1}),
            (WORDED + " A small red circle drifts left.", {"all right": 2, "hallucinated": 1}),
        ],
        ids=["colour", "shape", "size", "motion", "one doing more", "missing", "extra", "told twice"],
    )
    def test_one_mistake_counts_where_it_was_made(self, caption: str, expected: dict[str, int]) -> None:
        found = {name: right for name, (right, _) in counted(caption).items()}
        assert {name: found[name] for name in expected} == expected
        assert (found["things"], found["exact"], found["background"]) == (0, 0, 1)

    def test_wrong_background_spoils_exactness_alone(self) -> None:
        found = counted(WORDED.replace("white", "navy"))
        assert (found["background"], found["exact"]) == ((0, 1), (0, 1))
        assert (found["things"], found["all right"]) == ((1, 1), (2, 2))

    @pytest.mark.parametrize("caption", ["", " \n", "the the the", "red circle", "."])
    def test_nothing_told_is_nothing_right(self, caption: str) -> None:
        found = counted(caption)
        assert found["all right"] == (0, 2)
        assert found["hallucinated"] == (0, 0)
        assert found["exact"] == (0, 1)
        assert found["empty"] == (not caption.strip(), 1)

    def test_doings_are_counted_by_kind_and_in_order(self) -> None:
        two = (Action("grow", 0, 0.4), Action("spin", 0.5, 1))
        truth = facts(Scene((replace(CIRCLE, actions=two), SQUARE), "white"))
        rest = "A large blue square does not move. The background is white."
        _, right = score_caption(truth, f"A small red circle grows, then spins. {rest}")
        _, swapped = score_caption(truth, f"A small red circle spins, then grows. {rest}")
        assert right == {"grow": Tally(1, 1), "spin": Tally(1, 1), "still": Tally(1, 1)}
        assert swapped == {"grow": Tally(0, 1), "spin": Tally(0, 1), "still": Tally(1, 1)}


class TestAnswers:
    @pytest.mark.parametrize(
        ("answer", "said", "expected"),
        [
            ("To the left.", "to the left", True),
            ("Yes, from navy to white.", " Yes from Navy  to white. ", True),
            ("To the left.", "Left.", False),
            ("One.", "Two.", False),
            ("One.", "", False),
            ("Red.", "Red. Blue.", False),
        ],
    )
    def test_same_words(self, answer: str, said: str, expected: bool) -> None:
        assert same_answer(answer, said) is expected

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ("B) No.", "No."),
            ("B", "No."),
            ("(B)", "No."),
            ("Best option:(A) Yes.", "Yes."),
            ("b)", "No."),
            ("C)", None),
            ("Because", None),
            ("", None),
            ("7", None),
        ],
    )
    def test_letter_chooses(self, said: str, expected: str | None) -> None:
        assert chose(said, ("Yes.", "No.")) == expected


class TestTallies:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    @pytest.mark.parametrize(
        ("tally", "interval"),
        [
            (Tally(81, 263), (0.2553, 0.3662)),
            (Tally(15, 148), (0.0624, 0.1605)),
            (Tally(0, 20), (0.0, 0.1611)),
            (Tally(1, 29), (0.0061, 0.1718)),
        ],
    )
    def test_interval_is_wilsons(self, tally: Tally, interval: tuple[float, float]) -> None:
        assert tally.interval == pytest.approx(interval, abs=5e-5)

    def test_nothing_counted_says_nothing(self) -> None:
        assert math.isnan(Tally().share)
        assert Tally().interval == (0.0, 1.0)

    def test_average_is_over_sub_tasks_not_over_items(self) -> None:
        def item(task: str, said: str, *candidates: str) -> Asked:
            return Asked(task, "?", candidates[0], said, candidates)

        often = [item("often", "A)", "x", "y")] * 6
        figures = figures_of([said_of(items=(*often, item("seldom", "B)", "x", "y", "z", "w")))])
        assert figures.mean_choice == pytest.approx(0.5)
        assert figures.mean_chance == pytest.approx((1 / 2 + 1 / 4) / 2)
        assert figures.items == {"often": Tally(6, 6), "seldom": Tally(0, 1)}

    def test_clips_add_up(self) -> None:
        question = Asked("colour", "?", "Red.", "red")
        figures = figures_of([said_of(questions=(question,)), said_of(caption="", stopped="repetition")])
        assert (figures.clips, figures.mean_tokens, figures.open_questions) == (2, 20.0, Tally(1, 1))
        assert figures.caption["all right"] == Tally(2, 4)
        assert (figures.caption["empty"], figures.caption["looping"]) == (Tally(1, 2), Tally(1, 2))
        assert set(figures.caption) == set(CAPTION_FIGURES)


def said_of(caption: str = WORDED, stopped: str = "eos", **asked: tuple[Asked, ...]) -> Said:
    return Said(1, TRUTH, caption, 20, stopped, 0.5, **asked)


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """A checkpoint that chooses (B), whatever it is asked."""
    return write_script(tmp_path_factory.mktemp("scripted") / "b", ["B", ")", "</s>"], start="(")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    found = held_out(tmp_path_factory.mktemp("clips"), 2)
    with ThreadPoolExecutor(1) as pool:
        Workers(pool).write(found)
    return found


@pytest.fixture
def study(clips: list[Clip]) -> Iterator[Study]:
    with ThreadPoolExecutor(1) as pool:
        yield Study(Workers(pool), clips[:1])


class TestRuns:
    def test_clips_are_held_out_and_of_three_things_at_most(self, tmp_path: Path) -> None:
        found = held_out(tmp_path, 30)
        assert len({clip.seed for clip in found}) == 30
        assert all(clip.seed >= HELD_OUT and 1 <= len(clip.scene.things) <= 3 for clip in found)

    def test_letters_are_what_the_checkpoint_says(self, scripted: Path, clips: list[Clip]) -> None:
        captioner = Captioner(scripted, **EXACT)
        all_said = [ask_about(captioner, clip, 2) for clip in clips]
        for said, clip in zip(all_said, clips, strict=True):
            assert said.truth == facts(clip.scene)
            assert len(said.questions) == 2
            assert {each.said for each in said.items} == {"B)"}
        items = [item for said in all_said for item in said.items]
        figures = figures_of(all_said)
        right = sum(item.candidates[1] == item.answer for item in items)
        assert sum((tally for tally in figures.items.values()), Tally()) == Tally(right, len(items))

    def test_precisions_that_fail_are_told(
        self, scripted: Path, study: Study, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        probe = study.workers.probe

        def refuse(setting: Setting, clip: Clip) -> Loaded:
            if setting.dtype == "fp16":
                raise PllavaError("no fp16 here")
            return probe(setting, clip)

        monkeypatch.setattr(study.workers, "probe", refuse)
        compare_precisions(study, Setting(str(scripted), device="cpu"))
        assert study.failed == {"precision, fp16": "no fp16 here"}
        assert [row.name for row in study.rows] == [name for name in PRECISIONS if name != "fp16"]
        assert [row.loaded.quantize for row in study.rows] == [*3 * ["none"], *2 * ["8bit"], *2 * ["4bit"]]

    def test_study_changes_what_it_says_it_changes(
        self, checkpoint: Path, study: Study, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[Setting] = []

        def ask(setting: Setting, clips: object, label: str) -> list[Said]:
            asked.append(setting)
            return [said_of()]

        monkeypatch.setattr(study.workers, "ask", ask)
        base = Setting(str(checkpoint), device="cpu", dtype="fp32", quantize="none")
        repeat_the_paper(study, base, {"again": str(checkpoint)})
        rows = {name: [row for row in study.rows if row.table == name] for name in ("prompts", "alpha")}
        assert len(rows["prompts"]) == 3 * len(PROMPTS)
        own = rows["prompts"][0].loaded.alpha
        assert own is not None
        assert [row.loaded.alpha for row in rows["alpha"]] == [own * n / 4 for n in range(ALPHAS)]
        kept = [row for row in study.rows if row.table == "kept tokens"]
        assert [(row.name, row.loaded.visual_tokens) for row in kept] == [("1", 16), ("0.5", 8), ("0.25", 4)]
        assert [*study.failed] == ["kept tokens, 0.16"]  # of four places not one each
        # Asked once: 8 x 4 x 4; the same checkpoint again, as many prompts not pooled (it has nothing to
        # pool), and what it is by itself: all tokens, the prompt and the alpha that it was trained with.
        assert len(asked) == len({*asked}) == len(study.rows) - 1 - 2 * len(PROMPTS) - 3


class TestReport:
    @pytest.fixture
    def part(self) -> Part:
        loaded = Loaded("cpu", "fp32", "none", 16.0, (8, 4, 4), 128)
        figures = figures_of([said_of()])
        rows = [
            Row(table, name, replace(loaded, alpha=alpha), figures)
            for table, name in (("temporal pooling", "8 × 4 × 4"), ("prompts", "pooled | as trained"))
            for alpha in (0.0, 16.0)
        ]
        return Part("study", "python -m x", "a machine", "2026-11-22", 61.0, rows, {"alpha": "no reason"})

    def test_what_is_kept_is_read_back(self, part: Part, tmp_path: Path) -> None:
        part.save(tmp_path / "kept")
        (name, found), *rest = load_parts(tmp_path / "kept").items()
        assert (name, found, rest) == ("study", part, [])

    def test_section_is_replaced_and_all_else_stays(self, part: Part, tmp_path: Path) -> None:
        report = tmp_path / "RESULTS.md"
        report.write_text("# What was measured\n\nText.\n")
        write_report({"study": part}, tmp_path / "results", report)
        once = report.read_text()
        report.write_text(once + "\nAfter.\n")
        write_report({"study": replace(part, took_s=120.0)}, tmp_path / "results", report)
        twice = report.read_text()
        assert once.startswith("# What was measured\n\nText.\n\n<!--")
        assert twice == once.replace("1.0 minutes", "2.0 minutes") + "\nAfter.\n"
        assert "Not measured: alpha: no reason." in once
        assert "| pooled | as trained | 128 | 100.0 (34.2–100.0) |" in once
        ElementTree.parse(tmp_path / "results" / "tiny_temporal.svg")
        assert "](results/tiny_temporal.svg)" in once
        assert "tiny_alpha.svg" not in once
