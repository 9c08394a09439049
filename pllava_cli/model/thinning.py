"""Fewer visual tokens without training: what stays the same over time is told once.

The tokens of each place of the frame, in temporal order, are cut into runs, and each run becomes its
average. How many runs there are in all is fixed, how many a place gets is not: a still background is left
with one token, and what is saved there goes where something moves. Source of the idea: PruneVid, arXiv
2412.16117, whose first step merges what is static between the scenes it finds.

Four things differ. There are exactly as many tokens as asked for, in place of a threshold of likeness, so
that the clips of a batch stay equally long. Which runs they are is the best choice there is: no other
averages are nearer to the tokens. Nothing is merged within a frame: that is what the pooling shape is for.
And nothing is dropped for what the question attends to, PruneVid's last step: a clip is encoded once for
all its questions, and a choice made for each would mean a prefill for each.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

STEPS = 1 << 20
"""Losses are counted in whole steps of this part of a unit vector's square: rounding errors of a product
must not decide between runs that lose nothing."""
NEVER = 1 << 60
"""A loss that no choice has."""

Losses = NDArray[np.int64]


def thin(grid_TPD: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """Replace the tokens of one clip by the averages of runs in which little changes.

    Args:
        grid_TPD: Visual tokens of T temporal slots and P places.
        keep: How many to leave, from P to T * P; T * P leaves them as they are.

    Returns:
        The tokens [keep, D], each where the first of its run stood, and [keep] how many of the T * P
        positions there are from each of these to the next.
    """
    slots, places, width = grid_TPD.shape
    device = grid_TPD.device
    if keep == slots * places:
        return grid_TPD.flatten(0, 1), torch.ones(keep, dtype=torch.int64, device=device)
    is_start_TP = cut(loss_of_runs(grid_TPD), keep).T
    # In which slot the run began that a slot of a place belongs to, and which of all runs that is.
    began_TP = np.maximum.accumulate(np.where(is_start_TP, np.arange(slots)[:, None], 0))
    number_TP = is_start_TP.cumsum().reshape(slots, places) - 1
    run_TP = torch.from_numpy(number_TP[began_TP, np.arange(places)]).to(device)
    sums_KD = torch.zeros(keep, width, device=device)
    for run_P, grid_PD in zip(run_TP, grid_TPD, strict=True):  # a slot has a run once: no two add at a time
        sums_KD[run_P] += grid_PD.float()
    lengths_K = torch.bincount(run_TP.flatten(), minlength=keep)
    widths_K = torch.from_numpy(np.diff(np.flatnonzero(is_start_TP), append=slots * places))
    return (sums_KD / lengths_K[:, None]).to(grid_TPD), widths_K.to(device)


def loss_of_runs(grid_TPD: Tensor) -> Losses:
    """What each run of slots would lose [P, T, T + 1]: from slot i up to but not slot j, at each place.

    It is the sum of squared distances of the run's tokens from their average, as unit vectors: the language
    model's first act is to divide their lengths out.
    """
    slots, places, _ = grid_TPD.shape
    # Half precision may overflow; what comes of it is for the answer to show, and no reason to fail here.
    unit_TPD = functional.normalize(grid_TPD.float(), dim=-1).nan_to_num()
    unit_TPD = unit_TPD - unit_TPD.mean(0)  # changes no distance, and keeps the products' digits
    products_PTT = torch.einsum("ipd,jpd->pij", unit_TPD, unit_TPD).cpu().double().numpy()
    summed = np.zeros((places, slots + 1, slots + 1))
    summed[:, 1:, 1:] = products_PTT.cumsum(1).cumsum(2)
    squares = np.zeros((places, slots + 1))
    squares[:, 1:] = products_PTT.diagonal(axis1=1, axis2=2).cumsum(1)
    first, last = np.meshgrid(np.arange(slots), np.arange(slots + 1), indexing="ij")
    within = summed[:, last, last] - summed[:, first, last] - summed[:, last, first] + summed[:, first, first]
    losses = squares[:, last] - squares[:, first] - within / np.maximum(last - first, 1)
    return np.where(last > first, np.rint(losses * STEPS), NEVER).astype(np.int64)


def cut(losses_PTT: Losses, keep: int) -> NDArray[np.bool_]:
    """Where runs begin [P, T], `keep` in all, so that the sum of what they lose is the least possible.

    Exact and not greedy, because two cuts may gain what neither gains alone: something passes a place.
    """
    places, slots, _ = losses_PTT.shape
    # What the best m runs lose that cover the first j slots of a place, and where the last of them begins.
    best_PT = losses_PTT[:, 0]
    in_all, begins = [best_PT[:, slots]], [np.zeros_like(best_PT)]
    for _ in range(1, slots):
        through_PTT = best_PT[:, :slots, None] + losses_PTT
        begins.append(through_PTT.argmin(1))
        best_PT = np.minimum(through_PTT.min(1), NEVER)
        in_all.append(best_PT[:, slots])
    is_start_PT = np.zeros((places, slots), dtype=np.bool_)
    for place, runs in enumerate(_share_out(np.stack(in_all, axis=1), keep)):
        end = slots
        for number in range(runs, 0, -1):
            end = int(begins[number - 1][place, end])
            is_start_PT[place, end] = True
    return is_start_PT


def _share_out(losses_PM: Losses, keep: int) -> list[int]:
    """How many runs each place gets, of `keep` in all, when m + 1 runs lose losses[:, m] there."""
    places, most = losses_PM.shape
    # least[p, most + k]: what the first p places lose at least with k runs; before it, no number of runs.
    least = np.full((places + 1, most + keep + 1), NEVER)
    least[0, most] = 0
    for place, losses_M in enumerate(losses_PM):
        best = least[place + 1, most:]
        for runs, loss in enumerate(losses_M, 1):
            np.minimum(best, least[place, most - runs : most - runs + keep + 1] + loss, out=best)
    shares, left, counts = [0] * places, keep, np.arange(1, most + 1)
    for place in reversed(range(places)):
        shares[place] = 1 + int((least[place, most + left - counts] + losses_PM[place]).argmin())
        left -= shares[place]
    return shares
