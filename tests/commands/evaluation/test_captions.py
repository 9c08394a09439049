"""`pllava eval captions`: of splits, and with captions that were made before."""

import json
from pathlib import Path

import pytest

from tests.commands.results import Run
from tests.commands.standin import CLIPS, Stage, result

pytestmark = pytest.mark.usefixtures("scorer")


def test_captions_that_an_evaluation_has_made_are_scored_again(run: Run) -> None:
    entries = [{"video": f"clip{clip}.mp4", "captions": ["A cat sits."]} for clip in range(CLIPS)]
    Path("references.json").write_text(json.dumps(entries))
    made = run("captions", "references.json", "--data", "clips", "-o", "out")
    assert made.status == 0, made.err
    again = run("captions", "references.json", "--captions", "out/answers.jsonl", "-o", "again")
    assert again.status == 0 and again.out == made.out, again.err


class TestSplits:
    WORDS = ("captions", "references.json", "--data", "clips", "-o", "out")

    @pytest.fixture(autouse=True)
    def references(self, questions: Path) -> None:
        """One file of three splits, and the clips of one of them."""
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
    def files(self, questions: Path) -> None:
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
