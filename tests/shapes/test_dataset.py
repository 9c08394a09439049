"""Data sets: what is in the folder, the same every time, whole after an interruption, and refused clearly."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from pllava_cli.errors import PllavaError, UsageError
from pllava_cli.prompts import CAPTION
from pllava_cli.shapes import dataset
from pllava_cli.shapes.captions import facts, read
from pllava_cli.shapes.casting import cast
from pllava_cli.shapes.render import film
from pllava_cli.shapes.samples import MOST_CLIPS, Recipe, sample
from pllava_cli.shapes.subtasks import SUBTASKS
from tests.locking import before_locking
from tests.shapes.watching import is_true

RECIPE = Recipe(count=11, seed=2)


def make(folder: Path, recipe: Recipe = RECIPE, jobs: int = 1) -> dataset.Counts:
    return dataset.make(folder, recipe, jobs, lambda done: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "data"
    make(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_captions_are_training_data(made: Path) -> None:
    captions = read_lines(made / "captions.jsonl")
    assert [line["id"] for line in captions] == [f"{number:06}" for number in range(1, 12)]
    for number, line in enumerate(captions, 1):
        assert (made / line["video"]).is_file()
        human, reply = line["conversations"]
        assert human == {"from": "human", "value": f"<image>\n{CAPTION}"}
        assert reply["from"] == "gpt"
        assert read(reply["value"]) == facts(sample(RECIPE, number).scene)


def test_questions_keep_their_kind(made: Path) -> None:
    questions = read_lines(made / "questions.jsonl")
    assert len({line["id"] for line in questions}) == len(questions) > 50
    for line in questions:
        assert (made / line["video"]).is_file() and line["kind"]
        assert [turn["value"] for turn in line["conversations"]] == [
            f"<image>\n{line['question']}",
            line["answer"],
        ]


def test_scenes_are_written_out_in_full(made: Path) -> None:
    for number, line in enumerate(read_lines(made / "scenes.jsonl"), 1):
        assert line["seed"] == RECIPE.seed * MOST_CLIPS + number
        assert line["scene"] == json.loads(json.dumps(asdict(cast(line["seed"]))))
        assert line["film"] == asdict(film(line["seed"]))


def test_items_are_laid_out_as_in_mvbench(made: Path) -> None:
    files = sorted((made / "mvbench" / "json").iterdir())
    assert files and {file.stem for file in files} <= SUBTASKS.keys()
    for file in files:
        for item in json.loads(file.read_text(encoding="utf-8")):
            assert item.keys() == {"video", "question", "candidates", "answer"}
            clip = (file.parent / item["video"]).resolve()
            assert clip.parent == made / "clips" and clip.is_file()
            scene = sample(RECIPE, int(clip.stem)).scene
            true = [each for each in item["candidates"] if is_true(scene, item["question"], each)]
            assert true == [item["answer"]]


def test_nothing_else_is_in_the_folder(made: Path) -> None:
    assert {path.name for path in made.iterdir()} == {
        "captions.jsonl",
        "clips",
        "dataset.json",
        "mvbench",
        "questions.jsonl",
        "scenes.jsonl",
    }
    assert len(list((made / "clips").iterdir())) == RECIPE.count


def test_counts_are_of_what_was_written(tmp_path: Path) -> None:
    counts = make(tmp_path)
    assert counts.pop("clips") == RECIPE.count
    for name, count in counts.items():
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert count == (len(json.loads(text)) if name.endswith(".json") else len(text.splitlines()))


def test_the_same_recipe_gives_the_same_bytes_in_any_number_of_processes(made: Path, tmp_path: Path) -> None:
    make(tmp_path / "again", jobs=2)
    assert contents(tmp_path / "again") == contents(made)


def test_seeds_share_no_scene_and_counts_share_their_beginning(made: Path, tmp_path: Path) -> None:
    seeds = [
        sample(Recipe(MOST_CLIPS, seed), number).seed for seed in (0, 1, 2) for number in (1, MOST_CLIPS)
    ]
    assert seeds == sorted(set(seeds))
    make(tmp_path, Recipe(count=2, seed=RECIPE.seed))
    assert (tmp_path / "clips/000002.mp4").read_bytes() == (made / "clips/000002.mp4").read_bytes()


@pytest.mark.parametrize("objects", [(1, 1), (2, 3), (4, 4)])
def test_as_many_objects_as_asked(objects: tuple[int, int]) -> None:
    numbers = {len(sample(Recipe(40, 0, objects), number).scene.things) for number in range(1, 41)}
    assert numbers == set(range(objects[0], objects[1] + 1))


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_run_leaves_whole_clips_and_is_gone_on_with(
    jobs: int, made: Path, tmp_path: Path
) -> None:
    def stop(done: int) -> None:
        if done == 4:
            raise StoppedError

    with pytest.raises(StoppedError):
        dataset.make(tmp_path, RECIPE, jobs, stop)
    assert {path.name for path in tmp_path.iterdir()} == {"clips", "dataset.json", "mvbench"}
    clips = sorted((tmp_path / "clips").iterdir())
    assert len(clips) >= 4 and all(
        clip.read_bytes() == (made / "clips" / clip.name).read_bytes() for clip in clips
    )
    before = {clip.name: clip.stat().st_mtime_ns for clip in clips}
    make(tmp_path, jobs=jobs)
    assert contents(tmp_path) == contents(made)
    assert {clip.name: clip.stat().st_mtime_ns for clip in clips} == before  # not made anew


def test_a_killed_run_is_gone_on_with(made: Path, tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from pllava_cli.shapes import dataset\n"
        "from pllava_cli.shapes.samples import Recipe\n"
        "kill = lambda done: done == 3 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "dataset.make(Path(sys.argv[1]), Recipe(11, 2), 1, kill)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == -9 and (tmp_path / ".unfinished").is_dir()
    make(tmp_path)
    assert contents(tmp_path) == contents(made)
    assert not (tmp_path / ".unfinished").exists()


def test_a_folder_that_another_run_fills_is_left_to_it(made: Path, tmp_path: Path) -> None:
    refused = []

    def meddle(done: int) -> None:
        if done == 2:
            with pytest.raises(UsageError, match="another process is making a data set in") as caught:
                make(tmp_path)
            refused.append(caught.value.hint)

    dataset.make(tmp_path, RECIPE, 1, meddle)
    assert refused == ["wait for it, or choose another folder"]
    assert contents(tmp_path) == contents(made)
    with pytest.raises(UsageError, match="already holds"):  # the lock has gone with the run
        make(tmp_path)


def test_a_folder_that_another_has_just_replaced_is_not_filled(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with (
        before_locking(lambda: folder.rename(tmp_path / "moved") and folder.mkdir()),
        pytest.raises(UsageError, match="another process"),
    ):
        make(folder)
    assert list(folder.iterdir()) == list((tmp_path / "moved").iterdir()) == []


def test_a_link_to_a_folder_is_filled_as_the_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    make(tmp_path / "link", Recipe(count=1, seed=2))
    assert (tmp_path / "real" / "dataset.json").is_file() and (tmp_path / "link").is_symlink()


def test_two_runs_at_once_fill_two_folders(made: Path, tmp_path: Path) -> None:
    def other(done: int) -> None:
        if done == 1:
            make(tmp_path / "b")

    dataset.make(tmp_path / "a", RECIPE, 1, other)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(made)


def test_a_finished_data_set_is_not_made_again(made: Path) -> None:
    with pytest.raises(UsageError, match="already holds"):
        make(made)


@pytest.mark.parametrize("other", [Recipe(12, 2), Recipe(11, 3), Recipe(11, 2, (1, 3))])
def test_other_data_in_the_folder_is_left_alone(other: Recipe, made: Path) -> None:
    before = contents(made)
    with pytest.raises(UsageError, match="is not empty"):
        make(made, other)
    assert contents(made) == before


@pytest.mark.parametrize("name", ["notes.txt", "dataset.json", ".hidden", "clips"])
def test_a_folder_of_something_else(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\xff mine")
    with pytest.raises(UsageError, match="is not empty"):
        make(tmp_path)
    assert contents(tmp_path) == {name: b"\xff mine"}


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("file", "file/inside"):
        with pytest.raises(UsageError, match="cannot make the folder"):
            make(tmp_path / place)


def test_names_that_look_like_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("http:/%03d", "a b\n'c'", "-n", "pipe:1"):
        make(Path(name), Recipe(1))
        assert (Path(name) / "clips" / "000001.mp4").stat().st_size > 1000


def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not UTF-8"):
        make(tmp_path / os.fsdecode(b"\xff"))
    assert not any(tmp_path.iterdir())


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    make(tmp_path / "ok", Recipe(2))
    shutil.rmtree(tmp_path / "ok" / "clips")
    (tmp_path / "ok" / "scenes.jsonl").unlink()
    (tmp_path / "ok" / "clips").touch()  # where a folder was
    with pytest.raises(PllavaError, match="cannot write into"):
        make(tmp_path / "ok", Recipe(2))
