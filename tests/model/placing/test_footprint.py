"""The memory and the work that a model takes."""

from math import prod

import pytest

from benchmarks.random_checkpoint import SHAPES, config
from pllava_cli.model.config import PllavaConfig, read_config
from pllava_cli.model.empty import empty_model, shapes_of
from pllava_cli.model.footprint import Footprint, footprint, footprint_of
from pllava_cli.model.quantization import quantizable
from tests.model.placing.conftest import GB, SEVEN_B


def config_of(name: str, pooling_shape: tuple[int, int, int] | None = None) -> PllavaConfig:
    return read_config(dict(config(SHAPES[name])), None, pooling_shape)


class TestFootprint:
    def test_bytes_by_precision(self) -> None:
        need = Footprint(quantizable=1000, other=100, working=10)
        assert need.bytes("fp32", "none") == 4440
        assert need.bytes("bf16", "none") == 2220
        assert need.bytes("bf16", "4bit") == 520 + 220
        assert need.bytes("fp32", "8bit") == 1010 + 440

    def test_one_layer_is_widened_at_a_time(self) -> None:
        need = Footprint(quantizable=1000, other=100, working=10, layer=(7, 20, 5))
        assert need.bytes("fp32", "none") == 4440
        assert need.bytes("bf16", "none") == 2220 + 400
        assert need.bytes("bf16", "4bit") == 520 + 220 + 400

    def test_of_the_7b_is_what_its_parts_sum_to(self) -> None:
        made = config_of("7b")
        model = empty_model(made)
        need = footprint(made, shapes_of(model), {f"{name}.weight" for name in quantizable(model)})
        assert need.quantizable == 32 * (4 * 4096**2 + 3 * 4096 * 11008)
        head_and_embeddings = 2 * 32064 * 4096
        assert 0 < need.other - head_and_embeddings < 330_000_000  # CLIP-L is 300 million
        layers = need.quantizable * 2304  # each visual token
        tower = 16 * 576 * 300_000_000  # each patch
        assert need.products == pytest.approx(layers + tower, rel=0.02)
        cache = 2 * 32 * 4096 * (2304 + 512)
        assert 0 < need.working - cache < 100_000_000
        assert need.layer == (2304, 4096, 11008)
        assert need.bytes("bf16", "none") == pytest.approx(15.7 * GB, rel=0.02)

    def test_of_what_the_registry_says(self) -> None:
        """In precisions that it has no column for too."""
        columns = {"bf16": 15.7, "int8": 9.3, "nf4": 6.1}
        found, exact = footprint_of(columns), SEVEN_B
        for dtype, quantize in (("bf16", "none"), ("bf16", "8bit"), ("bf16", "4bit"), ("fp32", "none")):
            assert found.bytes(dtype, quantize) == pytest.approx(exact.bytes(dtype, quantize), rel=0.01)
        assert found.bytes("fp32", "4bit") == pytest.approx(exact.bytes("fp32", "4bit"), rel=0.02)
        assert found.bytes("fp32", "4bit") > 1.4 * found.bytes("bf16", "4bit")

    def test_of_a_registry_that_makes_no_sense(self) -> None:
        for columns in ({"bf16": 1.0, "nf4": 2.0}, {"bf16": 2.0, "nf4": 0.0}, {"bf16": 0.0, "nf4": 0.0}):
            found = footprint_of(columns)
            assert found.quantizable >= 0 and found.other >= 0

    def test_fewer_visual_tokens_need_less(self) -> None:
        def working(shape: tuple[int, int, int]) -> int:
            found = footprint(config_of("7b", shape), {}, set()).working
            asked = footprint(config_of("7b"), {}, set(), visual_tokens=prod(shape)).working
            assert asked == found
            return found

        assert working((4, 12, 12)) < working((16, 12, 12))
        per_token = (working((16, 12, 12)) - working((4, 12, 12))) / (12 * 144)
        assert per_token == 2 * 32 * 4096
