"""Products in 8 bits: near those in float32, with outliers as exact as these."""

import weakref

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pllava_cli.model.eight_bits import OUTLIER, EightBitLinear, multiply


def noise(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def error(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(700, 160, 96), (513, 64, 1030), (128, 96, 33)])
def test_a_product_is_near_the_exact_one(rows: int, inputs: int, outputs: int) -> None:
    x, weight, bias = noise(rows, inputs), noise(outputs, inputs, seed=1), noise(outputs, seed=2)
    exact = functional.linear(x, weight, bias)
    assert error(multiply(x, weight, bias), exact) < 0.02


def test_columns_with_outliers_are_exact() -> None:
    x, weight = noise(600, 64), noise(48, 64, seed=1)
    x[:, 5] *= 1000
    x[17, 9] = 2 * OUTLIER
    exact = functional.linear(x, weight)
    kept = x.index_select(1, torch.tensor([5, 9])) @ weight.index_select(1, torch.tensor([5, 9])).T
    # Without them apart, all other columns would be rounded away.
    assert error(multiply(x, weight) - kept, exact - kept) < 0.02


def test_rows_and_weights_of_zeros_give_zeros() -> None:
    assert not multiply(torch.zeros(200, 64), noise(32, 64)).any()
    assert not multiply(noise(200, 64), torch.zeros(32, 64)).any()


def test_what_is_no_number_stays_none() -> None:
    x = noise(200, 64)
    x[3, 4], x[5, 6] = float("nan"), float("inf")
    output = multiply(x, noise(32, 64))
    assert output[3].isnan().all() and not output[5].isfinite().any() and output[0].isfinite().all()


def test_neither_input_nor_weight_is_changed_and_shape_and_precision_are_kept() -> None:
    x, weight = noise(3, 100, 64).bfloat16(), noise(32, 64)
    x[0, 0, 0] = 50
    before, weight_before = x.clone(), weight.clone()
    output = multiply(x, weight)
    assert output.shape == (3, 100, 32) and output.dtype == torch.bfloat16
    assert torch.equal(x, before) and torch.equal(weight, weight_before)


def test_few_rows_and_training_are_left_exact() -> None:
    layer = EightBitLinear(64, 32)
    few, many = noise(1, 64), noise(300, 64)
    plain = functional.linear(many, layer.weight, layer.bias)
    assert torch.equal(layer(many), plain)  # gradients are wanted
    with torch.inference_mode():
        assert torch.equal(layer(few), functional.linear(few, layer.weight, layer.bias))
        assert 0 < error(layer(many), plain) < 0.02


def test_another_weight_takes_the_place_of_the_first_whole() -> None:
    layer, x = EightBitLinear(64, 32, bias=False), noise(300, 64)
    with torch.inference_mode():
        layer(x)
        first = weakref.ref(layer.weight)
        layer.weight = nn.Parameter(noise(32, 64, seed=1), requires_grad=False)
        assert first() is None  # else two models are in memory while one is merged anew
        assert torch.equal(layer(x), multiply(x, layer.weight))
