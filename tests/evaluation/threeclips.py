"""Three clips that people have described, and files of what they say."""

import json
from pathlib import Path
from typing import Any

THREE = [
    {"video": "ball.mp4", "captions": ["a red ball rolls over the grass", "a ball on the grass"]},
    {"video": "dogs.mp4", "captions": ["two dogs run after a ball"]},
    {"video": "kitchen.mp4", "captions": ["a woman cuts an onion", "someone cooks", "an onion is cut up"]},
]


def folder_of(tmp_path: Path) -> Path:
    """Make a folder below which the clips are: names only, for what does not open them."""
    folder = tmp_path / "data"
    for each in THREE:
        file = folder / "clips" / str(each["video"])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return folder


def file_of(tmp_path: Path, value: Any) -> Path:
    """Write a file of references."""
    file = tmp_path / "references.json"
    file.write_text(json.dumps(value))
    return file
