"""Several settings in one run, each with a folder of its own."""

import json
import shutil
from pathlib import Path

from tests.commands.results import Run
from tests.commands.standin import Stage, result


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
