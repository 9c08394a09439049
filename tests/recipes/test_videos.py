"""Clips and their lines: what `pllava train` reads is what the scenes show, and a broken run goes on."""

from pathlib import Path

import cv2
import pytest

from pllava_cli.prompts import CAPTION, SYSTEM
from pllava_cli.shapes.captions import facts, read
from pllava_cli.shapes.casting import cast
from pllava_cli.shapes.render import film
from pllava_cli.training import data
from recipes.tiny.texts import SHORT
from recipes.tiny.videos import TRAINING, write_videos

SEEDS = (TRAINING, TRAINING + 1)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_videos(tmp_path_factory.mktemp("videos"), first=TRAINING, count=2, jobs=1)


def test_every_line_can_be_trained_on(written: Path) -> None:
    lines = data.read((written,), "other")
    assert lines.bad == []
    assert [each.clip.path for each in lines.conversations] == [
        written.parent / "clips" / f"{seed}.mp4" for seed in SEEDS for _ in range(2)
    ]
    assert {each.system for each in lines.conversations} <= {SYSTEM, ""}


def test_the_captions_are_the_scenes(written: Path) -> None:
    told = 0
    for conversation in data.read((written,), "").conversations:
        for question, answer in zip(conversation.turns[::2], conversation.turns[1::2], strict=True):
            if question.text in (CAPTION, *SHORT):
                assert read(answer.text) == facts(cast(int(conversation.clip.path.stem)))
                told += 1
    assert told


def test_the_clips_are_whole_and_nothing_else_is_left(written: Path) -> None:
    for seed in SEEDS:
        capture = cv2.VideoCapture(str(written.parent / "clips" / f"{seed}.mp4"))
        count = 0
        while capture.read()[0]:
            count += 1
        assert count == film(seed).frames
    assert {each.name for each in written.parent.rglob("*")} == {
        "clips",
        "train.jsonl",
        *(f"{seed}.mp4" for seed in SEEDS),
    }


def test_a_run_goes_on_with_the_clips_that_are_there(written: Path) -> None:
    before = written.read_bytes()
    kept, missing = (written.parent / "clips" / f"{seed}.mp4" for seed in SEEDS)
    stamp = kept.stat().st_mtime_ns
    missing.unlink()
    written.unlink()
    write_videos(written.parent, first=TRAINING, count=2, jobs=1)
    assert written.read_bytes() == before
    assert kept.stat().st_mtime_ns == stamp
    assert missing.exists()
