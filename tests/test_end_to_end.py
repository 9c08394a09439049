"""The real command on real files with real, if random, checkpoints: no part is replaced."""

import json
import os
import subprocess
import sys
import wave
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from benchmarks.random_checkpoint import write
from pllava_cli.model import device
from tests.checkpoints import TINY, copied, edit_weights, write_plain
from tests.commands.results import Result, Run
from tests.conftest import SHARED

SIZE = (64, 48)


@pytest.fixture
def run(command: Run) -> Run:
    return command


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plain(tmp_path_factory.mktemp("checkpoints") / "plain")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at 25 frames a second, each frame of another brightness."""
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=50)


def write_clip(file: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), 25, SIZE)
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 4 * number % 256, np.uint8))
    writer.release()
    return file


def assert_refused(result: Result, status: int, *said: str) -> None:
    """Nothing on stdout; on stderr one line of error and one of hint, and the status."""
    assert result.out == ""
    assert result.status == status, result.err
    lines = result.err.strip().splitlines()
    assert len(lines) == 2, result.err
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("hint: ")
    for words in said:
        assert words in result.err


# ---- what works ---------------------------------------------------------------------------


def test_caption_prints_the_text_alone(run: Run, checkpoint: Path, clip: Path) -> None:
    result = run("caption", clip, "--model", checkpoint, "--max-new-tokens", 8)
    assert result.status == 0
    assert result.out.endswith("\n")
    assert len(result.out.strip()) > 0


def test_three_questions_in_one_ask_answer_as_three_runs_do(run: Run, checkpoint: Path, clip: Path) -> None:
    questions = ["What happens?", "Is anything red?", "And at the end?"]
    options = ("--model", checkpoint, "--max-new-tokens", 12, "--json")
    together = run("ask", clip, *questions, *options)
    apart = [run("ask", clip, question, *options) for question in questions]
    assert together.status == 0
    answers = [json.loads(line)["text"] for line in together.out.splitlines()]
    assert answers == [json.loads(result.out)["text"] for result in apart]
    assert len(set(answers)) > 1, "the questions make no difference: the test would prove nothing"


def test_ask_json_holds_the_records_fields(run: Run, checkpoint: Path, clip: Path) -> None:
    result = run("ask", clip, "What happens?", "--json", "--model", checkpoint, "--max-new-tokens", 4)
    record = json.loads(result.out)
    assert record["schema"] == "pllava.record/1"
    assert record["status"] == "ok"
    assert record["question"] == "What happens?"
    # 50 frames, 4 segments: the reference's arithmetic.
    assert record["frames"]["indices"] == [6, 18, 30, 43]
    assert record["frames"]["timestamps_s"] == pytest.approx([0.24, 0.72, 1.2, 1.72])
    assert record["media"]["frames_decoded"] == 50
    assert record["model"]["pooling_shape"] == [4, 2, 2]
    assert record["decoding"]["stopped"] in ("eos", "length", "repetition")


def test_4bit_answers_too(run: Run, checkpoint: Path, clip: Path) -> None:
    result = run(
        "ask", clip, "What?", "--model", checkpoint, "--quantize", "4bit", "--max-new-tokens", 4, "--json"
    )
    assert result.status == 0, result.err
    assert json.loads(result.out)["model"]["quantize"] == "4bit"


def test_one_bad_clip_among_good_ones_ends_with_3(
    run: Run, checkpoint: Path, clip: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"")
    result = run("caption", clip, bad, clip, "--model", checkpoint, "--max-new-tokens", 4, "--json")
    assert result.status == 3
    assert [json.loads(line)["status"] for line in result.out.splitlines()] == ["ok", "error", "ok"]
    assert "bad.mp4" in result.err


def test_a_real_clip_in_a_process_of_its_own(checkpoint: Path) -> None:
    clip = SHARED / "clips" / "yoga.mp4"
    if not clip.exists():
        pytest.skip(f"no example clips beside the checkout ({clip.parent})")
    command = [sys.executable, "-m", "pllava_cli", "caption", clip, "--model", checkpoint, "--json"]
    done = subprocess.run([*command, "--max-new-tokens", "4"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["media"]["width_px"], record["media"]["height_px"]) == (568, 320)
    assert record["media"]["frames_decoded"] == 300


_INTERRUPTED = """
import signal, sys

class Finder:
    @staticmethod
    def find_spec(name, *_):
        if name == "transformers":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder)
from pllava_cli.__main__ import main
main()
"""
"""The command line, to which Ctrl-C comes while it imports what the model is made of."""


def test_ctrl_c_while_loading_ends_with_130(checkpoint: Path, clip: Path) -> None:
    command = [sys.executable, "-c", _INTERRUPTED, "caption", clip, "--model", checkpoint]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


# ---- bad clips ----------------------------------------------------------------------------


def test_missing_file(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    assert_refused(run("caption", tmp_path / "no.mp4", "--model", checkpoint), 2, "no.mp4")


def test_directory(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    assert_refused(run("caption", tmp_path, "--model", checkpoint), 2, "directory")


def test_empty_file(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "empty.mp4"
    file.touch()
    assert_refused(run("caption", file, "--model", checkpoint), 4, "empty.mp4", "empty")


def test_text_file(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "text.mp4"
    file.write_text("this is not a video\n" * 50)
    assert_refused(run("caption", file, "--model", checkpoint), 4, "text.mp4")


def test_audio_only(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "sound.wav"
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    assert_refused(run("caption", file, "--model", checkpoint), 4, "sound.wav")


def test_truncated_file(run: Run, checkpoint: Path, clip: Path, tmp_path: Path) -> None:
    file = tmp_path / "cut.mp4"
    file.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert_refused(run("caption", file, "--model", checkpoint), 4, "cut.mp4")


def test_video_without_a_frame(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    file = write_clip(tmp_path / "none.mp4", frames=0)
    assert_refused(run("caption", file, "--model", checkpoint), 4, "none.mp4")


def test_start_past_the_end(run: Run, checkpoint: Path, clip: Path) -> None:
    assert_refused(run("caption", clip, "--start", 100, "--model", checkpoint), 4, "clip.mp4", "2")


def test_no_frames_asked_for(run: Run, checkpoint: Path, clip: Path) -> None:
    result = run("caption", clip, "--frames", 0, "--model", checkpoint)
    assert result.status == 2
    assert result.out == ""
    assert "--frames" in result.err


# ---- texts that cannot be asked -----------------------------------------------------------


def test_system_text_beyond_the_models_positions(run: Run, checkpoint: Path, clip: Path) -> None:
    result = run("caption", clip, clip, "--model", checkpoint, "--system", "word " * 5000)
    assert_refused(result, 2, "system text", "4096")


@pytest.mark.parametrize("flag", ["--system", "--prompt"])
def test_text_with_the_clips_placeholder(run: Run, checkpoint: Path, clip: Path, flag: str) -> None:
    assert_refused(run("caption", clip, "--model", checkpoint, flag, "a <image> b"), 2, "<image>")


def test_no_question_is_answered_if_one_cannot_be(run: Run, checkpoint: Path, clip: Path) -> None:
    asked = ("What happens?", "word " * 5000, "And then?")
    assert_refused(run("ask", clip, *asked, "--model", checkpoint), 2, "positions")


def test_pooling_shape_without_room(run: Run, checkpoint: Path, clip: Path) -> None:
    options = ("--frames", 4, "--pooling-shape", "4,400,4", "--model", checkpoint)
    assert_refused(run("caption", clip, *options), 2, "--pooling-shape")


# ---- bad checkpoints ----------------------------------------------------------------------


def test_unknown_model_is_told_the_near_name(run: Run, clip: Path) -> None:
    assert_refused(run("caption", clip, "--model", "plava-7b"), 5, "plava-7b", "pllava-7b")


def test_model_that_is_not_on_this_machine(run: Run, clip: Path) -> None:
    assert_refused(run("caption", clip, "--model", "pllava-7b"), 5, "pllava-7b", "pllava models pull")


def test_checkpoint_with_a_missing_tensor(run: Run, checkpoint: Path, clip: Path, tmp_path: Path) -> None:
    folder = edit_weights(
        copied(checkpoint, tmp_path / "c"), lambda t: {k: v for k, v in t.items() if "lm_head" not in k}
    )
    assert_refused(run("caption", clip, "--model", folder), 5, "lm_head.weight")


def test_checkpoint_with_an_extra_tensor(run: Run, checkpoint: Path, clip: Path, tmp_path: Path) -> None:
    folder = edit_weights(copied(checkpoint, tmp_path / "c"), lambda t: t | {"surplus.weight": torch.ones(2)})
    assert_refused(run("caption", clip, "--model", folder), 5, "surplus.weight")


def test_checkpoint_with_a_misshaped_tensor(run: Run, checkpoint: Path, clip: Path, tmp_path: Path) -> None:
    name = "multi_modal_projector.linear_1.weight"
    folder = edit_weights(copied(checkpoint, tmp_path / "c"), lambda t: t | {name: torch.ones(3, 5)})
    assert_refused(run("caption", clip, "--model", folder), 5, name, "3x5")


def test_pickle_only_checkpoint_is_refused(run: Run, checkpoint: Path, clip: Path, tmp_path: Path) -> None:
    folder = copied(checkpoint, tmp_path / "c")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert_refused(run("caption", clip, "--model", folder), 5, "pickle")


def test_folder_without_config(run: Run, clip: Path, tmp_path: Path) -> None:
    assert_refused(run("caption", clip, "--model", tmp_path), 5, "config.json")


def test_registered_checkpoint_that_does_not_say_its_alpha(run: Run, clip: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "released", TINY)
    home = Path(os.environ["XDG_CONFIG_HOME"]) / "pllava"
    home.mkdir(parents=True)
    (home / "weights.toml").write_text(f'[checkpoints.birds]\npath = "{folder}"\ntemplate = "vicuna"\n')
    result = run("caption", clip, "--model", "birds", "--max-new-tokens", 2, "--json")
    assert result.status == 0, result.err
    assert json.loads(result.out)["model"]["alpha"] == 4.0


def test_checkpoint_that_may_not_be_read(
    run: Run, checkpoint: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda file, mode: "tokenizer" not in str(file) and allowed(file, mode))
    assert_refused(run("caption", clip, "--model", checkpoint), 5, "tokenizer.json", "permissions")


# ---- device and memory --------------------------------------------------------------------


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_without_a_gpu(run: Run, checkpoint: Path, clip: Path) -> None:
    assert_refused(run("caption", clip, "--device", "cuda", "--model", checkpoint), 6, "CUDA")


def test_too_little_memory(run: Run, checkpoint: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "devices", lambda: [device.DeviceInfo("cpu", "small", 10**6, 10**5)])
    assert_refused(run("caption", clip, "--device", "cpu", "--model", checkpoint), 6, "memory", "GB")
