"""`pllava batch` over everything odd that a video can be, and on a disk that fills up."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clips import write_clip
from tests.commands.batch.conftest import environment, records

PATIENCE_S = 600.0
CLIPS = 30
DISK_KB = 16
"""Room for about a third of the records of so many clips."""
DECODER_NOISE = re.compile(r"\[\w+ @ 0x[0-9a-f]+\]|^\[ *(WARN|ERROR)|OpenCV\(", re.MULTILINE)
"""What FFmpeg and OpenCV write to stderr by themselves."""


def batch(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pllava_cli", "batch", "--model", "tiny", "--max-new-tokens", "4"]
    return subprocess.run(
        [*command, *map(str, words)], env=environment(), capture_output=True, text=True, timeout=PATIENCE_S
    )


def test_of_everything_odd_the_good_is_captioned_and_the_bad_named(
    corpus: Path, manifest: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    done = batch(corpus, "-o", tmp_path / "out.jsonl")
    assert done.returncode == 3, done.stderr
    found = {Path(each["path"]).name: each for each in records(tmp_path / "out.jsonl")}
    videos = {name for name in manifest if name in found}
    assert len(videos) > 0.9 * len(manifest)  # the others have names that are no videos' names
    for name in videos:
        record, row = found[name], manifest[name]
        if row["expect"] == "error":
            assert record["status"] == "error", name
        elif row["needs"] is None:
            assert record["status"] == "ok" and record["text"], (name, record["error"])
        if record["status"] == "error":
            assert record["error"]["message"], name
    assert "Traceback" not in done.stderr and not DECODER_NOISE.search(done.stderr), done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_KB}k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(["mount", *options], capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a disk of a few pages cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_with_whole_records_and_it_goes_on_with_more_room(
    small_disk: Path, tmp_path: Path
) -> None:
    (tmp_path / "clips").mkdir()
    for number in range(CLIPS):
        write_clip(tmp_path / "clips" / f"{number}.mp4", seed=number)
    words = tmp_path / "clips", "-o", small_disk / "out.jsonl"
    full = batch(*words)
    assert full.returncode == 2 and "Traceback" not in full.stderr, full.stderr
    assert "no space left on device" in full.stderr and "hint: " in full.stderr
    kept = records(small_disk / "out.jsonl")
    assert 0 < len(kept) < CLIPS
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    assert batch(*words).returncode == 0
    found = records(small_disk / "out.jsonl")
    assert found[: len(kept)] == kept and len({each["path"] for each in found}) == len(found) == CLIPS
