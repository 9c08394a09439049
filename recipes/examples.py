"""The clips in examples/ and what they show: python -m recipes.examples examples.

Scenes that `tiny` was not trained on, chosen among those that it tells rightly.
"""

import argparse
import json
from pathlib import Path
from random import Random

from pllava_cli.shapes.captions import tell
from pllava_cli.shapes.casting import cast
from pllava_cli.shapes.render import film, write_clip

SEEDS = {
    "red-circle": 80_004_100,
    "swap": 80_000_046,
    "in-turn": 80_000_163,
    "blink": 80_000_050,
    "grow": 80_000_068,
    "vanish": 80_000_055,
}
"""Name of the clip -> scene seed."""


def main() -> None:
    """Write the clips and captions.jsonl beside them."""
    parser = argparse.ArgumentParser(description="Write the example clips.")
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, seed in SEEDS.items():
        scene = cast(seed)
        write_clip(out / f"{name}.mp4", scene, film(seed))
        lines.append(json.dumps({"video": f"{name}.mp4", "seed": seed, "caption": tell(scene, Random(seed))}))
    (out / "captions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
