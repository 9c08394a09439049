"""Merging over time: what is left of still and of changing places, how many, in which order, at what loss."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pllava_cli.model.thinning import STEPS, cut, loss_of_runs, thin


def random_grid(slots: int, places: int, width: int = 8, seed: int = 0) -> Tensor:
    return torch.randn(slots, places, width, generator=torch.Generator().manual_seed(seed))


def still(slots: int, places: int, width: int = 8) -> Tensor:
    """The same tokens in every slot."""
    return random_grid(1, places, width).repeat(slots, 1, 1)


def thinned(grid: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The tokens, and where each stands."""
    tokens, widths = thin(grid, keep)
    assert int(widths.sum()) == grid.shape[0] * grid.shape[1]
    return tokens, widths.cumsum(0) - widths


def runs_of(is_start_T: np.ndarray) -> list[tuple[int, int]]:
    starts = [int(each) for each in np.flatnonzero(is_start_T)]
    return list(itertools.pairwise([*starts, len(is_start_T)]))


class TestWhatIsLeft:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
    def test_all_of_them_are_what_they_were(self, dtype: torch.dtype) -> None:
        grid = random_grid(4, 6).to(dtype)
        tokens, starts = thinned(grid, 24)
        assert torch.equal(tokens, grid.flatten(0, 1))
        assert starts.tolist() == list(range(24))

    @pytest.mark.parametrize("slots", [2, 3, 16])
    def test_equal_frames_become_one(self, slots: int) -> None:
        grid = still(slots, 6)
        tokens, starts = thinned(grid, 6)
        assert torch.allclose(tokens, grid[0], atol=1e-6)
        assert starts.tolist() == list(range(6))

    def test_what_changes_is_kept_bit_for_bit(self) -> None:
        grid = still(8, 6).bfloat16()
        grid[:, 2] = random_grid(8, 1, seed=1)[:, 0].bfloat16()
        tokens, starts = thinned(grid, 5 + 8)
        assert starts.tolist() == [0, 1, 2, 3, 4, 5, *range(8, 48, 6)]
        assert tokens.dtype == torch.bfloat16
        assert torch.equal(tokens[starts % 6 == 2], grid[:, 2])

    def test_what_comes_and_goes_is_three_runs(self) -> None:
        """Neither cut gains much alone, which is what a greedy choice would look at."""
        grid = still(8, 4)
        grid[3:5, 1] = random_grid(1, 1, seed=1)[0, 0]
        tokens, starts = thinned(grid, 6)
        assert starts.tolist() == [0, 1, 2, 3, 3 * 4 + 1, 5 * 4 + 1]
        assert torch.allclose(tokens, torch.stack([*grid[0], grid[3, 1], grid[5, 1]]), atol=1e-6)

    def test_runs_are_averages_in_order_of_time_and_place(self) -> None:
        grid = random_grid(5, 4)
        is_start_PT = cut(loss_of_runs(grid), 11)
        wanted = sorted(
            (first, place, grid[first:end, place].mean(0).tolist())
            for place in range(4)
            for first, end in runs_of(is_start_PT[place])
        )
        tokens, starts = thinned(grid, 11)
        assert starts.tolist() == [first * 4 + place for first, place, _ in wanted]
        assert torch.allclose(tokens, torch.tensor([mean for *_, mean in wanted]), atol=1e-6)

    @pytest.mark.parametrize(("slots", "places"), [(1, 5), (2, 1), (7, 3), (16, 9)])
    def test_there_are_exactly_as_many_as_asked_for(self, slots: int, places: int) -> None:
        for grid in (random_grid(slots, places), still(slots, places), torch.zeros(slots, places, 8)):
            for keep in range(places, slots * places + 1):
                tokens, starts = thinned(grid, keep)
                assert tokens.shape == (keep, 8)
                assert len({*starts.tolist()}) == keep
                assert {*starts[:places].tolist()} == {*range(places)}

    def test_overflow_is_passed_on(self) -> None:
        grid = random_grid(4, 6)
        grid[1, 2, 3] = float("inf")
        grid[2, 4] = float("nan")
        tokens, starts = thinned(grid, 20)
        assert tokens.shape == (20, 8) and len({*starts.tolist()}) == 20
        assert not tokens.isfinite().all() and tokens[starts % 6 == 0].isfinite().all()


class TestChoice:
    def test_losses_are_squared_distances_from_the_average(self) -> None:
        grid = random_grid(5, 2)
        losses, unit = loss_of_runs(grid), functional.normalize(grid, dim=-1).double()
        for place, first, end in itertools.product(range(2), range(5), range(6)):
            run = unit[first:end, place]
            if len(run):
                wanted = float((run - run.mean(0)).square().sum())
                assert losses[place, first, end] / STEPS == pytest.approx(wanted, abs=1e-5)

    @pytest.mark.parametrize("seed", range(3))
    def test_no_other_choice_loses_less(self, seed: int) -> None:
        slots, places = 4, 2
        losses = loss_of_runs(random_grid(slots, places, width=3, seed=seed))

        def lost(is_start_PT: np.ndarray) -> int:
            runs = [(p, *run) for p, row in enumerate(is_start_PT) for run in runs_of(row)]
            return sum(int(losses[each]) for each in runs)

        least: dict[int, int] = {}
        for inner in itertools.product([False, True], repeat=(slots - 1) * places):
            is_start_PT = np.array(inner).reshape(places, slots - 1)
            is_start_PT = np.concatenate([np.ones((places, 1), dtype=np.bool_), is_start_PT], axis=1)
            keep = int(is_start_PT.sum())
            least[keep] = min(least.get(keep, 1 << 62), lost(is_start_PT))
        assert {keep: lost(cut(losses, keep)) for keep in least} == least

    def test_length_of_tokens_does_not_count(self) -> None:
        grid = random_grid(6, 3)
        scaled = grid * torch.tensor([0.1, 1.0, 30.0])[:, None]
        assert (cut(loss_of_runs(grid), 9) == cut(loss_of_runs(scaled), 9)).all()

    def test_noise_of_a_product_decides_nothing(self) -> None:
        grid = still(8, 4, width=64)
        grid[4:, 1] = random_grid(1, 1, 64, seed=1)[0, 0]
        wanted = cut(loss_of_runs(grid), 12)
        for seed in range(5):
            noise = 1e-6 * random_grid(8, 4, 64, seed)
            assert (cut(loss_of_runs(grid + noise), 12) == wanted).all()
