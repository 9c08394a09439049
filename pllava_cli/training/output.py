"""What a written checkpoint has beside its weights, and files that are whole or not there."""

import json
import os
import shutil
from pathlib import Path

from pllava_cli.loader import Checked
from pllava_cli.model.loading import read_json

FILES = (
    "tokenizer.json",
    "added_tokens.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "preprocessor_config.json",
    "generation_config.json",
)
"""What is taken over as it is; an adapter has it too, so that it needs its base for weights only."""


def write_description(folder: Path, checked: Checked) -> None:
    """Write the configuration, with the frames and pooling now used, and what makes a model's inputs."""
    config = checked.prepared.model.config
    raw = read_json(checked.folder / "config.json") | {
        "num_frames": config.num_frames,
        "pooling_shape": list(config.pooling_shape),
    }
    write_whole(folder / "config.json", json.dumps(raw, indent=2) + "\n")
    for name in FILES:
        sources = [source / name for source in (checked.folder, checked.base) if source is not None]
        found = next((source for source in sources if source.exists()), None)
        if found is not None:
            shutil.copyfile(found, folder / name)


def write_whole(file: Path, text: str) -> None:
    """Write a file so that a kill leaves the old one or the new one."""
    partial = file.with_name(file.name + ".partial")
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(file)
