"""The paper's benchmarks in miniature: their layouts, with clips and questions of the world of shapes.

    mvbench(folder, each=2, seed=0) -> Path     all 20 tasks, `each` questions a task
    vcgbench(folder, clips=3, seed=0) -> Path   generic, temporal and consistency questions
    videoqa(folder, clips=2, seed=0) -> Path    MSVD, MSRVTT, ActivityNet and TGIF

Each fills `folder`, made if it is not there, and returns it: it is what a reader of the benchmark is
given as DATA. The same arguments give the same pictures and texts. Clips are some KB each, several
questions share one, and all that is held right is right: a checkpoint that knows the world scores well.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import cv2
from PIL import Image

from pllava_cli.evaluation.benchmarks.mvbench import TASKS, Task
from pllava_cli.shapes.captions import tell
from pllava_cli.shapes.casting import cast
from pllava_cli.shapes.choices import Item, choose
from pllava_cli.shapes.questions import KINDS, NUMBERS, Question, ask
from pllava_cli.shapes.render import Film, Picture, film, frames
from pllava_cli.shapes.samples import MOST_CLIPS
from pllava_cli.video.folder import FRAMES_FPS

BORROWED = {
    "action_prediction": "action_sequence",
    "fine_grained_action": "action_antonym",
    "unexpected_action": "state_change",
    "fine_grained_pose": "moving_attribute",
    "egocentric_navigation": "moving_direction",
    "episodic_reasoning": "character_order",
}
"""Tasks that the world cannot pose, and whose questions stand for theirs."""
SUFFIXES = {"ssv2_video": ".webm", "nturgbd": ".avi"}
"""Of the videos that are not .mp4, by MVBench's folder."""
OF_FRAMES = "tvqa/frames_fps3_hq"
"""MVBench's folder whose clips are folders of pictures, 00001.jpg and so on."""
CODECS = {".mp4": "mp4v", ".webm": "VP80", ".avi": "XVID"}
SIDE, FPS, FRAMES = 112, 8, 17
"""Of every clip; a scene lasts a little more than two seconds."""
ATTEMPTS = 4
"""How often a scene is asked for questions: of those with frequent answers some are left out each time."""
FIRST_SEED = 77 * MOST_CLIPS
"""Scenes that no data set of a small seed shares."""


def mvbench(folder: Path, each: int = 2, seed: int = 0) -> Path:
    """Make an MVBench.

    In bounded tasks a clip is two scenes in a row, and a question is about one of them.

    Args:
        folder: Gets json/ and video/.
        each: Questions a task.
        seed: Another one gives other scenes.
    """
    entries: dict[str, list[dict[str, Any]]] = {task.name: [] for task in TASKS}
    for number, prefix in enumerate(dict.fromkeys(task.prefix for task in TASKS)):
        tasks = [task for task in TASKS if task.prefix == prefix]
        posed = _posed(tasks, each, FIRST_SEED + 100_000 * seed + 1_000 * number)
        for name, seeds in _clips(tasks[0], list(posed)):
            _show(folder / "video" / prefix / name, seeds, is_frames=prefix == OF_FRAMES)
            for at, scene in enumerate(seeds):
                for task, item in posed[scene]:
                    entries[task.name].append(_entry(task, name, at, item))
    for name, own in entries.items():
        _write_json(folder / "json" / f"{name}.json", own)
    return folder


def vcgbench(folder: Path, clips: int = 3, seed: int = 0) -> Path:
    """Make a benchmark as that of Video-ChatGPT: three generic, one temporal, one consistency item a clip."""
    generic, temporal, consistency = [], [], []
    for number, scene in enumerate(_scenes(seed, clips)):
        name = f"v_scene{number:04}"
        _show(folder / "Videos" / "Benchmarking" / f"{name}.mp4", [scene])
        asked = {each.kind: each for each in ask(cast(scene), Random(f"vcg {scene}"))}
        told = tell(cast(scene), Random(f"vcg {scene}"))
        generic.append({"video_name": name, "Q": "What is happening in the video?", "A": told})
        generic += [_open(name, asked[kind]) for kind in ("action", "count")]
        temporal.append(_open(name, asked.get("order") or asked["background change"]))
        consistency.append(
            {
                "video_name": name,
                "Q1": "How many objects are there?",
                "Q2": "What is the number of objects in the video?",
                "A": f"{NUMBERS[len(cast(scene).things)]}.",
            }
        )
    for kind, entries in (("generic", generic), ("temporal", temporal), ("consistency", consistency)):
        _write_json(folder / "Zero_Shot_QA" / "Benchmarking_QA" / f"{kind}_qa.json", entries)
    return folder


def videoqa(folder: Path, clips: int = 2, seed: int = 0) -> Path:
    """Make the four sets of open questions, with every question that has an answer of one word."""
    for number, (name, videos) in enumerate(
        {
            "MSVD_Zero_Shot_QA": "videos/{}.avi",
            "MSRVTT_Zero_Shot_QA": "videos/all/{}.mp4",
            "ActivityNet": "all_test/v_{}.mp4",
            "TGIF_QA": "tgif_videos/{}.gif",
        }.items()
    ):
        questions, answers = [], []
        for at, scene in enumerate(_scenes(10 * seed + number, clips)):
            video = f"scene{at:04}"
            _show(folder / name / videos.format(video), [scene])
            for asked in ask(cast(scene), Random(f"videoqa {scene}")):
                answer = asked.answer.rstrip(".").lower()
                if " " not in answer:
                    own = f"{video}_{len(questions)}"
                    questions.append({"video_name": video, "question": asked.question, "question_id": own})
                    kind = list(KINDS).index(asked.kind)
                    answers.append({"answer": answer, "type": kind, "question_id": own})
        _write_json(folder / name / "test_q.json", questions)
        _write_json(folder / name / "test_a.json", answers)
    return folder


def _scenes(seed: int, count: int) -> range:
    first = FIRST_SEED + 50_000 + 100_000 * seed
    return range(first, first + count)


def _posed(tasks: Sequence[Task], each: int, first: int) -> dict[int, list[tuple[Task, Item]]]:
    """Scenes from a seed on, with the questions that are asked about them: `each` of every task."""
    lacking = {task.name: each for task in tasks}
    posed: dict[int, list[tuple[Task, Item]]] = {}
    seed = first
    while any(lacking.values()):
        scene = cast(seed)
        found: dict[str, Item] = {}
        for attempt in range(ATTEMPTS):
            for item in choose(scene, Random(f"miniature {seed} {attempt}")):
                found.setdefault(item.task, item)
        own = [
            (task, found[source])
            for task in tasks
            if lacking[task.name] and (source := BORROWED.get(task.name, task.name)) in found
        ]
        for task, _ in own:
            lacking[task.name] -= 1
        if own:
            posed[seed] = own
        seed += 1
    return posed


def _clips(task: Task, seeds: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    """Names of clips from their folder, and the scenes that are in them."""
    step = 2 if task.is_bounded else 1
    for at in range(0, len(seeds), step):
        name = f"scene_{seeds[at]}"
        if task.prefix == OF_FRAMES:
            yield f"shapes_frames/{name}_clip_00", list(seeds[at : at + step])
        else:
            yield name + SUFFIXES.get(task.prefix, ".mp4"), list(seeds[at : at + step])


def _entry(task: Task, video: str, at: int, item: Item) -> dict[str, Any]:
    entry = {
        "video": video,
        "question": item.question,
        "candidates": list(item.candidates),
        "answer": item.answer,
    }
    if task.is_bounded:
        # In a folder of frames the one at t seconds is number 3 t, counted from 1. The frame at the end
        # counts as part of the segment.
        fps, first = (FRAMES_FPS, 1) if task.prefix == OF_FRAMES else (FPS, 0)
        start, end = (at * FRAMES + first, (at + 1) * FRAMES - 1 + first)
        entry |= {"start": round(start / fps, 3), "end": round(end / fps, 3)}
    return entry


def _open(video: str, asked: Question) -> dict[str, str]:
    return {"video_name": video, "Q": asked.question, "A": asked.answer}


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _show(path: Path, seeds: Sequence[int], *, is_frames: bool = False) -> None:
    """Write scenes one after the other as one clip: a video, or a folder of pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [picture for seed in seeds for picture in frames(cast(seed), _film(seed))]
    if is_frames:
        path.mkdir()
        for number, picture in enumerate(pictures, 1):
            assert cv2.imwrite(str(path / f"{number:05}.jpg"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    elif path.suffix == ".gif":
        first, *rest = map(Image.fromarray, pictures)
        first.save(path, save_all=True, append_images=rest, duration=1000 // FPS, loop=0)
    else:
        _write_video(path, pictures)


def _film(seed: int) -> Film:
    """How a scene is filmed: small and without grain, so that its file is small."""
    return replace(film(seed), side=SIDE, fps=FPS, frames=FRAMES, grain=0.0, jpeg=95)


def _write_video(path: Path, pictures: Sequence[Picture]) -> None:
    codec = cv2.VideoWriter_fourcc(*CODECS[path.suffix])
    writer = cv2.VideoWriter(str(path), codec, FPS, (SIDE, SIDE))
    unnamed = path.with_suffix(".mp4")
    if not writer.isOpened():  # this OpenCV cannot write such files: what is in one, its bytes tell
        writer = cv2.VideoWriter(str(unnamed), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (SIDE, SIDE))
    assert writer.isOpened()
    for picture in pictures:
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()
    if not path.exists():
        unnamed.rename(path)
