"""`pllava eval`: real clips, decoders and journals, and a stand-in for the model."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.commands.results import Run
from tests.commands.standin import CLIPS
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


@pytest.fixture
def run(evaluate: Run, questions: Path) -> Run:
    return evaluate


@pytest.fixture
def scorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores captions without METEOR, whose start takes seconds."""
    pytest.importorskip("pycocoevalcap", reason="pycocoevalcap (extra: eval) is not installed")
    (tmp_path / "java").mkdir()
    fakejava.put(monkeypatch, tmp_path / "java", None)


def write(file: Path, entries: Sequence[object]) -> Path:
    file.write_text("".join(json.dumps(each) + "\n" for each in entries))
    return file
