"""Karpathy's splits, `dataset_coco.json` and the like: images with their split and their sentences.

    {"images": [{"filepath": "val2014", "filename": "COCO_val2014_000000391895.jpg", "cocoid": 391895,
                 "split": "test", "sentences": [{"raw": "A man with a red helmet ...", "tokens": [...]}]}]}

`raw` is what people wrote. `filepath`, the folder, and `cocoid` are COCO's alone; results for COCO name
images by it, so it is the id where it is there. A picture is captioned as a clip of one frame.

Source: karpathy/neuraltalk (2c99eac), imagernn/data_provider.py; ruotianluo/ImageCaptioning.pytorch
(020aff8), scripts/prepro_labels.py.
"""

import os
from pathlib import Path
from typing import Any

from pllava_cli.evaluation.benchmarks import splits
from pllava_cli.evaluation.benchmarks.entry import Entry, checked_object
from pllava_cli.evaluation.benchmarks.json_or_lines import Loaded, Placed
from pllava_cli.evaluation.benchmarks.references.told import (
    Entries,
    Layout,
    Told,
    checked_id,
    checked_list,
    checked_name,
    each,
)
from pllava_cli.evaluation.reading import EntryError, shown
from pllava_cli.video.probe import shown_name

_IMAGES, _SENTENCES = "images", "sentences"


def _is_of(loaded: Loaded) -> bool:
    images = loaded.value.get(_IMAGES) if isinstance(loaded.value, dict) else None
    listed = images if isinstance(images, list) else []
    return any(isinstance(image, dict) and _SENTENCES in image for image in listed)


def _entries(loaded: Loaded, file: Path) -> Entries:
    seen: set[str] = set()

    def told(value: Any) -> Told:
        image = checked_object(value)
        name = _name(image)
        if name in seen:
            raise EntryError(f"{name!r} is there twice")
        seen.add(name)
        id = checked_id(image["cocoid"], "cocoid") if image.get("cocoid") is not None else None
        return Told(id, name, _captions(image), splits.named(image))

    where = f"{shown_name(file.name)}, {_IMAGES}"
    return each((Placed(f"{where} {at}", image) for at, image in enumerate(loaded.value[_IMAGES], 1)), told)


def _name(image: dict[str, Any]) -> str:
    """The path of an image from the folder that holds them all."""
    name = checked_name(image.get("filename"), "filename")
    if image.get("filepath"):
        name = f"{checked_name(image['filepath'], 'filepath')}/{name}"
    return os.fspath(Entry(1, {"filename": name}).path_below(Path(), "filename"))


def _captions(image: dict[str, Any]) -> list[Any]:
    sentences = checked_list(image.get(_SENTENCES), _SENTENCES)
    for at, sentence in enumerate(sentences, 1):
        if not isinstance(sentence, dict):
            raise EntryError(f"sentence {at} is {shown(sentence)}, not an object")
    return [sentence.get("raw") for sentence in sentences]


KARPATHY = Layout(_is_of, _entries, "each of the images needs its filename, and sentences with raw")
