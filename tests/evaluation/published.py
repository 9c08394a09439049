"""Files of captions as their authors publish them, in miniature: a few entries in each form."""

import json
from pathlib import Path
from typing import Any

VATEX = [
    {
        "videoID": "5-xGskbsBgI_000055_000065",
        "enCap": ["A young man polishes a shoe.", "Someone sets up a table to shine boots."],
        "chCap": ["一个年轻人在擦鞋。", "有人在擦靴子。"],
    },
    {"videoID": "-7FhGcSSw1g_000130_000140", "enCap": ["A dog jumps into a pool."]},
]
VATEX_PRIVATE = [{"videoID": "5-xGskbsBgI_000055_000065"}, {"videoID": "-7FhGcSSw1g_000130_000140"}]
"""That of the private test set: without captions."""
ACTIVITYNET = {
    "v_uqiMw7tQ1Cc": {
        "duration": 1.2,
        "timestamps": [[0, 1.15], [0.1, 0.4], [0.7, 1.1]],
        "sentences": [
            "A weight lifting tutorial is given.",
            " The coach helps the man in red.",
            " The man lifts the weight. ",
        ],
    },
    "v_bXdq2zI1Ms0": {"duration": 1.2, "timestamps": [[0.25, 0.9]], "sentences": ["Three men jump."]},
}
KARPATHY = {
    "images": [
        {
            "filepath": "val2014",
            "sentids": [770337, 771687],
            "filename": "COCO_val2014_000000391895.jpg",
            "imgid": 0,
            "split": "test",
            "sentences": [
                {
                    "tokens": ["a", "man", "on", "a", "moped"],
                    "raw": "A man on a moped.",
                    "imgid": 0,
                    "sentid": 770337,
                },
                {"tokens": ["a", "road"], "raw": "A road. ", "imgid": 0, "sentid": 771687},
            ],
            "cocoid": 391895,
        },
        {
            "filename": "clip7.mp4",
            "imgid": 1,
            "split": "train",
            "sentences": [{"tokens": ["a", "dog"], "raw": "A dog.", "imgid": 1, "sentid": 1}],
        },
    ],
    "dataset": "coco",
}
MSVD = """\
# English descriptions of clips.
#

-4wsuPCjDBc_5_15 a squirrel is eating a peanut in it's shell
-4wsuPCjDBc_5_15 a chipmunk is eating
-7KMZQEsJW4_205_208 a man is lifting a car
"""


def written(folder: Path, value: Any, name: str = "references") -> Path:
    """Write a file, under a name that tells nothing of its form."""
    file = folder / name
    file.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return file
