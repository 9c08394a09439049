"""The learning curves in docs, drawn from the logs of a run: `python -m recipes.tiny.curves OUT docs`."""

import argparse
import json
from pathlib import Path

from pllava_cli.chart import line_chart

Points = list[tuple[float, float]]

LOSSES = {
    "b1: language": ("language.jsonl", "loss"),
    "b2: alignment, stills": ("align.jsonl", "loss_stills"),
    "b2: alignment, eight pictures": ("align.jsonl", "loss_boards"),
    "b3: attention led, eight pictures": ("choose.jsonl", "loss_boards"),
    "c: videos": ("adapter/log.jsonl", "loss"),
    "c: videos, validation": ("adapter/log.jsonl", "eval_loss"),
}
"""Curve -> the log in OUT and the figure in it; cross entropy per token of the answers."""
HIGHEST = 2.0
"""Losses above are the first moments of a run, and are left out."""
SHARES = {"colour": ("tower.jsonl", "colour"), "shape": ("tower.jsonl", "shape")}
"""The share of patches with a thing whose colour, and whose shape, the tower's heads name."""
CHOICES = {
    "b2: alignment": ("align.jsonl", "right_letters"),
    "b3: attention led": ("choose.jsonl", "right_letters"),
}
"""The share of replies whose letter is right."""


def main() -> None:
    """Draw the pictures."""
    parser = argparse.ArgumentParser(description="Draw the learning curves of tiny.")
    parser.add_argument("run", type=Path, help="the folder that recipes.tiny has written")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    shares = {name: points(options.run / file, figure) for name, (file, figure) in SHARES.items()}
    line_chart(
        options.out / "tiny-tower.svg",
        "Step a: what the vision tower says of patches with things",
        "minutes",
        "share right",
        shares,
        y_range=(0.0, 1.0),
    )
    choices = {name: points(options.run / file, figure) for name, (file, figure) in CHOICES.items()}
    line_chart(
        options.out / "tiny-choices.svg",
        "Steps b2 and b3: letters of multiple choice",
        "minutes into the step",
        "share right",
        choices,
        y_range=(0.0, 1.0),
    )
    losses = {name: points(options.run / file, figure) for name, (file, figure) in LOSSES.items()}
    line_chart(
        options.out / "tiny-loss.svg",
        "Steps b and c: loss",
        "minutes into the step",
        "cross entropy per token",
        losses,
        y_range=(0.0, HIGHEST),
    )


def points(log: Path, figure: str) -> Points:
    """Minutes and value of a figure, wherever a log has it."""
    lines = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines())
    made = ((line["elapsed_s"] / 60, line[figure]) for line in lines if figure in line)
    return [point for point in made if point[1] <= HIGHEST]


if __name__ == "__main__":
    main()
