"""Another alpha for a loaded checkpoint: to the bit what loading it at that alpha gives."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pllava_cli import Captioner
from pllava_cli.errors import CheckpointError, UsageError
from pllava_cli.visualstore.store import VisualStore
from tests.checkpoints import adapter_tensors, copied, write_adapter, write_plain
from tests.engine_checks import EXACT, QUESTIONS, SHORT, same, state, told

MODES = [
    EXACT,
    EXACT | {"dtype": "bf16"},
    EXACT | {"dtype": "bf16", "quantize": "4bit"},
    EXACT | {"quantize": "8bit"},
    EXACT | {"encode": "int8"},
    EXACT | {"quantize": "4bit", "encode": "int8"},
]


def weights(captioner: Captioner) -> dict[str, torch.Tensor]:
    return {name: value for name, value in captioner.model.state_dict().items() if value is not None}


def is_same(one: Captioner, other: Captioner, clip: Path) -> bool:
    """Compare what clips come to, as packed weights may lie in memory in more than one way."""
    first, second = one.encode(clip), other.encode(clip)
    answers = [
        [told(each.answer(encoded, q, decoding=SHORT)) for q in QUESTIONS]
        for each, encoded in ((one, first), (other, second))
    ]
    return same(state(first), state(second)) and answers[0] == answers[1]


@pytest.mark.parametrize("options", MODES, ids=str)
def test_is_as_if_loaded_so(options: dict[str, Any], checkpoint: Path, clip: Path) -> None:
    captioner = Captioner(checkpoint, **options, alpha=8)
    captioner.answer(captioner.encode(clip), decoding=SHORT)  # the layers have been used
    for alpha in (64.0, 0.0, 8.0):
        fresh = Captioner(checkpoint, **options, alpha=alpha)
        assert captioner.set_alpha(alpha) and captioner.alpha == fresh.alpha == alpha
        if options == EXACT:
            found, wanted = weights(captioner), weights(fresh)
            assert found.keys() == wanted.keys()
            assert all(torch.equal(found[name], wanted[name]) for name in wanted)
        assert is_same(captioner, fresh, clip)
    assert not is_same(captioner, Captioner(checkpoint, **options, alpha=64), clip)


def test_of_an_adapter(tmp_path: Path, clip: Path) -> None:
    base = write_plain(tmp_path / "plain")
    adapter = write_adapter(tmp_path / "adapter", base, adapter_tensors(3))
    captioner = Captioner(adapter, base=base, alpha=2, **EXACT)
    assert captioner.set_alpha(16)
    assert is_same(captioner, Captioner(adapter, base=base, alpha=16, **EXACT), clip)


def test_without_lora_nothing_changes(tmp_path: Path, clip: Path) -> None:
    captioner = Captioner(write_plain(tmp_path / "plain"), **EXACT)
    before = state(captioner.encode(clip))
    assert not captioner.set_alpha(16) and captioner.alpha is None
    assert same(state(captioner.encode(clip)), before)


@pytest.mark.parametrize("alpha", [float("nan"), float("inf")])
def test_that_does_not_exist(alpha: float, checkpoint: Path, clip: Path) -> None:
    captioner = Captioner(checkpoint, **EXACT, alpha=8)
    before = state(captioner.encode(clip))
    with pytest.raises(UsageError, match="does not exist"):
        captioner.set_alpha(alpha)
    assert captioner.alpha == 8 and same(state(captioner.encode(clip)), before)


def test_files_that_have_gone(checkpoint: Path, tmp_path: Path) -> None:
    folder = copied(checkpoint, tmp_path / "gone")
    captioner = Captioner(folder, **EXACT)
    shutil.rmtree(folder)
    with pytest.raises(CheckpointError):
        captioner.set_alpha(16)


def test_clips_are_not_seen_anew(checkpoint: Path, clip: Path, tmp_path: Path) -> None:
    captioner = Captioner(checkpoint, **EXACT, alpha=8, visual_store=VisualStore(tmp_path / "visual"))
    captioner.encode(clip)
    assert captioner.set_alpha(64)
    assert captioner.decode(clip).visual is not None
    assert is_same(captioner, Captioner(checkpoint, **EXACT, alpha=64), clip)
