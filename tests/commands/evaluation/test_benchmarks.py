"""`pllava eval`: real clips, decoders and journals, and a stand-in for the model where none is needed."""

import json
import os
import shutil
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.commands import places
from pllava_cli.commands.staffing import Needs
from pllava_cli.records import Decoding
from pllava_cli.settings import Settings
from pllava_cli.terminal import Terminal
from tests.commands.standin import CLIPS, RIGHT, Run, Stage, result, rows
from tests.evaluation import fakejava

TASKS = ("colour", "motion")


@pytest.fixture
def questions(short_clips: Path, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of questions, four about each of two clips, from the working folder."""
    shutil.copytree(short_clips, tmp_path / "clips")
    entries = [
        {
            "video": f"clips/clip{clip}.mp4",
            "question": f"Question {number}?",
            "candidates": ["red", "blue"],
            "answer": number % 2,
            "task": TASKS[number // 2],
        }
        | ({"start": 0.2, "end": 0.9} if number == 3 else {})
        for clip in range(CLIPS)
        for number in range(4)
    ]
    write(tmp_path / "questions.jsonl", entries)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "questions.jsonl"


def write(file: Path, entries: Sequence[object]) -> Path:
    file.write_text("".join(json.dumps(each) + "\n" for each in entries))
    return file


@pytest.fixture
def run(evaluate: Run, questions: Path) -> Run:
    return evaluate


def test_questions_become_a_table_and_a_report(run: Run, stage: Stage) -> None:
    done = run("mc", "questions.jsonl", "-o", "out")
    assert done.status == 0, done.err
    assert rows(done.out)["colour"] == ["4", "50.0"] and rows(done.out)["motion"] == ["4", "50.0"]
    assert "mean over tasks  50.0" in done.out and "report.html" in done.err
    assert result()["settings"] | {"checkpoint": "stand-in", "alpha": "4"} == result()["settings"]
    assert {each.name for each in Path("out").iterdir()} == {
        "answers.jsonl",
        "asked.json",
        "report.html",
        "report.md",
        "result.json",
    }


def test_each_part_of_a_clip_is_encoded_once_however_many_questions(run: Run, stage: Stage) -> None:
    assert run("mc", "questions.jsonl", "-o", "out").status == 0
    encoded = [name for batch in stage.engine.batches for name in batch]
    for clip in range(CLIPS):  # three questions are about all of it, one about a part
        assert 1 <= encoded.count(f"clip{clip}.mp4") <= 2
    assert len(stage.engine.asked) == 4 * CLIPS


def test_questions_are_put_as_the_benchmark_puts_them(
    run: Run, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a settings file or a variable says of captions."""
    monkeypatch.setenv("PLLAVA_MAX_NEW_TOKENS", "7")
    monkeypatch.setenv("PLLAVA_TEMPERATURE", "0.9")
    Path("pllava.toml").write_text('system = "You are a pirate."\nalpha = 16.0\n')
    assert run("mc", "questions.jsonl", "-o", "out").status == 0
    (found,) = stage.opened
    assert "Answer with the option" in found.system and found.decoding == Decoding(100, 0.0, 1.0, None)
    assert found.turn.answer_start == "Best option:(" and stage.engine.starts == {"Best option:("}
    assert found.model.alpha == 16.0, "what is not the benchmark's to say is heard"
    record = json.loads(Path("out/answers.jsonl").read_text().splitlines()[0])
    assert record["turn"] == {"answer_start": "Best option:(", "is_inline": False} and record["text"] == RIGHT


def test_the_user_may_put_them_otherwise(run: Run, stage: Stage) -> None:
    Path("system.txt").write_text("Watch closely.\n")
    words = ("mc", "questions.jsonl", "-o", "out", "--system-file", "system.txt", "--max-new-tokens", "9")
    assert run(*words).status == 0
    assert (stage.opened[0].system, stage.opened[0].decoding.max_new_tokens) == ("Watch closely.", 9)
    assert run("mc", "questions.jsonl", "-o", "none", "--system", "").status == 0
    assert stage.opened[1].system == "" and result("none")["settings"]["system text"] == "none"


@pytest.mark.parametrize(
    ("words", "most"),
    [((), 20 * 10**9), (("--keep-visual-gb", "1.5"), 15 * 10**8), (("--no-keep-visual",), None)],
)
def test_the_user_says_how_much_is_kept_of_clips(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], most: int | None
) -> None:
    found, find = [], places.find

    def noting(stack: ExitStack, terminal: Terminal, needs: Needs, fitted: Settings) -> Any:
        found.append(needs.visual_store)
        return find(stack, terminal, needs, fitted)

    monkeypatch.setattr(places, "find", noting)
    assert run("mc", "questions.jsonl", "-o", "out", *words).status == 0
    assert [None if each is None else each.most_bytes for each in found] == [most]


def test_a_sample_says_so_among_its_settings(run: Run) -> None:
    assert run("mc", "questions.jsonl", "-o", "out", "--sample", "1", "--sample-seed", "3").status == 0
    assert result()["settings"]["sample"] == "1 of each group at most, seed 3"


def test_what_is_answered_is_not_asked_again(run: Run, stage: Stage) -> None:
    words = ("mc", "questions.jsonl", "-o", "out")
    first = run(*words)
    again = run(*words)
    assert again.status == 0 and again.out == first.out and "all was answered before" in again.err
    assert len(stage.opened) == 1, "the checkpoint is not even loaded"
    other = run(*words, "--scoring", "reference")
    assert other.status == 0 and result()["scoring"] == "reference" and len(stage.opened) == 1


@pytest.mark.parametrize("lines", [0, 1, 7])
def test_a_run_that_was_killed_goes_on_to_the_same_result(run: Run, stage: Stage, lines: int) -> None:
    words = ("mc", "questions.jsonl", "-o", "out")
    assert run(*words).status == 0
    before = Path("out/result.json").read_bytes()
    answers = Path("out/answers.jsonl")
    kept = answers.read_bytes().splitlines(keepends=True)
    answers.write_bytes(b"".join(kept[:lines]) + kept[lines][: len(kept[lines]) // 2])
    Path("out/result.json").unlink()
    stage.engine.asked.clear()
    done = run(*words)
    assert done.status == 0 and "torn by a kill" in done.err
    assert Path("out/result.json").read_bytes() == before
    assert len(stage.engine.asked) == 4 * CLIPS - lines
    assert len(answers.read_bytes().splitlines()) == 4 * CLIPS


def test_a_changed_setting_is_refused_unless_it_is_meant(run: Run, stage: Stage) -> None:
    words = ("mc", "questions.jsonl", "-o", "out")
    assert run(*words).status == 0
    before = Path("out/answers.jsonl").read_bytes()
    said = Path("out/asked.json").read_bytes()
    refused = run(*words, "--alpha", "8", "--scoring", "reference")
    assert refused.status == 2 and "made with other settings" in refused.err and "--redo" in refused.err
    assert Path("out/asked.json").read_bytes() == said
    assert Path("out/answers.jsonl").read_bytes() == before and result()["settings"]["alpha"] == "4"
    stage.engine.says = "A)"
    done = run(*words, "--alpha", "8", "--redo")
    assert done.status == 0 and result()["settings"]["alpha"] == "8"
    assert {each["said"] for each in result()["verdicts"]} == {"A)"}


def test_more_questions_in_the_same_folder_are_only_added(run: Run, stage: Stage, questions: Path) -> None:
    part = run("mc", "questions.jsonl", "-o", "out", "--sample", "2", "--sample-seed", "7")
    assert part.status == 0 and "A SAMPLE: 4 of 8 questions" in part.err
    assert any("A SAMPLE" in note for note in result()["notes"]) and len(result()["verdicts"]) == 4
    assert len(stage.engine.asked) == 4
    whole = run("mc", "questions.jsonl", "-o", "out")
    assert whole.status == 0 and len(result()["verdicts"]) == 8 and "A SAMPLE" not in whole.err
    assert not any("A SAMPLE" in note for note in result()["notes"])
    assert len(stage.engine.asked) == 8


def test_clips_and_questions_that_cannot_be_used_are_told_and_counted(run: Run, questions: Path) -> None:
    Path("clips/clip0.mp4").write_bytes(b"")
    with questions.open("a") as file:
        file.write('{"video": "clips/clip1.mp4"}\nnot json\n')
    done = run("mc", "questions.jsonl", "-o", "out")
    assert done.status == 3
    assert "questions.jsonl, line 9: has no question" in done.err and "line 10: is not JSON" in done.err
    assert "4 of 8 questions have no answer" in done.err and "is empty (0 bytes)" in done.err
    assert rows(done.out)["GROUP"][-1] == "FAILED" and rows(done.out)["colour"] == ["4", "25.0", "2"]
    assert len(result()["faults"]) == 2


def test_many_faults_are_counted(run: Run, questions: Path) -> None:
    with questions.open("a") as file:
        file.write('{"video": "x"}\n' * 50)
    done = run("mc", "questions.jsonl", "-o", "out")
    assert done.status == 3 and done.err.count("has no question") == 20 and "and 30 more" in done.err


def test_nothing_answered_is_failure(run: Run) -> None:
    shutil.rmtree("clips")
    assert run("mc", "questions.jsonl", "-o", "out").status == 4
    assert {each["kind"] for each in result()["verdicts"]} == {"failed"}


def test_failed_clips_are_tried_again(run: Run, stage: Stage) -> None:
    Path("clips/clip0.mp4").rename("kept.mp4")
    assert run("mc", "questions.jsonl", "-o", "out").status == 3
    Path("kept.mp4").rename("clips/clip0.mp4")
    assert run("mc", "questions.jsonl", "-o", "out").status == 0
    assert len(stage.engine.asked) == 8


def test_dry_run_tells_and_changes_nothing(run: Run, stage: Stage) -> None:
    fresh = run("mc", "questions.jsonl", "-o", "out", "--dry-run")
    assert fresh.status == 0 and rows(fresh.out)["questions"] == ["8"] and not Path("out").exists()
    assert rows(fresh.out)["clips"] == ["2"]
    run("mc", "questions.jsonl", "-o", "out", "--sample", "1")
    kept = {each: each.read_bytes() for each in Path("out").iterdir()}
    Path("clips/clip1.mp4").unlink()
    told = json.loads(run("mc", "questions.jsonl", "-o", "out", "--dry-run", "--json").out)
    assert (told["questions"], told["answered"], told["clips_missing"]) == (8, 2, 1)
    assert told["parts"] == 4 and told["parts_to_do"] >= 2
    assert {each: each.read_bytes() for each in Path("out").iterdir()} == kept and len(stage.opened) == 1


def test_a_clip_that_no_folder_can_hold_is_missing(run: Run, questions: Path) -> None:
    entry = {"question": "What?", "candidates": ["a", "b"], "answer": 0}
    write(questions, [entry | {"video": "/".join(["deep" * 50] * 25)}, entry | {"video": "clips/clip0.mp4"}])
    done = run("mc", "questions.jsonl", "-o", "out", "--dry-run", "--json")
    assert done.status == 0, done.err
    assert (json.loads(done.out)["clips"], json.loads(done.out)["clips_missing"]) == (2, 1)


def test_times_beyond_all_numbers_are_told_and_end_nothing(run: Run, questions: Path) -> None:
    entry = {"video": "clips/clip0.mp4", "question": "What?", "candidates": ["a", "b"], "answer": 1}
    write(questions, [entry, entry | {"start": 1e300}, entry | {"start": 0, "end": 1.8e307}])
    done = run("mc", "questions.jsonl", "-o", "out")
    assert done.status == 3 and done.err.count("not a time in seconds") == 2, done.err
    assert len(result()["verdicts"]) == 1


def test_captions_that_an_evaluation_has_made_are_scored_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pycocoevalcap", reason="pycocoevalcap (extra: eval) is not installed")
    (tmp_path / "java").mkdir()
    fakejava.put(monkeypatch, tmp_path / "java", None)  # METEOR's start takes seconds
    entries = [{"video": f"clip{clip}.mp4", "captions": ["A cat sits."]} for clip in range(CLIPS)]
    Path("references.json").write_text(json.dumps(entries))
    made = run("captions", "references.json", "--data", "clips", "-o", "out")
    assert made.status == 0, made.err
    again = run("captions", "references.json", "--captions", "out/answers.jsonl", "-o", "again")
    assert again.status == 0 and again.out == made.out, again.err


class TestSplits:
    WORDS = ("captions", "references.json", "--data", "clips", "-o", "out")

    @pytest.fixture(autouse=True)
    def references(self, tmp_path: Path, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One file of three splits, and the clips of one of them."""
        pytest.importorskip("pycocoevalcap", reason="pycocoevalcap (extra: eval) is not installed")
        (tmp_path / "java").mkdir()
        fakejava.put(monkeypatch, tmp_path / "java", None)
        names = {"video7": "train", "video8": "validate", "clip0": "test", "clip1": "test"}
        table = {
            "videos": [{"video_id": name, "split": split} for name, split in names.items()],
            "sentences": [{"video_id": name, "caption": "B is right."} for name in names],
        }
        Path("references.json").write_text(json.dumps(table))

    def test_where_clips_of_others_are_missing_the_option_is_named(self, run: Run) -> None:
        told = run(*self.WORDS, "--dry-run")
        assert told.status == 0 and "2 of 4 clips are missing" in told.err and "--split test" in told.err
        done = run(*self.WORDS)
        assert done.status == 3 and "2 of 4 clips are missing" in done.err
        (note,) = (each for each in result()["notes"] if "scored as an empty text" in each)
        assert note.startswith("2 clips without") and "--split test asks for that alone." in note

    def test_one_is_asked_and_said_and_gone_on_with(self, run: Run, stage: Stage) -> None:
        assert run(*self.WORDS).status == 3
        done = run(*self.WORDS, "--split", "test")
        assert done.status == 0 and "missing" not in done.err, done.err
        assert len(stage.engine.asked) == 2, "what is answered is not asked again"
        assert result()["settings"]["split"] == "test" and len(result()["verdicts"]) == 2
        asked = json.loads(Path("out/asked.json").read_text())
        assert asked["asked"]["split"] == "test"
        again = run(*self.WORDS, "--split", "test")
        assert (again.status, again.out) == (0, done.out) and "all was answered before" in again.err

    def test_a_run_of_before_there_were_splits_goes_on(self, run: Run, stage: Stage) -> None:
        assert run(*self.WORDS).status == 3
        written = json.loads(Path("out/asked.json").read_text())
        assert written["asked"].pop("split", "") is None
        Path("out/asked.json").write_text(json.dumps(written))
        assert run(*self.WORDS).status == 3 and len(stage.engine.asked) == 2

    def test_captions_that_were_made_before_are_of_one_too(self, run: Run) -> None:
        made = [{"video": f"clip{at}.mp4", "caption": "B is right."} for at in range(CLIPS)]
        Path("made.json").write_text(json.dumps(made))
        words = ("captions", "references.json", "--captions", "made.json", "-o", "made")
        told = run(*words)
        assert told.status == 3 and "--split test asks for that alone" in told.err
        done = run(*words, "--split", "test")
        assert done.status == 0 and "split" not in done.err and result("made")["settings"]["split"] == "test"
        refused = run(*self.WORDS[:-1], "made")
        assert refused.status == 2 and "references.json with captions made before" in refused.err

    def test_what_is_missing_of_the_split_itself_is_told_too(self, run: Run) -> None:
        Path("clips/clip1.mp4").unlink()
        told = run(*self.WORDS, "--split", "test", "--dry-run")
        assert (
            "1 of 2 clips is missing, and counts as an empty caption if it is not captioned already\n"
            in told.err
        )

    def test_another_is_refused_before_anything_is_begun(self, run: Run, stage: Stage) -> None:
        refused = run(*self.WORDS, "--split", "tests")
        assert refused.status == 2 and "has no split 'tests'" in refused.err and "mean test?" in refused.err
        assert not Path("out").exists() and stage.opened == []


class TestCaptionsMadeBefore:
    """Two runs of one file of references, each of which has its own folder."""

    DATA = ("captions", "references.json", "--data", "clips")

    @pytest.fixture(autouse=True)
    def files(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("pycocoevalcap", reason="pycocoevalcap (extra: eval) is not installed")
        (tmp_path / "java").mkdir()
        fakejava.put(monkeypatch, tmp_path / "java", None)
        entry = [{"video": "clip0.mp4", "captions": ["B is right."]}]
        Path("references.json").write_text(json.dumps(entry))
        for name in ("good", "bad"):
            Path(f"{name}.json").write_text(json.dumps([{"video": "clip0.mp4", "caption": f"A {name} one."}]))

    @pytest.mark.parametrize(
        ("first", "then", "held"),
        [
            (("--captions", "good.json"), ("--captions", "bad.json"), "made before, those of {}/good.json"),
            (("--captions", "good.json"), (), "made before, those of {}/good.json"),
            ((), ("--captions", "good.json"), "references.json with clips below {}/clips"),
        ],
        ids=["of another file", "before a checkpoint's", "after a checkpoint's"],
    )
    def test_the_report_of_another_run_stays(
        self, run: Run, first: tuple[str, ...], then: tuple[str, ...], held: str
    ) -> None:
        assert run(*self.DATA, *first, "-o", "out").status == 0
        before = {each: each.read_bytes() for each in Path("out").iterdir()}
        refused = run(*self.DATA, *then, "-o", "out")
        assert refused.status == 2 and held.format(Path.cwd()) in refused.err
        assert "hint: name another folder with -o" in refused.err and refused.out == ""
        assert {each: each.read_bytes() for each in Path("out").iterdir()} == before

    def test_the_same_file_is_scored_again(self, run: Run) -> None:
        words = ("captions", "references.json", "--captions", "good.json")
        done = run(*words)
        again = run(*words, "-o", str(Path.cwd() / "eval-captions-good"))
        assert (again.status, again.out) == (done.status, done.out) == (0, done.out)


def test_json_is_the_result(run: Run) -> None:
    done = run("mc", "questions.jsonl", "-o", "out", "--json")
    assert done.status == 0 and json.loads(done.out) == result() and len(done.out.splitlines()) == 1


def test_quiet_says_nothing_but_the_figures(run: Run) -> None:
    done = run("mc", "questions.jsonl", "-o", "out", "-q", "--sample", "1")
    assert done.status == 0 and done.err == "" and "mean over tasks" in done.out


class TestSweep:
    WORDS = ("mc", "questions.jsonl", "-o", "sweep", "--sample", "1", "--alpha", "0,8")

    def test_each_setting_is_a_run_of_its_own(self, run: Run, stage: Stage) -> None:
        done = run(*self.WORDS, "--frames", "2,4", "--pooling-shape", "2x2x2")
        assert done.status == 0, done.err
        folders = [f"alpha-{alpha}_frames-{frames}" for alpha in (0, 8) for frames in (2, 4)]
        assert sorted(each.name for each in Path("sweep").iterdir() if each.is_dir()) == folders
        assert [result(f"sweep/{each}")["settings"]["frames"] for each in folders] == ["2", "4"] * 2
        assert [each.model.alpha for each in stage.opened] == [0.0, 0.0, 8.0, 8.0]
        assert [line.split()[:2] for line in done.out.splitlines()[1:]] == [
            [alpha, frames] for alpha in ("0", "8") for frames in ("2", "4")
        ]
        assert (
            done.out.startswith("ALPHA  FRAMES  MEAN OVER TASKS") and "==> alpha 8, frames 4 <==" in done.err
        )
        assert Path("sweep/sweep.json").is_file() and Path("sweep/sweep.html").is_file()

    def test_a_checkpoint_is_gone_before_the_next_is_loaded(self, run: Run, stage: Stage) -> None:
        assert run(*self.WORDS).status == 0
        assert stage.alive == [0, 0] and len(stage.opened) == 2

    def test_it_goes_on_where_it_was(self, run: Run, stage: Stage) -> None:
        assert run(*self.WORDS).status == 0
        before = Path("sweep/sweep.json").read_bytes()
        shutil.rmtree("sweep/alpha-8")
        assert run(*self.WORDS).status == 0
        assert len(stage.opened) == 3 and Path("sweep/sweep.json").read_bytes() == before

    def test_nothing_is_run_twice_however_it_is_written(self, run: Run) -> None:
        told = run(*self.WORDS[:-1], "0,8.0,-0,0.0,8", "--dry-run").err
        assert [line for line in told.splitlines() if "==>" in line] == ["==> alpha 0 <==", "==> alpha 8 <=="]

    def test_shapes_may_be_several(self, run: Run, stage: Stage) -> None:
        words = ("mc", "questions.jsonl", "-o", "sweep", "--sample", "1")
        assert run(*words, "--pooling-shape", "2x2x2,2x1x1,2x2x2").status == 0
        assert sorted(each.name for each in Path("sweep").iterdir() if each.is_dir()) == [
            "pooling-shape-2x1x1",
            "pooling-shape-2x2x2",
        ]
        assert run(*words[:3], "one", "--pooling-shape", "2,1,1").status == 0
        assert stage.opened[-1].model.pooling_shape == (2, 1, 1) and Path("one/result.json").is_file()

    def test_json_is_all_results(self, run: Run) -> None:
        runs = json.loads(run(*self.WORDS, "--json").out)["runs"]
        assert [each["setting"] for each in runs] == [{"alpha": "0"}, {"alpha": "8"}]
        assert runs[1]["result"] == result("sweep/alpha-8")

    def test_what_the_checkpoint_does_not_take_is_told_before_the_first(self, run: Run, stage: Stage) -> None:
        stage.most_frames = 4
        refused = run("mc", "questions.jsonl", "-o", "sweep", "--frames", "2,4,16")
        assert refused.status == 2 and "frames-16: 16 frames are too many" in refused.err
        assert stage.opened == [] and not Path("sweep").exists()

    def test_a_part_that_fails_shows_in_the_status(self, run: Run) -> None:
        Path("clips/clip0.mp4").unlink()
        words = ("mc", "questions.jsonl", "-o", "sweep", "--alpha", "0,8")
        assert run(*words).status == 3
        shutil.rmtree("clips")
        shutil.rmtree("sweep")
        assert run(*words).status == 4

    def test_dry_run_tells_of_each(self, run: Run) -> None:
        told = [json.loads(line) for line in run(*self.WORDS, "--dry-run", "--json").out.splitlines()]
        assert [each["setting"] for each in told] == [{"alpha": "0"}, {"alpha": "8"}]
        assert not Path("sweep").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mvbench"], "MVBench's folder is not named"),
        (["mvbench", "--data", "nowhere"], "there is no folder"),
        (["mvbench", "--data", "clips"], "is not MVBench"),
        (["mvbench", "--data", "clips", "--tasks", ","], "--tasks names nothing"),
        (["mvbench", "--data", "clips", "--tasks", ""], "--tasks names nothing"),
        (["videoqa", "--set", "msvd", "--data", "x" * 300], "there is no folder"),
        (["mc", "gone.jsonl"], "there is no file"),
        (["mc", ""], "is empty"),
        (["mc", "clips/clip0.mp4"], "clip0.mp4"),
        (["mc", "questions.jsonl", "--scoring", "kind"], "--scoring: unknown 'kind'"),
        (["mc", "questions.jsonl", "--sample", "0"], "--sample 0 is not from 1"),
        (["mc", "questions.jsonl", "--sample", "few"], "--sample: expected a whole number"),
        (["mc", "questions.jsonl", "--sample-seed", "1"], "--sample-seed is for a sample"),
        (["mc", "questions.jsonl", "--sample", "1", "--sample-seed", "x"], "--sample-seed: expected"),
        (["mc", "questions.jsonl", "--keep-visual-gb", "much"], "--keep-visual-gb: expected a number"),
        (["mc", "questions.jsonl", "--keep-visual-gb", "0"], "--keep-visual-gb 0 is not from 0.1"),
        (["mc", "questions.jsonl", "--keep-visual-gb", "nan"], "--keep-visual-gb nan is not from 0.1"),
        (["mc", "questions.jsonl", "--keep-visual-gb", "5", "--no-keep-visual"], "for tokens that are kept"),
        (["mc", "questions.jsonl", "--alpha", "4,,8"], "--alpha: expected a number, found ''"),
        (["mc", "questions.jsonl", "--frames", "4,0"], "--frames: "),
        (["mc", "questions.jsonl", "--pooling-shape", "2x2"], "--pooling-shape: "),
        (["mc", "questions.jsonl", "--alpha", ",".join(map(str, range(300)))], "more than 256"),
        (["mc", "questions.jsonl", "--actors", "2"], "--actors is for a Ray cluster"),
        (["mc", "questions.jsonl", "--workers", "0"], "--workers 0 is not from 1"),
        (["mc", "questions.jsonl", "--model", "pllava-8b"], "there is no checkpoint 'pllava-8b'"),
        (["mc", "questions.jsonl", "-o", "questions.jsonl"], "is not a directory"),
        (["mc", "questions.jsonl", "-o", "clips"], "holds no evaluation"),
        (["mc", "questions.jsonl", "-o", ""], "the name of the folder for the result is empty"),
        (["mc", "questions.jsonl", "--system", "see <image>"], "holds <image>"),
        (["captions", "questions.jsonl"], "the folder of the clips is not named"),
        (["captions", "questions.jsonl", "--captions", "x.jsonl", "--dry-run"], "--captions asks nothing"),
        (
            ["judge", "nowhere", "--judge-url", "http://localhost:1/v1", "--judge-model", "m"],
            "holds no evaluation",
        ),
        (["judge", "out"], "no judge is named"),
        (["judge", "out", "--judge-url", "http://localhost:1/v1"], "the judge's model is not named"),
    ],
)
def test_what_cannot_be_meant_is_refused(run: Run, stage: Stage, words: list[str], said: str) -> None:
    before = sorted(Path().rglob("*"))
    refused = run(*words)
    assert refused.status in (2, 5) and refused.out == "" and said in refused.err, refused.err
    assert len(refused.err.splitlines()) <= 2 and stage.opened == []
    assert sorted(Path().rglob("*")) == before


def test_a_folder_of_another_evaluation_is_left_alone(run: Run, questions: Path) -> None:
    assert run("mc", "questions.jsonl", "-o", "out").status == 0
    shutil.copy(questions, "others.jsonl")
    refused = run("mc", "others.jsonl", "-o", "out")
    assert refused.status == 2 and "holds an evaluation of mc over" in refused.err
    Path("out/asked.json").write_text("{")
    refused = run("mc", "questions.jsonl", "-o", "out")
    assert refused.status == 2 and "asked.json" in refused.err
    Path("out/asked.json").write_text('{"schema": "pllava.eval-run/1", "asked": 7, "recording": null}')
    refused = run("mc", "questions.jsonl", "-o", "out")
    assert refused.status == 2 and "lacks fields" in refused.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        ('{"schema": "é"}'.encode("utf-16"), "is not UTF-8"),
        (b"7", "was not written by this version"),
        (b'{"schema": "pllava.eval-run/2"}', "was not written by this version"),
        (b'{"schema": "pllava.eval-run/1"}', "lacks fields"),
    ],
    ids=range(7),
)
def test_a_broken_note_of_what_was_asked_is_no_benchmarks_file(
    run: Run, content: bytes, message: str
) -> None:
    """Nothing can be downloaded again; and no file of the folder is touched."""
    Path("out").mkdir()
    Path("out/asked.json").write_bytes(content)
    Path("out/answers.jsonl").write_bytes(b"")
    judge = ("judge", "out", "--judge-url", "http://localhost:1/v1", "--judge-model", "m")
    for words in (("mc", "questions.jsonl", "-o", "out"), judge):
        refused = run(*words)
        assert refused.status == 2 and message in refused.err and "asked.json" in refused.err
        assert "hint: put back what `pllava eval` wrote there" in refused.err
    assert Path("out/asked.json").read_bytes() == content


@pytest.mark.parametrize("name", ["answers.jsonl", "report.md"])
def test_what_is_in_the_way_is_in_a_folder_that_may_be_another(run: Run, name: str) -> None:
    assert run("mc", "questions.jsonl", "-o", "out").status == 0
    Path("out", name).unlink()
    Path("out", name).mkdir()
    refused = run("mc", "questions.jsonl", "-o", "out")
    assert refused.status == 2 and f"out/{name} is a directory" in refused.err
    assert "hint: name another folder with -o" in refused.err


def test_the_folder_is_named_after_benchmark_and_checkpoint(run: Run) -> None:
    assert run("mc", "questions.jsonl").status == 0
    assert Path("eval-mc-checkpoint/result.json").is_file()


def test_clips_are_the_same_from_whatever_folder(
    run: Run, stage: Stage, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("mc", "questions.jsonl", "-o", "out").status == 0
    Path("inner").mkdir()
    monkeypatch.chdir("inner")
    assert run("mc", "../questions.jsonl", "-o", "../out").status == 0
    assert run("mc", questions, "-o", "../out").status == 0 and len(stage.opened) == 1


def test_interrupted_it_keeps_what_was_said_and_goes_on(run: Run, stage: Stage) -> None:
    def interrupt() -> None:
        if len(stage.engine.batches) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    stage.engine.encoding = interrupt
    words = ("mc", "questions.jsonl", "-o", "out")
    stopped = run(*words)
    assert stopped.status == 130 and "to go on: pllava eval mc questions.jsonl" in stopped.err
    answered = len(Path("out/answers.jsonl").read_bytes().splitlines())
    assert 0 < answered < 8 and not Path("out/result.json").exists()
    stage.engine.encoding = lambda: None
    assert run(*words).status == 0 and len(result()["verdicts"]) == 8
    assert len(Path("out/answers.jsonl").read_bytes().splitlines()) == 8
