"""Two processes on one CPU, started as accelerate starts them, and what only one of them may do."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file

from pllava_cli.training.settings import TrainSettings
from tests.training.conftest import write_lines

ROOT = Path(__file__).parents[2]
HERE = ("--standalone", "--local-addr", "127.0.0.1")
"""The processes meet at a port that is free, and ask nobody for this machine's name."""
TWO = ("-m", "torch.distributed.run", *HERE, "--nproc-per-node", "2", "-m", "pllava_cli", "train")


def start(settings: TrainSettings, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *TWO, str(settings.data[0]), "--model", settings.model]
    command += ["-o", str(settings.out), "--device", "cpu", "--dtype", "fp32", "--quantize", "none"]
    command += ["--batch-size", "1", "--gradient-accumulation", "1", "--rank", "4", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_two_processes_train_one_adapter(quick: Callable[..., TrainSettings], data: Path) -> None:
    """With room for one clip in the cache, so that both must leave it as it is."""
    settings = quick()
    words = ("--steps", "3", "--save-every", "2", "--log-every", "2", "--cache-gb", "0.00001", "--json")
    done = start(settings, *words, "--validation", str(data))
    assert done.returncode == 0, done.stderr
    (outcome,) = done.stdout.splitlines()
    assert json.loads(outcome)["steps"] == 3
    assert done.stderr.count("training 8,320 of") == done.stderr.count("use it with") == 1
    lines = [json.loads(line) for line in (settings.out / "log.jsonl").read_text().splitlines()]
    assert [(line["step"], "eval_loss" in line) for line in lines] == [
        (1, False),
        (2, False),
        (3, False),
        (3, True),
    ]
    state = json.loads((settings.out / "run.json").read_text())
    assert state["finished"] and state["settings"]["processes"] == 2
    assert load_file(settings.out / "adapter_model.safetensors")
    assert not {"cache", "checkpoints"} & {each.name for each in settings.out.iterdir()}


def test_an_error_is_told_once(quick: Callable[..., TrainSettings], tmp_path: Path) -> None:
    bad = write_lines(tmp_path / "bad.jsonl", ["{"])
    done = start(quick(data=(bad,)))
    assert done.returncode != 0
    assert done.stderr.count("error: 1 of 1 line cannot be trained on") == 1
    assert "unexpected" not in done.stderr
    assert not (tmp_path / "out").exists()
