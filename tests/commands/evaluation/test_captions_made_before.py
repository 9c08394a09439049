"""`pllava eval captions --captions`: what a folder and a report say of captions that were made before."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands.standin import Run, result
from tests.evaluation import fakejava

REFERENCES = [
    {"video": "ball.mp4", "captions": ["a red ball rolls over the grass"], "split": "test"},
    {"video": "dogs.mp4", "captions": ["two dogs run after a ball"], "split": "val"},
]
MADE = [{"video": "ball.mp4", "caption": "a ball rolls"}, {"video": "dogs.mp4", "caption": "two dogs"}]
WORDS = ("captions", "references.json", "--captions", "made.json")


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pycocoevalcap", reason="pycocoevalcap (extra: eval) is not installed")
    (tmp_path / "java").mkdir()
    fakejava.put(monkeypatch, tmp_path / "java", None)
    monkeypatch.chdir(tmp_path)
    keep("references.json", REFERENCES)
    keep("made.json", MADE)


def keep(name: str, value: Any) -> None:
    Path(name).write_text(json.dumps(value))


def test_the_folder_says_what_its_report_is_of(evaluate: Run) -> None:
    for split, clip in (("test", "ball.mp4"), ("val", "dogs.mp4")):
        done = evaluate(*WORDS, "--split", split, "-o", "out")
        assert done.status == 0, done.err
        assert [each["id"] for each in result()["verdicts"]] == [clip]
        assert json.loads(Path("out/asked.json").read_text())["asked"]["split"] == split


def test_captions_of_parts_are_no_captions_of_whole_clips(evaluate: Run) -> None:
    keep("made.json", [MADE[0] | {"segment": {"index": 0, "start_s": 1.0, "end_s": None}}, MADE[1]])
    assert evaluate(*WORDS, "-o", "out").status == 0
    (told,) = (note for note in result()["notes"] if "of a part" in note)
    assert told.startswith("1 caption is said to be of a part of the clip")


def test_a_folder_that_nobody_names_has_a_plain_name(evaluate: Run) -> None:
    Path("made.json").rename("my captions\n(new).json")
    assert evaluate(*WORDS[:3], "my captions\n(new).json").status == 0
    assert Path("eval-captions-my-captions-new/result.json").is_file()
