"""The devices of this machine."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pllava_cli.model.device import DeviceInfo, devices, precisions, quantization_backend, why_no_gpu

GB = 10**9


def test_this_machine_has_a_cpu_with_memory() -> None:
    *_, cpu = devices()
    assert cpu.kind == "cpu"
    assert 0 < cpu.free_bytes <= cpu.total_bytes


def test_some_of_what_is_free_is_left_to_the_libraries() -> None:
    assert DeviceInfo("cpu", "2 threads", 1000, 500).room == 450


def test_a_gpu_that_cannot_be_asked_has_nothing_free(monkeypatch: pytest.MonkeyPatch) -> None:
    def free_and_total(index: int) -> tuple[int, int]:
        if index == 1:  # what torch says where another process has taken all of it
            raise torch.AcceleratorError("CUDA error: out of memory")
        return 20 * GB, 24 * GB

    has_cards(monkeypatch, 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", free_and_total)
    first, second, _ = devices()
    assert first == DeviceInfo("cuda", "card 0", 24 * GB, 20 * GB)
    assert second == DeviceInfo("cuda", "card 1", 24 * GB, 0)


def test_bf16_that_a_gpu_emulates_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    generations = {"cuda:0": 7, "cuda:1": 8}
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(major=generations[device])
    )
    assert precisions("cuda:0") == ("fp16",)
    assert precisions("cuda:1") == ("bf16", "fp16")


def test_bitsandbytes_that_was_not_installed_but_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    (tmp_path / "bitsandbytes.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("importlib.metadata.version", version)
    assert quantization_backend() == (True, "bitsandbytes of an unknown version")


@pytest.mark.parametrize(
    ("has_driver", "cuda", "wanted"),
    [
        (False, "13.0", "no CUDA device here"),
        (True, "13.0", "torch cannot use the NVIDIA driver here (for CUDA 13.0 it may be too old)"),
        (True, None, "torch cannot use the NVIDIA driver here (it is built without CUDA)"),
    ],
)
def test_a_driver_that_is_of_no_use_is_told(
    has_driver: bool, cuda: str | None, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "version"
    if has_driver:
        driver.touch()
    monkeypatch.setattr("pllava_cli.model.device.DRIVER", driver)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert why_no_gpu() == wanted
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # somebody has hidden them
    assert why_no_gpu() == "no CUDA device here"


def has_cards(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let torch find some GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(
        torch.cuda,
        "get_device_properties",
        lambda index: SimpleNamespace(name=f"card {index}", total_memory=24 * GB),
    )
