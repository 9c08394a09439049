"""Real processes: a checkpoint from the hub to a caption and away again; an interrupted download."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pllava_cli import registry
from tests.clips import write_clip
from tests.hub import server
from tests.hub.conftest import REPO, checkpoint_files, safetensors, write_registry
from tests.processes import PATIENCE_S, until

ROOT = Path(__file__).parents[2]

_FORBIDDING = """
import socket, sys
def forbid(*_):
    raise AssertionError("a connection was made")
def connect(self, address, before=socket.socket.connect):
    return before(self, address) if self.family == socket.AF_UNIX else forbid()
socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo = connect, forbid, forbid
from pllava_cli.__main__ import main
main()
"""
"""The command line in a process that cannot connect to anything but itself."""


@pytest.fixture
def served(tmp_path: Path, isolated: Path) -> Iterator[server.Hub]:
    with server.serving() as hub:
        yield hub


@pytest.fixture
def environment(served: server.Hub, tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):  # tests set them
        kept.pop(name, None)
    return kept | {
        "HF_HOME": str(tmp_path / "hub"),
        "HF_ENDPOINT": served.url,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }


def start(environment: dict[str, str], *words: str, code: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, *(["-c", code] if code else ["-m", "pllava_cli"]), *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


def run(environment: dict[str, str], *words: str, code: str = "") -> tuple[int, str, str]:
    with start(environment, *words, code=code) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, err


def test_from_the_hub_to_a_caption_and_away(
    served: server.Hub, environment: dict[str, str], tmp_path: Path
) -> None:
    tiny = registry.find("tiny")
    assert tiny.path is not None
    served.repos["someone/shapes"] = server.Repo(server.folder_files(tiny.path))
    write_registry('[checkpoints.seen]\nrepo = "someone/shapes"\ntemplate = "vicuna"\n')
    clip = write_clip(tmp_path / "clip.mp4", seed=1)

    status, folder, err = run(environment, "models", "pull", "seen")
    assert status == 0, err
    asked = len(served.requests)
    words = ["caption", str(clip), "--model", "seen", "--json", "--offline", "--max-new-tokens", "4"]
    for offline in (["models", "verify", "seen"], ["models", "show", "seen", "--json"], words):
        status, out, err = run(environment, *offline, code=_FORBIDDING)
        assert status == 0, err
        if "show" in offline:
            assert json.loads(out)["here"] == "yes" and json.loads(out)["where"] == folder.strip()
    assert json.loads(out)["model"]["revision"] == server.COMMIT and json.loads(out)["status"] == "ok"
    assert len(served.requests) == asked
    assert run(environment, "models", "rm", "seen", "--yes")[0] == 0
    status, _, err = run(environment, *words, code=_FORBIDDING)
    assert status == 5 and "run: pllava models pull seen" in err


def test_an_interrupted_download_says_how_to_go_on(
    served: server.Hub, environment: dict[str, str], tmp_path: Path
) -> None:
    size, piece = 25_000_000, 10 << 20  # what the library passes on at a time
    files = {name: data for name, data in checkpoint_files().items() if "safetensors" not in name}
    served.repos[REPO] = server.Repo(files | {"model.safetensors": safetensors(a=size)})
    served.stalls["model.safetensors"] = piece + 1000
    write_registry(f'[checkpoints.birds]\nrepo = "{REPO}"\n')

    def has_come(partial: Path) -> bool:
        with suppress(FileNotFoundError):  # that of another file, which is whole by now
            return partial.stat().st_size >= piece
        return False

    with start(environment, "models", "pull", "birds") as process:
        until(lambda: any(map(has_come, tmp_path.rglob("*.incomplete"))), process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (130, "")
    assert "interrupted; what has come stays, and the same command goes on with it" in err
    served.stalls.clear()
    status, folder, err = run(environment, "models", "pull", "birds")
    assert status == 0, err
    assert served.asked("GET", "large/someone/birds/model.safetensors")[-1] == f"bytes={piece}-"
    assert (Path(folder.strip()) / "model.safetensors").read_bytes() == safetensors(a=size)
