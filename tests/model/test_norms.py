"""Norms of one kernel: what the library's give, and in every step of a model that has been loaded."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from pllava_cli import Captioner
from pllava_cli.model.cache import PrefixCache
from pllava_cli.model.generation import step
from pllava_cli.model.norms import FusedNorm

WIDTH = 96


def norms(dtype: torch.dtype) -> tuple[FusedNorm, LlamaRMSNorm]:
    ours, theirs = FusedNorm(WIDTH, 1e-5), LlamaRMSNorm(WIDTH, 1e-5)
    weight = torch.randn(WIDTH, generator=torch.Generator().manual_seed(0))
    for each in (ours, theirs):
        each.load_state_dict({"weight": weight})
        each.to(dtype)
    return ours, theirs


def some(dtype: torch.dtype) -> torch.Tensor:
    return (30 * torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(1))).to(dtype)


def test_in_float32_it_gives_the_librarys_numbers() -> None:
    ours, theirs = norms(torch.float32)
    with torch.inference_mode():
        torch.testing.assert_close(ours(some(torch.float32)), theirs(some(torch.float32)), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_in_16_bits_it_is_no_further_from_the_truth(dtype: torch.dtype) -> None:
    ours, theirs = norms(dtype)
    exact, _ = (each.double() for each in norms(dtype))
    x = some(dtype)
    with torch.inference_mode():
        assert ours(x).dtype == dtype
        errors = [
            (each(x).double() - LlamaRMSNorm.forward(exact, x.double())).abs().mean()
            for each in (ours, theirs)
        ]
    assert errors[0] <= errors[1]


def test_in_training_and_between_precisions_it_is_the_librarys() -> None:
    ours, theirs = norms(torch.bfloat16)
    x = some(torch.bfloat16)
    assert ours(x).equal(theirs(x))
    with torch.inference_mode():
        assert ours(x.float()).equal(theirs(x.float()))


class Operations(TorchDispatchMode):
    """Counts what reaches torch."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: Counter[str] = Counter()

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counted[operation.overloadpacket.__name__] += 1
        return operation(*args, **(kwargs or {}))


def test_a_step_has_no_other_norms(captioner: Captioner) -> None:
    layers = captioner.model.config.text_config.num_hidden_layers
    with Operations() as operations:
        step(captioner.model, PrefixCache(layers), [[1]])
    assert operations.counted["rms_norm"] == 2 * layers + 1
    assert operations.counted["rsqrt"] == 0
