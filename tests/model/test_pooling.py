"""Average pooling against its definition, and the order of what comes out."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from pllava_cli.model.pooling import PooledProjector, Shape, fill_slots, pool


def windows(size: int, parts: int) -> list[range]:
    """Window i of m over n runs from floor(i*n/m) to ceil((i+1)*n/m)."""
    return [range(math.floor(i * size / parts), math.ceil((i + 1) * size / parts)) for i in range(parts)]


def averaged(grid: Tensor, shape: Shape) -> Tensor:
    """The definition, one window after another, in float64."""
    out = torch.empty(grid.shape[0], *shape, grid.shape[-1], dtype=torch.float64)
    spans = [windows(size, parts) for size, parts in zip(grid.shape[1:4], shape, strict=True)]
    for t, h, w in itertools.product(*(range(parts) for parts in shape)):
        total, count = torch.zeros(grid.shape[0], grid.shape[-1], dtype=torch.float64), 0
        for cell in itertools.product(spans[0][t], spans[1][h], spans[2][w]):
            total += grid[:, *cell].double()
            count += 1
        out[:, t, h, w] = total / count
    return out


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((4, 6, 6), (4, 6, 6)),
        ((4, 6, 6), (4, 3, 3)),
        ((4, 6, 6), (1, 1, 1)),
        ((4, 6, 6), (2, 5, 4)),
        ((5, 7, 7), (3, 4, 5)),
        ((4, 6, 4), (3, 4, 3)),
        ((2, 3, 3), (4, 3, 3)),
        ((1, 2, 2), (3, 5, 4)),
    ],
    ids=str,
)
def test_windows_follow_the_definition(size: Shape, shape: Shape) -> None:
    grid = torch.randn(2, *size, 3, generator=torch.Generator().manual_seed(0))
    pooled = pool(grid, shape)
    assert pooled.shape == (2, *shape, 3)
    assert torch.allclose(pooled.double(), averaged(grid, shape), atol=1e-6)


def test_equal_shape_changes_nothing() -> None:
    grid = torch.randn(1, 4, 6, 6, 3)
    assert torch.equal(pool(grid, (4, 6, 6)), grid)


@pytest.mark.parametrize("shape", [(4, 3, 3), (3, 4, 5), (2, 2, 2), (4, 6, 6)], ids=str)
@torch.inference_mode()
def test_pooling_commutes_with_the_second_layer(shape: Shape) -> None:
    torch.manual_seed(0)
    projector = PooledProjector(5, 8, "gelu", shape)
    patches = torch.randn(2, 4, 6, 6, 5)
    after = projector.linear_2(torch.nn.functional.gelu(projector.linear_1(patches)))
    assert torch.allclose(projector(patches), pool(after, shape).flatten(1, 3), atol=1e-5)


@torch.inference_mode()
def test_tokens_come_by_time_then_rows_then_columns() -> None:
    projector = PooledProjector(1, 1, "linear", (2, 3, 4))
    for layer in (projector.linear_1, projector.linear_2):
        layer.weight.fill_(1)
        layer.bias.zero_()
    t, h, w = torch.meshgrid(torch.arange(4), torch.arange(6), torch.arange(8), indexing="ij")
    place = (100 * (t // 2) + 10 * (h // 2) + (w // 2)).float()
    tokens = projector(place[None, ..., None])
    wanted = [100.0 * t + 10 * h + w for t, h, w in itertools.product(range(2), range(3), range(4))]
    assert tokens[0, :, 0].tolist() == wanted


def test_clips_of_a_batch_do_not_mix() -> None:
    grid = torch.randn(3, 4, 6, 6, 2)
    together = pool(grid, (2, 3, 3))
    assert all(torch.equal(together[i : i + 1], pool(grid[i : i + 1], (2, 3, 3))) for i in range(3))


class TestFillingSlots:
    @pytest.mark.parametrize(
        ("count", "slots", "wanted"),
        [
            (1, 4, [0, 0, 0, 0]),
            (2, 4, [0, 0, 0, 1]),
            (3, 4, [0, 0, 1, 1]),
            (4, 4, [0, 1, 2, 3]),
            (9, 4, [0, 1, 2, 3]),
            (5, 16, [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4),
            (8, 16, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5]),
        ],
    )
    def test_frames_are_repeated_in_order(self, count: int, slots: int, wanted: list[int]) -> None:
        assert fill_slots(count, slots) == wanted

    def test_every_slot_is_filled_for_any_count(self) -> None:
        for count, slots in itertools.product(range(1, 40), range(1, 20)):
            filled = fill_slots(count, slots)
            assert len(filled) == slots
            assert filled == sorted(filled)
            assert filled[0] == 0
            assert filled[-1] < count
