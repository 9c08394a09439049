"""Fixtures that several test modules share."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pllava_cli import Captioner, EncodedClip
    from tests.commands.results import Run

pytest_plugins = ["tests.isolation"]

SHARED = Path(__file__).resolve().parents[2] / "shared"
CORPUS_MAKER = SHARED / "tools" / "make_clips.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever needs the corpus first makes it and the others wait, which takes minutes on a busy machine."""
    for item in items:
        if "corpus" in getattr(item, "fixturenames", ()) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small ordinary and odd clips with `manifest.json`.

    Made once for all processes of a run, or once for all runs in the folder that PLLAVA_TEST_CLIPS names.
    """
    temporary = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        temporary = temporary.parent
    folder = Path(os.environ.get("PLLAVA_TEST_CLIPS") or temporary / "corpus")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "manifest.json").is_file():
            make_corpus(folder)
    return folder


def make_corpus(folder: Path) -> None:
    """Write the corpus, or skip the test where it cannot be made."""
    if not CORPUS_MAKER.is_file():
        pytest.skip(f"no corpus maker beside the checkout ({CORPUS_MAKER})")
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("no ffmpeg to make clips with")
    made = subprocess.run([sys.executable, CORPUS_MAKER, folder], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


@pytest.fixture(scope="session")
def manifest(corpus: Path) -> dict[str, dict[str, Any]]:
    """The corpus's rows by file name; `make_clips.py` says what each field means."""
    rows = json.loads((corpus / "manifest.json").read_text())
    return {row["file"]: row for row in rows}


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> "Run":
    """Run a command line in this process."""
    from pllava_cli import app
    from tests.commands.results import Result

    def command(*words: object) -> Result:
        status = app.main([str(each) for each in words])
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return command


# The engine on a small random checkpoint. Nothing of it may be changed by a test.


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Small models run several times as fast on one thread, above all where other programs are busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def engine_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engine")


@pytest.fixture(scope="session")
def checkpoint(engine_folder: Path, one_thread: None) -> Path:
    """A random checkpoint in the released layout."""
    from benchmarks.random_checkpoint import SHAPES, write

    return write(engine_folder / "checkpoint", SHAPES["tiny"], seed=4)


@pytest.fixture(scope="session")
def clip(engine_folder: Path) -> Path:
    """A clip of 12 frames."""
    from tests.clips import write_clip

    return write_clip(engine_folder / "clip.mp4", seed=1)


@pytest.fixture(scope="session")
def captioner(checkpoint: Path) -> "Captioner":
    """The checkpoint loaded, in float32 on the CPU."""
    from pllava_cli import Captioner

    return Captioner(checkpoint, dtype="fp32", quantize="none", device="cpu")


@pytest.fixture(scope="session")
def encoded(captioner: "Captioner", clip: Path) -> "EncodedClip":
    """The clip, encoded once for all."""
    return captioner.encode(clip)
