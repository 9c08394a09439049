"""What stays loaded from one setting to the next, and what is loaded anew."""

from dataclasses import replace
from typing import Any

import pytest

from pllava_cli import settings
from pllava_cli.commands import held as module
from pllava_cli.commands.held import Held
from pllava_cli.errors import CheckpointError
from pllava_cli.settings import Settings
from pllava_cli.terminal import Terminal


class Captioner:
    def __init__(self, of: Settings, *, has_lora: bool) -> None:
        self.of, self.has_lora, self.alphas = of, has_lora, [of.alpha]

    def set_alpha(self, alpha: float) -> bool:
        if alpha < 0:
            raise CheckpointError("the files have gone", "get them again")
        self.alphas.append(alpha)
        return self.has_lora


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Captioner]:
    made: list[Captioner] = []

    def load(terminal: Terminal, fitted: Settings, visual_store: Any) -> Captioner:
        made.append(Captioner(fitted, has_lora=fitted.model != "plain"))
        return made[-1]

    monkeypatch.setattr(module.running, "load_captioner", load)
    return made


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def at(alpha: float | None, **changes: Any) -> Settings:
    return replace(settings.resolve({"model": "tiny"}), alpha=alpha, **changes)


def test_alphas_share_a_checkpoint(loaded: list[Captioner], terminal: Terminal) -> None:
    held = Held()
    found = [held.captioner(terminal, at(alpha)) for alpha in (2.0, 4.0, 8.0)]
    assert len(loaded) == 1 and found == loaded * 3 and loaded[0].alphas == [2, 4, 8]


@pytest.mark.parametrize(
    "other", [{"num_frames": 4}, {"quantize": "4bit"}, {"device": "cpu"}, {"system": "Be brief."}], ids=str
)
def test_anything_else_does_not(other: Any, loaded: list[Captioner], terminal: Terminal) -> None:
    held = Held()
    for each in (at(2.0), at(2.0, **other), at(4.0, **other), at(4.0)):
        held.captioner(terminal, each)
    assert [each.alphas for each in loaded] == [[2], [2, 4], [4]]


def test_where_alpha_cannot_be_changed(loaded: list[Captioner], terminal: Terminal) -> None:
    held = Held()
    for alpha in (2.0, 4.0, None):
        held.captioner(terminal, at(alpha, model="plain"))
    assert [each.of.alpha for each in loaded] == [2, 4, None]


def test_what_an_error_left_is_not_used(loaded: list[Captioner], terminal: Terminal) -> None:
    held = Held()
    held.captioner(terminal, at(2.0))
    with pytest.raises(CheckpointError):
        held.captioner(terminal, at(-1.0))
    held.captioner(terminal, at(4.0))
    assert [each.of.alpha for each in loaded] == [2, 4]
