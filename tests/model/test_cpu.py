"""The measurement of this CPU: it measures what it says, once for all questions, and leaves no trace."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from pllava_cli.model import cpu
from pllava_cli.model.cpu import LARGEST, expected_seconds, rate, times_of_fp32

SMALL = (8, 16, 24)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What has been measured in this process."""
    cpu._seconds.cache_clear()
    yield
    cpu._seconds.cache_clear()


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.dtype, tuple[int, int, int], int]]:
    """What has been multiplied: precision, rows, inputs, outputs, and on how many threads."""
    made = []
    linear = torch.nn.functional.linear

    def counted(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        made.append((x.dtype, (*x.shape, len(weight)), torch.get_num_threads()))
        return linear(x, weight)

    monkeypatch.setattr(torch.nn.functional, "linear", counted)
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[torch.dtype, float]], None]:
    """A CPU that takes so many seconds for a product in each precision."""

    def takes(seconds: dict[torch.dtype, float]) -> None:
        now = [0.0]

        def linear(x: torch.Tensor, weight: torch.Tensor) -> None:
            now[0] += seconds[x.dtype]

        monkeypatch.setattr(torch.nn.functional, "linear", linear)
        monkeypatch.setattr(cpu, "_now", lambda: now[0])

    return takes


def test_ratio_is_of_the_times_taken(clock: Any) -> None:
    clock({torch.float32: 0.004, torch.bfloat16: 0.007, torch.float16: 0.002})
    assert times_of_fp32("bf16", SMALL) == pytest.approx(1.75)
    assert times_of_fp32("fp16", SMALL) == pytest.approx(0.5)


def test_clock_that_stands_still_divides_nothing_by_nothing(clock: Any) -> None:
    clock({torch.float32: 0.0, torch.bfloat16: 0.0})
    assert times_of_fp32("bf16", SMALL) == 1


def test_both_precisions_multiply_the_models_shape_on_one_thread(products: Any) -> None:
    assert times_of_fp32("bf16", SMALL) > 0
    assert set(products) == {(torch.float32, SMALL, 1), (torch.bfloat16, SMALL, 1)}


def test_large_layers_are_measured_by_a_part(products: Any) -> None:
    times_of_fp32("bf16", (2304, 4096, 11008))
    assert {shape for _, shape, _ in products} == {LARGEST}


def test_second_time_nothing_is_measured(products: Any) -> None:
    first = times_of_fp32("bf16", SMALL)
    count = len(products)
    assert times_of_fp32("bf16", SMALL) == first
    assert len(products) == count


def test_both_questions_rest_on_one_measurement(products: Any) -> None:
    times_of_fp32("bf16", SMALL)
    count = len(products)
    rate("bf16", SMALL)
    rate("fp32", SMALL)
    assert expected_seconds(10**15, "fp32", SMALL) > 0
    assert len(products) == count


def test_rate_is_that_of_all_threads(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock({torch.float32: 0.004, torch.bfloat16: 0.002})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    operations = 2 * 8 * 16 * 24
    assert rate("fp32", SMALL) == pytest.approx(6 * operations / 0.004)
    assert rate("bf16", SMALL) == pytest.approx(6 * operations / 0.002)
    assert expected_seconds(10**14, "bf16", SMALL) == pytest.approx(
        2 * 10**14 / (6 * operations / 0.002) / cpu._SHARE_REACHED
    )


def test_nothing_is_measured_for_what_takes_no_time(products: Any) -> None:
    assert expected_seconds(10**10, "fp32", SMALL) == 0
    assert products == []


def test_rate_of_this_cpu() -> None:
    assert 1e8 < rate("fp32", LARGEST) < 1e14


def test_precision_that_takes_ages_is_tried_once(products: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "_ENOUGH_S", 1e-9)
    times_of_fp32("bf16", SMALL)
    assert len(products) == 2


def test_threads_are_as_before() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        times_of_fp32("bf16", SMALL)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(cpu._now is not time.thread_time, reason="the clock there is the wall's")
def test_waiting_does_not_count() -> None:
    began = cpu._now()
    time.sleep(0.05)
    assert cpu._now() - began < 0.04


@pytest.mark.parametrize(
    ("found", "suits"),
    [({"avx512_vnni": True}, True), ({"amx_int8": True}, True), ({"avx2": True, "avx_vnni": True}, False)],
)
def test_eight_bits_suit_where_they_are_multiplied_as_such(
    found: dict[str, bool], suits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert cpu.suits_eight_bits((2481, 4096, 4096)) == suits
