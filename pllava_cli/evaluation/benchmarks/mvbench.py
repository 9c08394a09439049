"""MVBench as it is published: twenty tasks, a file of questions each, and the videos they are about.

    DATA/json/action_sequence.json
    DATA/video/star/Charades_v1_480/XXXXX.mp4
    DATA/video/data0613/star/Charades_v1_480/XXXXX.mp4

What cannot be asked is named and left out; what can be asked but not shown stays in, and counts as wrong.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pllava_cli.configfile import suggestion
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks.choices import MANNER, Posed, window
from pllava_cli.evaluation.benchmarks.entry import Entry, gather
from pllava_cli.evaluation.items import Benchmark, Fault, Item
from pllava_cli.evaluation.reading import EntryError, check_folder, is_folder, is_there, load_list
from pllava_cli.video.probe import shown_name


@dataclass(frozen=True)
class Task:
    """One of MVBench's tasks."""

    name: str
    """Of its file under json/, without the suffix."""
    prefix: str
    """Where its clips are under video/: files, or folders of pictures as `video.folder` reads them."""
    is_bounded: bool = False
    """Whether each question is about a part of its clip, from `start` to `end`."""


_CLEVRER, _PERCEPTION, _STAR = "clevrer/video_validation", "perception/videos", "star/Charades_v1_480"

TASKS = (
    Task("action_sequence", _STAR, is_bounded=True),
    Task("action_prediction", _STAR, is_bounded=True),
    Task("action_antonym", "ssv2_video"),
    Task("fine_grained_action", "Moments_in_Time_Raw/videos"),
    Task("unexpected_action", "FunQA_test/test"),
    Task("object_existence", _CLEVRER),
    Task("object_interaction", _STAR, is_bounded=True),
    Task("object_shuffle", _PERCEPTION),
    Task("moving_direction", _CLEVRER),
    Task("action_localization", "sta/sta_video", is_bounded=True),
    Task("scene_transition", "scene_qa/video"),
    Task("action_count", _PERCEPTION),
    Task("moving_count", _CLEVRER),
    Task("moving_attribute", _CLEVRER),
    Task("state_change", _PERCEPTION),
    Task("fine_grained_pose", "nturgbd"),
    Task("character_order", _PERCEPTION),
    Task("egocentric_navigation", "vlnqa"),
    Task("episodic_reasoning", "tvqa/frames_fps3_hq", is_bounded=True),
    Task("counterfactual_inference", _CLEVRER),
)
"""In the order of the paper's table 3.

Source: magic-research/PLLaVA (6f49fd2), tasks/eval/mvbench, after OpenGVLab/Ask-Anything, video_chat2.
"""

_LAYOUT = (
    "DATA holds json/ with action_sequence.json and so on, and video/ with star/Charades_v1_480/ and so on"
)
_BELOW = ("", "MVBench", "DATAS/MVBench")
"""Where the two folders may be below the folder that is named: the reference keeps them in the last."""
_LATER = "data0613"
"""Within video/: the clips that the questions of June 2024 need besides, in folders of the same names.

Published as an archive of its own, video/data0613.zip (OpenGVLab/Ask-Anything issues 198 and 236)."""


def read(data: Path, tasks: Collection[str] = ()) -> Benchmark:
    """Read MVBench.

    Args:
        data: The folder that holds json/ and video/, or one that holds it as MVBench/ or DATAS/MVBench/.
        tasks: Names of the tasks to read, as of their files; none: all.

    Raises:
        UsageError: There is no such task, none of the tasks' files, or no question that can be asked.
    """
    wanted = _wanted(tasks)
    root = _root(data)
    items: list[Item] = []
    faults: list[Fault] = []
    for task in wanted:
        made, wrong = _read_task(root, task)
        items += made
        faults += wrong
    if not items:
        raise UsageError(
            f"no question of MVBench in {shown_name(root)} can be asked: "
            f"{faults[0].where}: {faults[0].message}"
            if faults
            else f"the files of MVBench in {shown_name(root)} hold no questions",
            f"{_LAYOUT}; `pllava eval mc` reads questions laid out otherwise",
        )
    return Benchmark("mvbench", items, MANNER, [*faults, *_missing_folders(root, wanted, items)])


def _wanted(names: Collection[str]) -> Sequence[Task]:
    by_name = {task.name: task for task in TASKS}
    found = set()
    for name in names:
        plain = name.strip().lower().replace("-", "_").replace(" ", "_")
        if plain not in by_name:
            hint = suggestion(plain, by_name, "the tasks are")
            raise UsageError(f"MVBench has no task {shown_name(name)}", hint)
        found.add(plain)
    return [task for task in TASKS if not names or task.name in found]


def _root(data: Path) -> Path:
    for below in _BELOW:
        if is_folder(data / below / "json"):
            return data / below
    check_folder(data, _LAYOUT)
    raise UsageError(f"{shown_name(data)} is not MVBench: there is no folder json in it", _LAYOUT)


def _read_task(root: Path, task: Task) -> tuple[list[Item], list[Fault]]:
    name = f"json/{task.name}.json"
    try:
        values = load_list(root / name)
    except UsageError as error:
        return [], [Fault(name, f"cannot be read: {error.message}")]
    return gather(values, f"{name}, entry", lambda entry: _item(root, task, entry))


def _item(root: Path, task: Task, entry: Entry) -> Item:
    clip = _clip(root / "video", task.prefix, entry)
    posed = Posed.of(entry, may_repeat=True)  # published as it is
    start_s = end_s = None
    if task.is_bounded:
        start_s, end_s = window(entry)
        if start_s is None or end_s is None:
            raise EntryError(f"has no {'start' if start_s is None else 'end'}")
    return posed.item(f"{task.name}/{entry.number}", task.name, clip, (start_s, end_s))


def _clip(videos: Path, prefix: str, entry: Entry) -> Path:
    """Where an entry's clip is; where it should be if it is nowhere."""
    usual, later = (entry.path_below(folder / prefix, "video") for folder in (videos, videos / _LATER))
    return later if is_there(later) and not is_there(usual) else usual


def _missing_folders(root: Path, wanted: Sequence[Task], items: Sequence[Item]) -> list[Fault]:
    """A fault for each folder of videos that is not there, instead of one for each of its videos."""
    asked = {item.group for item in items}
    tasks_by_prefix: dict[str, list[str]] = {}
    for task in wanted:
        if task.name in asked:
            tasks_by_prefix.setdefault(task.prefix, []).append(task.name)
    return [
        Fault(f"video/{prefix}", f"there is no such folder: all of {', '.join(names)} counts as wrong")
        for prefix, names in tasks_by_prefix.items()
        if not any(is_folder(root / "video" / part / prefix) for part in ("", _LATER))
    ]
