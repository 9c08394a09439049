"""Conversations as token ids, with labels on what the model is to say."""

from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from pllava_cli.prompts import TEMPLATES, Message
from pllava_cli.training.dataset import ROUND
from pllava_cli.training.tokens import IGNORED
from recipes.tiny.texts import Turns

_TEMPLATE = TEMPLATES["vicuna"]


@dataclass(frozen=True)
class Row:
    """One conversation: ids, and labels that are `IGNORED` where the model has nothing to say."""

    ids: list[int]
    labels: list[int]


def encode(tokenizer: Tokenizer, system: str, context: str, turns: Turns, image: int, visual: int) -> Row:
    """Encode a conversation that begins with `context`, where each placeholder stands for `visual` tokens."""
    messages = [Message("user", context)]
    answers: list[tuple[int, int]] = []
    for question, answer in turns:
        messages.append(Message("user", question))
        start = len(_TEMPLATE.render(messages, system))
        messages.append(Message("assistant", answer))
        answers.append((start, len(_TEMPLATE.render(messages, system))))
    encoding = tokenizer.encode(_TEMPLATE.render(messages, system))
    ids: list[int] = []
    labels: list[int] = []
    for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
        is_said = end > start and any(first <= start and end <= last for first, last in answers)
        times = visual if token == image else 1
        ids += [token] * times
        labels += [token if is_said else IGNORED] * times
    return Row(ids, labels)


def collate(rows: list[Row], pad: int) -> dict[str, Tensor]:
    """Rows brought to one length, [rows, length] each.

    They are filled up at their ends, where causal attention from before does not reach: no mask is needed.
    """
    length = -(-max(len(row.ids) for row in rows) // ROUND) * ROUND
    return {
        "input_ids": torch.tensor([row.ids + [pad] * (length - len(row.ids)) for row in rows]),
        "labels": torch.tensor([row.labels + [IGNORED] * (length - len(row.labels)) for row in rows]),
    }
