"""The loop of the steps that come before `pllava train`: a loss, optimizers, a cosine schedule, a log."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recipes.tiny.precision import fastest

Step = Callable[[Any], dict[str, Tensor]]
"""From a batch to named figures, of which "loss" is made smaller."""

MATRIX_RATE = 3e-3
"""Learning rate of Muon (https://kellerjordan.github.io/posts/muon/), in AdamW's scale: at 2e-3 a loss was
reached in two thirds of the steps that AdamW at 1e-3 took; 6e-3 gained on stills and lost on storyboards."""

HEADS_RATE = 1e-2
"""Of linear heads that are to read what is there already: the sooner they do, the less they mislead."""


def fit(
    model: nn.Module,
    batches: Iterable[Any],
    step: Step,
    *,
    steps: int,
    learning_rate: float,
    log: Path,
    warmup: int = 100,
    weight_decay: float = 0.02,
    matrices: Sequence[nn.Parameter] = (),
    heads: Sequence[nn.Parameter] = (),
) -> None:
    """Train all parameters of `model` that want a gradient, and write a line of figures every 25 steps.

    Muon trains `matrices` among them, which have two dimensions, and AdamW all others, `heads` at
    `HEADS_RATE`.
    """
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizers = _optimizers(weights, matrices, heads, learning_rate, weight_decay)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(each, lambda now: _cosine(now, warmup, steps))
        for each in optimizers
    ]
    dtype = fastest()
    began, seen = time.perf_counter(), dict[str, list[float]]()
    model.train()
    with log.open("w", encoding="utf-8") as lines:
        for number, batch in enumerate(_first(batches, steps), start=1):
            with torch.autocast("cpu", torch.bfloat16, dtype == torch.bfloat16):
                figures = step(batch)
            figures["loss"].backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(weights, 1.0)
            for optimizer, schedule in zip(optimizers, schedules, strict=True):
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                schedule.step()
            for name, value in figures.items():
                seen.setdefault(name, []).append(float(value.detach()))
            if number % 25 == 0 or number == steps:
                means = {name: round(sum(all_) / len(all_), 5) for name, all_ in seen.items()}
                elapsed = round(time.perf_counter() - began, 1)
                lines.write(json.dumps({"step": number, "elapsed_s": elapsed, **means}) + "\n")
                lines.flush()
                seen.clear()
    model.eval()


def _optimizers(
    weights: Sequence[nn.Parameter],
    matrices: Sequence[nn.Parameter],
    heads: Sequence[nn.Parameter],
    rate: float,
    decay: float,
) -> list[torch.optim.Optimizer]:
    by_muon = {id(each) for each in matrices}
    by_heads = {id(each) for each in heads}
    rest = [each for each in weights if id(each) not in by_muon | by_heads]
    groups: list[dict[str, Any]] = [
        {"params": [each for each in rest if each.ndim > 1], "weight_decay": decay},
        {"params": [each for each in rest if each.ndim <= 1], "weight_decay": 0.0},
    ]
    if heads:
        groups.append({"params": list(heads), "weight_decay": decay, "lr": HEADS_RATE})
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))]
    if matrices:
        optimizers.append(
            torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
        )
    return optimizers


def _cosine(now: int, warmup: int, steps: int) -> float:
    return min(now / warmup, 1.0) * (0.02 + 0.98 * (1 + math.cos(math.pi * min(now / steps, 1.0))) / 2)


def _first(batches: Iterable[Any], count: int) -> Iterator[Any]:
    for _, batch in zip(range(count), batches, strict=False):
        yield batch
