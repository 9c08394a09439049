"""The loop of the two steps that come before `pllava train`: a loss, AdamW, a cosine schedule, a log."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Step = Callable[[Any], dict[str, Tensor]]
"""From a batch to named figures, of which "loss" is made smaller."""


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
) -> None:
    """Train all parameters of `model` that want a gradient, and write a line of figures every 25 steps."""
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in weights if each.ndim > 1], "weight_decay": weight_decay},
        {"params": [each for each in weights if each.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda now: _cosine(now, warmup, steps))
    began, seen = time.perf_counter(), dict[str, list[float]]()
    model.train()
    with log.open("w", encoding="utf-8") as lines:
        for number, batch in enumerate(_first(batches, steps), start=1):
            with torch.autocast("cpu", torch.bfloat16):
                figures = step(batch)
            figures["loss"].backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(weights, 1.0)
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


def _cosine(now: int, warmup: int, steps: int) -> float:
    return min(now / warmup, 1.0) * (0.02 + 0.98 * (1 + math.cos(math.pi * min(now / steps, 1.0))) / 2)


def _first(batches: Iterable[Any], count: int) -> Iterator[Any]:
    for _, batch in zip(range(count), batches, strict=False):
        yield batch
