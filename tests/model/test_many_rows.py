"""Products of many rows: those of the layer as it is, up to the rounding of its precision."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pllava_cli.model import cpu as cpu_module
from pllava_cli.model import many_rows, packed
from pllava_cli.model.eight_bits import EightBitLinear
from pllava_cli.model.loading import Loaded, load
from pllava_cli.model.many_rows import MANY_ROWS, WideLinear
from pllava_cli.model.options import LoadOptions
from pllava_cli.model.packed import Packed4bit, order_is_known, unpacked
from pllava_cli.model.quantization import bitsandbytes, pack, replace_linears

SHAPES = [(64, 64), (96, 128), (160, 64), (32, 192)]
"""Outputs and inputs that bitsandbytes reorders on a CPU with AVX512-BF16."""
ODD = [(48, 64), (64, 96), (33, 64)]
"""Those that it cannot."""
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
HALF_ULP = {torch.float32: 2**-24, torch.bfloat16: 2**-9, torch.float16: 2**-12}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer(
    shape: tuple[int, int],
    dtype: torch.dtype = torch.float32,
    wide: torch.dtype | None = torch.float32,
    *,
    bias: bool = False,
) -> Any:
    """A packed layer inside of a network, as loading makes it."""
    outputs, inputs = shape
    network = nn.Module()
    network.add_module("model", nn.Module())
    network.model.add_module("language_model", nn.Module())
    network.model.language_model.add_module("layers", nn.ModuleList([nn.Linear(inputs, outputs, bias=bias)]))
    replace_linears(network, "4bit", dtype, wide)
    (made,) = network.model.language_model.layers
    pack(made, noise(outputs, inputs, seed=1).to(dtype), torch.device("cpu"))
    if bias:
        made.bias = nn.Parameter(noise(outputs, seed=2).to(dtype), requires_grad=False)
    return made.eval()


def few_at_a_time(made: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What the library makes of the rows."""
    return torch.cat([made(some) for some in x.split(MANY_ROWS - 1)])


def relative(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Root mean square of the difference, as a share of the spread."""
    return float((ours.float() - theirs.float()).pow(2).mean().sqrt() / theirs.float().std())


@torch.inference_mode()
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("wide", DTYPES, ids=str)
@pytest.mark.parametrize("bias", [False, True])
def test_packed_layer_gives_what_the_library_gives(dtype: torch.dtype, wide: torch.dtype, bias: bool) -> None:
    made = layer((96, 128), dtype, wide, bias=bias)
    x = noise(2, MANY_ROWS, 128).to(dtype)
    ours = made(x)
    assert (ours.dtype, ours.shape) == (dtype, (2, MANY_ROWS, 96))
    # The library multiplies single rows in bf16 where it has reordered the weight, whatever they come in.
    exact = 2**-9 if packed._is_reordered(made) else HALF_ULP[dtype]
    theirs = few_at_a_time(made, x.flatten(0, 1))
    assert relative(ours.flatten(0, 1), theirs) < 4 * max(exact, HALF_ULP[dtype], HALF_ULP[wide])


@torch.inference_mode()
@pytest.mark.parametrize("shape", [*SHAPES, *ODD], ids=str)
def test_unpacked_weight_is_the_librarys_own(shape: tuple[int, int]) -> None:
    made = layer(shape)
    before = bitsandbytes().functional.dequantize_4bit(made.weight.data, made.weight.quant_state)
    assert torch.equal(unpacked(made, torch.float32), before)
    made(noise(1, shape[1]))  # where the CPU has the units, this reorders it
    after = unpacked(made, torch.float32)
    torch.testing.assert_close(after, before, rtol=2**-8 if packed._is_reordered(made) else 0, atol=0)


@torch.inference_mode()
@pytest.mark.parametrize("shape", ODD, ids=str)
def test_shapes_that_cannot_be_reordered_are_multiplied_as_they_are(shape: tuple[int, int]) -> None:
    made = layer(shape)
    x = noise(MANY_ROWS, shape[1])
    assert relative(made(x), few_at_a_time(made, x)) < 1e-6
    assert not packed._is_reordered(made)


@torch.inference_mode()
def test_first_clip_sees_the_weights_that_all_others_see() -> None:
    """Reordering rounds the scales; it must not come between two encodings of one clip."""
    made, x = layer((96, 128)), noise(MANY_ROWS, 128)
    first = made(x)
    made(x[:1])
    assert torch.equal(made(x), first)


@torch.inference_mode()
def test_few_rows_are_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("unpacked")

    made, x = layer((96, 128)), noise(MANY_ROWS - 1, 128)
    monkeypatch.setattr(packed, "unpacked", refuse)
    made(x)
    with pytest.raises(AssertionError, match="unpacked"):
        made(noise(MANY_ROWS, 128))


@torch.inference_mode()
def test_order_that_is_not_known_is_left_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    made, x = layer((96, 128)), noise(MANY_ROWS, 128)
    made(x[:1])
    if not packed._is_reordered(made):
        pytest.skip("bitsandbytes reorders no weights on this CPU")
    plain = packed.bnb.nn.Linear4bit.forward(made, x)
    assert not torch.equal(made(x), plain)
    monkeypatch.setattr(packed, "order_is_known", lambda: False)
    assert torch.equal(made(x), plain)


def test_order_is_checked_against_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    made = layer((64, 128))
    with torch.inference_mode():
        made(noise(1, 128))
    if not packed._is_reordered(made):
        pytest.skip("bitsandbytes reorders no weights on this CPU")
    order_is_known.cache_clear()
    assert order_is_known()
    order_is_known.cache_clear()
    monkeypatch.setattr(packed, "_in_order", lambda weight: weight)
    assert not order_is_known()
    order_is_known.cache_clear()


def test_gradients_are_the_librarys() -> None:
    made, x = layer((96, 128)), noise(MANY_ROWS, 128).requires_grad_()
    made(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad[0], unpacked(made, torch.float32).sum(0), rtol=1e-4, atol=1e-4)


def test_no_precision_for_many_rows_means_the_librarys_layer() -> None:
    assert type(layer((64, 64), wide=None)) is bitsandbytes().nn.Linear4bit
    assert type(layer((64, 64))) is Packed4bit


class TestWideLinear:
    @pytest.fixture
    def pair(self) -> tuple[nn.Linear, WideLinear]:
        plain = nn.Linear(128, 96, dtype=torch.bfloat16)
        wide = WideLinear(128, 96, dtype=torch.bfloat16)
        wide.load_state_dict(plain.state_dict())
        return plain, wide

    @torch.inference_mode()
    def test_many_rows_are_as_exact_as_fp32(self, pair: tuple[nn.Linear, WideLinear]) -> None:
        plain, wide = pair
        x = noise(2, MANY_ROWS, 128).bfloat16()
        exact = copy.deepcopy(plain).float()(x.float())
        assert torch.equal(wide(x), exact.bfloat16())
        assert relative(wide(x), plain(x)) < 2**-8

    def test_few_rows_and_training_are_as_they_were(self, pair: tuple[nn.Linear, WideLinear]) -> None:
        plain, wide = pair
        few, many = noise(MANY_ROWS - 1, 128).bfloat16(), noise(MANY_ROWS, 128).bfloat16()
        with torch.inference_mode():
            assert torch.equal(wide(few), plain(few))
        assert torch.equal(wide(many), plain(many))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(wide(many), plain(many))


class TestLoading:
    @pytest.fixture
    def slow_in_16_bits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cpu_module, "times_of_fp32", lambda dtype, layer: 2.0)

    @pytest.fixture
    def fast_in_16_bits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cpu_module, "times_of_fp32", lambda dtype, layer: 0.4)

    @staticmethod
    def kinds(loaded: Loaded) -> set[type]:
        return {type(each) for each in loaded.model.modules() if isinstance(each, nn.Linear)}

    @pytest.mark.usefixtures("slow_in_16_bits")
    def test_all_but_the_head_are_wide(self, plain: Path) -> None:
        loaded = load(plain, LoadOptions(device="cpu", dtype="bf16", quantize="none"))
        assert self.kinds(loaded) == {nn.Linear, WideLinear}
        assert [n for n, m in loaded.model.named_modules() if type(m) is nn.Linear] == ["lm_head"]
        assert {value.dtype for value in loaded.model.parameters()} == {torch.bfloat16}

    @pytest.mark.usefixtures("slow_in_16_bits")
    def test_packed_ones_multiply_many_rows_in_fp32(self, plain: Path) -> None:
        loaded = load(plain, LoadOptions(device="cpu", dtype="bf16", quantize="4bit"))
        assert self.kinds(loaded) == {nn.Linear, WideLinear, Packed4bit}
        found = [each for each in loaded.model.modules() if isinstance(each, Packed4bit)]
        assert {each.many_rows for each in found} == {torch.float32}
        assert {each.compute_dtype for each in found} == {torch.bfloat16}

    @pytest.mark.usefixtures("fast_in_16_bits")
    def test_fast_16_bits_are_left_alone(self, plain: Path) -> None:
        loaded = load(plain, LoadOptions(device="cpu", dtype="bf16", quantize="4bit"))
        assert self.kinds(loaded) == {nn.Linear, Packed4bit}
        found = [each for each in loaded.model.modules() if isinstance(each, Packed4bit)]
        assert {each.many_rows for each in found} == {torch.bfloat16}

    @pytest.mark.parametrize("quantize", ["none", "4bit", "8bit"])
    @torch.inference_mode()
    def test_in_eight_bits_the_tower_and_packed_layers_multiply_many_rows(
        self, quantize: str, plain: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        options = LoadOptions(device="cpu", dtype="fp32", quantize=quantize, encode="int8")
        model = load(plain, options).model
        kinds = {name: type(each) for name, each in model.named_modules() if isinstance(each, nn.Linear)}
        exact = {name for name, kind in kinds.items() if kind is nn.Linear}
        assert exact == {"lm_head"} | {name for name in kinds if "projector" in name}
        tower = [each for each in model.modules() if type(each) is EightBitLinear]
        assert tower and {each.weight.dtype for each in tower} == {torch.float32}
        found = [each for each in model.modules() if isinstance(each, Packed4bit)]
        assert {each.many_rows for each in found} == ({torch.int8} if quantize == "4bit" else set())
        ids = torch.arange(300, 300 + MANY_ROWS)[None] % 390
        ours = model(input_ids=ids).logits
        monkeypatch.setattr(many_rows, "MANY_ROWS", 10**9)
        theirs = model(input_ids=ids).logits
        assert relative(ours, theirs) < 0.03
        assert torch.equal(ours, theirs) == (quantize == "8bit")  # whose products stay the library's

    @pytest.mark.usefixtures("slow_in_16_bits")
    @pytest.mark.parametrize("quantize", ["none", "4bit", "8bit"])
    @torch.inference_mode()
    def test_logits_stay_near(self, quantize: str, plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ids = torch.arange(300, 300 + MANY_ROWS)[None] % 390
        wide = load(plain, LoadOptions(device="cpu", dtype="bf16", quantize=quantize)).model
        ours = wide(input_ids=ids).logits
        monkeypatch.setattr(many_rows, "MANY_ROWS", 10**9)
        theirs = wide(input_ids=ids).logits
        assert relative(ours, theirs) < 0.03
        if quantize == "8bit":  # whose products stay the library's
            assert torch.equal(ours, theirs)
