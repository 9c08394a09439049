"""Weights in 4 and 8 bits on a CPU: really packed, near full precision, and nothing fetched for it.

Limits: on these random weights of width 64 the logits' error, as a share of their spread, was measured as
0.21 in 4 bits and 0.02 in 8; a layer's alone as 0.087 to 0.095 (FP4 would lose 0.113) and 0.008 to 0.009.
"""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pllava_cli.engine import load_model
from pllava_cli.errors import DeviceError
from pllava_cli.model import quantization
from pllava_cli.model.loading import Loaded, load
from pllava_cli.model.options import LoadOptions
from tests.checkpoints import adapter_tensors, write_adapter

LAYER_ERROR = {"4bit": 0.105, "8bit": 0.02}
LOGIT_ERROR = {"4bit": 0.32, "8bit": 0.04}


@pytest.fixture(scope="module", params=["4bit", "8bit"])
def packed(request: pytest.FixtureRequest, plain: Path) -> Loaded:
    return load(plain, LoadOptions(device="cpu", dtype="fp32", quantize=request.param))


@pytest.fixture(scope="module")
def exact(plain: Path) -> dict[str, nn.Module]:
    loaded = load(plain, LoadOptions(device="cpu", dtype="fp32", quantize="none"))
    return dict(loaded.model.named_modules())


def packed_layers(loaded: Loaded) -> dict[str, Any]:
    return {
        name: module
        for name, module in loaded.model.named_modules()
        if isinstance(module, nn.Linear) and type(module) is not nn.Linear
    }


def error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Root mean square error, as a share of the spread of the exact values."""
    return float((ours.float() - theirs).pow(2).mean().sqrt() / theirs.std())


def test_just_the_language_models_layers_are_packed(packed: Loaded) -> None:
    names = set(packed_layers(packed))
    parts = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    assert len(names) == 2 * len(parts)
    assert all(name.startswith("model.language_model.layers.") for name in names)
    assert {name.rpartition(".")[2] for name in names} == set(parts)
    assert type(packed.model.lm_head) is nn.Linear


def test_weights_take_their_bits_and_no_more(packed: Loaded, exact: dict[str, nn.Module]) -> None:
    bits = {"4bit": 4, "8bit": 8}[packed.plan.quantize]
    for name, layer in packed_layers(packed).items():
        plain = exact[name]
        assert isinstance(plain, nn.Linear)
        assert layer.weight.nbytes == plain.weight.numel() * bits // 8
        assert layer.weight.dtype == {4: torch.uint8, 8: torch.int8}[bits]
        assert not layer.weight.requires_grad


@torch.inference_mode()
def test_layer_stays_near(packed: Loaded, exact: dict[str, nn.Module]) -> None:
    x = torch.randn(16, 128, generator=torch.Generator().manual_seed(0))
    for name, layer in packed_layers(packed).items():
        some = x[:, : layer.in_features]
        ours, theirs = layer(some), exact[name](some)
        assert 0 < error(ours, theirs) < LAYER_ERROR[packed.plan.quantize], name


@torch.inference_mode()
def test_model_stays_near(packed: Loaded, plain: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 20, 30, 3), np.uint8)
    model, processor = load_model(plain, dtype="fp32", quantize="none", device="cpu")
    inputs = processor(frames, "<image> what is it?")
    theirs, ours = model(**inputs).logits[0], packed.model(**inputs).logits[0]
    assert 0 < error(ours, theirs) < LOGIT_ERROR[packed.plan.quantize]


@pytest.mark.parametrize("quantize", ["4bit", "8bit"])
def test_lora_is_merged_before_packing(quantize: str, plain: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "a", plain, adapter_tensors(3, projector=False))
    name = "model.language_model.layers.0.self_attn.q_proj"
    x = torch.randn(16, 64, generator=torch.Generator().manual_seed(0))

    def output(mode: str, alpha: float) -> torch.Tensor:
        options = LoadOptions(device="cpu", dtype="fp32", quantize=mode, base=plain, alpha=alpha)
        with torch.inference_mode():
            return load(adapter, options).model.get_submodule(name)(x)  # type: ignore[no-any-return]

    merged = output("none", 4)
    assert error(output(quantize, 4), merged) < LAYER_ERROR[quantize]
    assert error(output(quantize, 0), merged) > 0.3


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
@torch.inference_mode()
def test_other_weights_keep_the_precision_asked_for(dtype: str, plain: Path) -> None:
    loaded = load(plain, LoadOptions(device="cpu", dtype=dtype, quantize="4bit"))
    wanted = {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    layers = packed_layers(loaded)
    for name, value in loaded.model.named_parameters():
        if name.removesuffix(".weight") not in layers:
            assert value.dtype == wanted, name
    logits = loaded.model(input_ids=torch.tensor([[1, 270, 280]])).logits
    assert logits.dtype == wanted
    assert torch.isfinite(logits).all()


def test_packed_model_answers_in_silence(
    packed: Loaded, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with torch.inference_mode():
        packed.model(input_ids=torch.tensor([[1, 270, 280]]))
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""


def test_bitsandbytes_missing(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # what an import finds is then nothing
    for quantize in ("4bit", "8bit"):
        with pytest.raises(DeviceError, match="bitsandbytes, which is not installed") as caught:
            load(plain, LoadOptions(device="cpu", quantize=quantize))
        assert caught.value.hint == "pip install bitsandbytes"
        assert caught.value.status == 6
    assert load(plain, LoadOptions(device="cpu")).plan.quantize == "none"


def test_bitsandbytes_that_does_not_work_here(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file\nof the system")

    monkeypatch.delitem(sys.modules, "bitsandbytes", raising=False)
    monkeypatch.setattr(quantization, "importlib", SimpleNamespace(import_module=fails))
    with pytest.raises(DeviceError, match="bitsandbytes cannot be imported") as caught:
        load(plain, LoadOptions(device="cpu", quantize="8bit"))
    assert "\n" not in caught.value.message and "--quantize none" in caught.value.hint
    assert "kernels" not in sys.modules
    assert load(plain, LoadOptions(device="cpu", quantize="none")).plan.quantize == "none"


def test_its_import_reaches_for_no_kernels_and_no_network(tmp_path: Path) -> None:
    """A package `kernels` would fetch native code when bitsandbytes imports it."""
    (tmp_path / "kernels.py").write_text("raise SystemExit('kernels was imported')")
    code = (
        "import socket\n"
        "def refuse(*args): raise SystemExit('a connection was opened')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from pllava_cli.model.quantization import bitsandbytes\n"
        "import sys\n"
        "assert bitsandbytes() is bitsandbytes()\n"
        "assert hasattr(bitsandbytes().nn, 'Linear4bit')\n"
        "assert 'kernels' not in sys.modules\n"
        "print('done')"
    )
    here = Path(__file__).parents[2]
    env = {"PYTHONPATH": f"{tmp_path}:{here}", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr
