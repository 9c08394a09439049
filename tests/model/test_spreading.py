"""A model over several devices: which layer lies where, and that what layers work on follows them.

No test machine has several GPUs. The second device here is torch's "meta", which computes shapes only and
mixes with no other device.
"""

import pytest
import torch
from torch import nn

from benchmarks.random_checkpoint import SHAPES, config
from pllava_cli.errors import DeviceError
from pllava_cli.model import device as device_module
from pllava_cli.model.batching import _allocated
from pllava_cli.model.config import read_config
from pllava_cli.model.device import DeviceInfo
from pllava_cli.model.empty import empty_model
from pllava_cli.model.footprint import Footprint
from pllava_cli.model.generation import prefill
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.placing import choose
from pllava_cli.model.spreading import connect, split

GB = 1_000_000_000


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


class TestChoice:
    NEED = Footprint(quantizable=30 * GB, other=2 * GB, working=GB, layers=30)
    """About 66 GB in bf16, 21.6 in 4 bits."""

    def has(self, monkeypatch: pytest.MonkeyPatch, cpu: float, *cuda: float) -> None:
        found = [DeviceInfo("cuda", f"GPU {i}", 80 * GB, int(free * GB)) for i, free in enumerate(cuda)]
        found.append(DeviceInfo("cpu", "2 threads", 99 * GB, int(cpu * GB)))
        monkeypatch.setattr(device_module, "devices", lambda: found)
        monkeypatch.setattr(device_module, "quantization_backend", lambda: (True, "bitsandbytes 1.0"))
        monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: True)

    def test_one_gpu_if_it_fits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.has(monkeypatch, 90, 40, 40)
        plan = choose(self.NEED)
        assert (plan.device, plan.quantize, plan.layers) == ("cuda:0", "4bit", ())

    def test_several_if_not_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.has(monkeypatch, 90, 40, 44)
        plan = choose(self.NEED, quantize="none")
        assert (plan.device, plan.quantize) == ("cuda:1", "none")
        assert plan.layers == ("cuda:1",) * 17 + ("cuda:0",) * 13
        assert plan.reasons == ("bf16 fits on no GPU alone, but on cuda:1, cuda:0",)
        assert plan.device_of("model.language_model.layers.16.mlp.up_proj.weight") == "cuda:1"
        assert plan.device_of("model.language_model.layers.17.mlp.up_proj.weight") == "cuda:0"
        for name in ("lm_head.weight", "model.vision_tower.encoder.layers.20.mlp.fc1.weight"):
            assert plan.device_of(name) == "cuda:1"

    def test_packed_over_several_before_the_cpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.has(monkeypatch, 90, 14, 14)
        plan = choose(self.NEED)
        assert (plan.quantize, set(plan.layers)) == ("4bit", {"cuda:0", "cuda:1"})

    def test_cpu_if_not_on_all_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.has(monkeypatch, 90, 6, 6)
        assert choose(self.NEED).device == "cpu"

    def test_named_device_is_the_only_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.has(monkeypatch, 90, 40, 44)
        with pytest.raises(DeviceError, match="cuda:1 has 44"):
            choose(self.NEED, "cuda:1", quantize="none")


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
