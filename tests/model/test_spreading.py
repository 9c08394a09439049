"""A model over several devices: which layer lies where, and that what layers work on follows them.

No test machine has several GPUs. The second device here is torch's "meta", which computes shapes only and
mixes with no other device.
"""

import pytest
import torch
from torch import nn

from benchmarks.random_checkpoint import SHAPES, config
from pllava_cli.model.batching import _allocated
from pllava_cli.model.config import read_config
from pllava_cli.model.empty import empty_model
from pllava_cli.model.generation import prefill
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.spreading import connect, split


class TestSplit:
    @pytest.mark.parametrize(
        ("rooms", "places"),
        [
            ({"a": 14}, "aaaa"),
            ({"a": 12, "b": 12}, "aaaa"),
            ({"a": 8, "b": 8}, "aabb"),
            ({"a": 6, "b": 8}, "bbaa"),
            ({"a": 7, "b": 5, "c": 4}, "abbc"),
            ({"a": 4, "b": 4, "c": 4, "d": 3}, "bbcc"),
            ({"a": 8, "b": 3}, None),
            ({"a": 3, "b": 3, "c": 3, "d": 3, "e": 3}, None),
        ],
        ids=str,
    )
    def test_four_layers_of_two_beside_four(self, rooms: dict[str, int], places: str | None) -> None:
        found = split(4, 2, 4, rooms)
        assert (None if found is None else "".join(found)) == places


def over_two_devices() -> PllavaForConditionalGeneration:
    """The tiny network: all on the CPU, but the second layer and what comes after it on "meta"."""
    model = empty_model(read_config(dict(config(SHAPES["tiny"])), None, None)).eval()
    far = ("model.language_model.layers.1.", "model.language_model.norm.", "lm_head.")
    for name, parameter in list(model.named_parameters()):
        if not name.startswith(far):
            owner, _, attribute = name.rpartition(".")
            here = nn.Parameter(torch.zeros(parameter.shape), requires_grad=False)
            setattr(model.get_submodule(owner), attribute, here)
    return model


def placed(model: PllavaForConditionalGeneration) -> tuple[list[str], str]:
    """Where the cache's layers and the logits are after a prefill and a token."""
    cache = _allocated(model, 1, 40)
    ids = torch.tensor([[1, 270, 280]])
    prefill(model, cache, model.embed(ids))
    output = model(input_ids=ids[:, :1], cache=cache, use_cache=True, logits_to_keep=1)
    assert cache.length == 4
    return [layer.keys.device.type for layer in cache.layers], output.logits.device.type


@torch.inference_mode()
def test_what_layers_work_on_follows_them() -> None:
    model = over_two_devices()
    language_model = model.model.language_model
    connect(model, language_model.layers, language_model.norm)
    assert placed(model) == (["cpu", "meta"], "meta")


@torch.inference_mode()
def test_without_that_they_would_not_meet() -> None:
    with pytest.raises(RuntimeError, match="device"):
        placed(over_two_devices())


def test_one_device_needs_nothing() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    connect(model, [model[0]], model[1])
    assert not any(module._forward_pre_hooks for module in model)
