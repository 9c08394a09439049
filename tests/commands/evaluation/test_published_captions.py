"""`pllava eval captions` with files as they are published, and clips where and as their authors keep them."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.commands.results import Run
from tests.commands.standin import result
from tests.evaluation.published import ACTIVITYNET, KARPATHY, MSVD, VATEX, written

Keep = Callable[..., None]
WORDS = ("captions", "references", "--data", "data", "-o", "out")


@pytest.fixture(autouse=True)
def workplace(scorer: None, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def keep(short_clips: Path) -> Keep:
    """Put clips of a little more than a second below the folder data."""

    def keep(*names: str) -> None:
        for number, name in enumerate(names):
            file = Path("data", name)
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(short_clips / f"clip{number % 2}.mp4", file)

    return keep


def records() -> Sequence[dict[str, Any]]:
    return [json.loads(line) for line in Path("out/answers.jsonl").read_text().splitlines()]


def test_vatex(evaluate: Run, keep: Keep) -> None:
    keep("val/5-xGskbsBgI_000055_000065.mp4", "val/-7FhGcSSw1g_000130_000140.mp4")
    written(Path(), VATEX)
    done = evaluate(*WORDS)
    assert done.status == 0, done.err
    assert [each["id"] for each in verdicts()] == [each["videoID"] for each in VATEX]
    assert "References of a clip: 1 to 2, 1.5 on average." in result()["notes"]


def test_msvd(evaluate: Run, keep: Keep) -> None:
    keep("YouTubeClips/-4wsuPCjDBc_5_15.avi", "YouTubeClips/-7KMZQEsJW4_205_208.avi")
    written(Path(), MSVD)
    done = evaluate(*WORDS)
    assert done.status == 0, done.err
    assert {Path(each["path"]).name for each in records()} == {
        "-4wsuPCjDBc_5_15.avi",
        "-7KMZQEsJW4_205_208.avi",
    }


def test_karpathys_splits(evaluate: Run) -> None:
    Path("data/val2014").mkdir(parents=True)
    picture = np.full((48, 64, 3), 128, np.uint8)
    assert cv2.imwrite("data/val2014/COCO_val2014_000000391895.jpg", picture)
    written(Path(), KARPATHY)
    done = evaluate(*WORDS, "--split", "test")
    assert done.status == 0, done.err
    (record,) = records()
    assert Path(record["path"]).name == "COCO_val2014_000000391895.jpg"


class TestActivitynet:
    @pytest.fixture(autouse=True)
    def videos(self, keep: Keep) -> None:
        keep("v1-3/train_val/v_uqiMw7tQ1Cc.mp4", "v1-3/train_val/bXdq2zI1Ms0.mkv")
        written(Path(), ACTIVITYNET)

    def test_every_segment_is_seen_from_its_start_to_its_end(self, evaluate: Run) -> None:
        done = evaluate(*WORDS)
        assert done.status == 0, done.err
        seen = {
            (Path(each["path"]).stem, each["segment"]["start_s"], each["segment"]["end_s"]): each["frames"]
            for each in records()
        }
        spans = [("v_uqiMw7tQ1Cc", *times) for times in ACTIVITYNET["v_uqiMw7tQ1Cc"]["timestamps"]]
        assert set(seen) == {*spans, ("bXdq2zI1Ms0", 0.25, 0.9)}
        for (_, start_s, end_s), frames in seen.items():  # of ten a second
            assert start_s - 0.06 <= frames["timestamps_s"][0] < frames["timestamps_s"][-1] <= end_s + 0.06
        assert len({tuple(frames["indices"]) for frames in seen.values()}) == 4
        notes = " ".join(result()["notes"])
        for told in (done.err.replace("\n", " "), notes):
            assert "where a model finds the segments, are something else" in told
        assert "4 segments: figures of fewer than 50 mean little." in notes

    def test_captions_of_segments_are_scored_again(self, evaluate: Run) -> None:
        made = evaluate(*WORDS)
        again = evaluate("captions", "references", "--captions", "out/answers.jsonl", "-o", "again")
        assert (again.status, again.out) == (0, made.out), again.err

    def test_a_segment_behind_the_end_of_its_clip_fails_alone(self, evaluate: Run) -> None:
        late = {"timestamps": [[0, 1], [7, 9]], "sentences": ["A man jumps.", "He sits."]}
        written(Path(), ACTIVITYNET | {"v_uqiMw7tQ1Cc": late})
        done = evaluate(*WORDS)
        assert done.status == 3, done.err
        (failed,) = (each for each in verdicts() if each["kind"] == "failed")
        assert "the segment starts at 7 s" in failed["error"]

    def test_videos_that_are_missing_are_counted_once(self, evaluate: Run) -> None:
        Path("data/v1-3/train_val/v_uqiMw7tQ1Cc.mp4").unlink()
        told = evaluate(*WORDS, "--dry-run")
        assert told.status == 0 and "1 of 2 clips is missing" in told.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"v_a": {"timestamps": [[5, 2]], "sentences": ["x"]}}', "'v_a', segment 1: ends at 2 s"),
        ('{"v_a": {"timestamps": [[0, NaN]], "sentences": ["x"]}}', "references is not JSON"),
        ('[{"videoID": "../a", "enCap": ["x"]}]', "references, item 1: videoID is '../a'"),
        ('{"images": [{"filename": "../a.jpg", "sentences": []}]}', "references, images 1: filename is"),
        ("-4wsuPCjDBc_5_15 ...", "references, line 1: the caption '...' holds no word"),
        ('{"v_a": {"segments": []}}', "holds no captions in a form that is known"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_a_hint(evaluate: Run, content: str, message: str) -> None:
    Path("data").mkdir()
    Path("references").write_text(content)
    refused = evaluate(*WORDS)
    assert refused.status == 2 and message in refused.err
    assert [line.split(":")[0] for line in refused.err.splitlines()] == ["error", "hint"]
    assert not Path("out").exists()


def verdicts() -> Sequence[dict[str, Any]]:
    found: list[dict[str, Any]] = result()["verdicts"]
    return found
