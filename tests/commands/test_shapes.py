"""`pllava shapes make`: from the command line to files, and every way to ask for it wrongly."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pllava_cli import app
from pllava_cli.video.reader import sample_frames
from tests.processes import PATIENCE_S, until

ROOT = Path(__file__).parents[2]


def test_from_nothing_to_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "data"
    assert app.main(["shapes", "make", str(out), "--count", "3", "--seed", "5", "--objects", "2-3"]) == 0
    said, err = capsys.readouterr()
    assert err == ""
    rows = dict(line.split() for line in said.splitlines())
    assert rows["clips"] == rows["captions.jsonl"] == rows["scenes.jsonl"] == "3"
    for line in (out / "scenes.jsonl").read_text().splitlines():
        scene = json.loads(line)
        assert 2 <= len(scene["scene"]["things"]) <= 3
        frames, _, report = sample_frames(out / scene["video"], 8)
        assert frames.shape[1] == scene["film"]["side"] and report.frames_decoded == scene["film"]["frames"]


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["shapes", "make", str(tmp_path / "data"), "-n", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["folder"] == str(tmp_path / "data") and said["written"]["clips"] == 2


def test_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["shapes", "make", str(tmp_path / "data"), "-n", "1", "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "data" / "clips" / "000001.mp4").is_file()
    assert app.main(["shapes", "make", str(tmp_path / "json"), "-n", "1", "-q", "--json"]) == 0
    said, err = capsys.readouterr()
    assert json.loads(said)["written"]["clips"] == 1 and err == ""
    assert app.main(["shapes", "make", str(tmp_path / "data"), "-n", "1", "-q"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-n", "0"], "--count: 0 is out of range"),
        (["-n", "-3"], "--count: -3 is out of range"),
        (["-n", "1000001"], "--count: 1000001 is out of range"),
        (["-n", "many"], "--count: expected a whole number, found 'many'"),
        (["-n", "1e3"], "--count"),
        (["--seed", "-1"], "--seed: -1 is out of range"),
        (["--seed", "9" * 5000], "--seed"),
        (["--objects", "0"], "--objects"),
        (["--objects", "5"], "--objects"),
        (["--objects", "3-2"], "--objects"),
        (["--objects", "1-4-2"], "--objects"),
        (["--objects", ""], "--objects"),
        (["--jobs", "0"], "--jobs"),
        (["--jobs", "all"], "--jobs"),
    ],
)
def test_values_out_of_range(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["shapes", "make", str(tmp_path / "data"), *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"error: {message}")
    assert len(err.splitlines()) == 2 and "\nhint: " in err
    assert not (tmp_path / "data").exists()


def test_an_existing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").touch()
    assert app.main(["shapes", "make", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["shapes", "make", ""]) == 2
    assert "the name of the folder is empty" in capsys.readouterr().err


def test_a_folder_that_nobody_may_write_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    if os.access(tmp_path / "locked", os.W_OK):  # root may write anywhere, but not make folders in /proc
        locked = Path("/proc")
        if not locked.is_dir():
            pytest.skip("this user may write everywhere")
    else:
        locked = tmp_path / "locked"
    assert app.main(["shapes", "make", str(locked / "data"), "-n", "1"]) == 2
    assert "cannot make the folder" in capsys.readouterr().err


@contextmanager
def making(out: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start to make many clips, and wait until there are some."""
    command = [sys.executable, "-m", "pllava_cli", "shapes", "make", str(out), "-n", "3000", *words]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            until(lambda: len(list(out.glob("clips/*.mp4"))) >= 3, process)
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def until_another_clip(out: Path, process: subprocess.Popen[str]) -> None:
    before = len(list(out.glob("clips/*")))
    until(lambda: len(list(out.glob("clips/*"))) > before, process)


@pytest.mark.parametrize(
    ("number", "jobs", "status"),
    [(signal.SIGINT, "1", 130), (signal.SIGINT, "2", 130), (signal.SIGTERM, "2", 143)],
)
def test_interrupted(number: signal.Signals, jobs: str, status: int, tmp_path: Path) -> None:
    """The whole group of processes gets the signal, as from a terminal."""
    out = tmp_path / "data"
    with making(out, "--jobs", jobs) as process:
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        said, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, said) == (status, "")
    assert err == f"{out} is not finished; the same command goes on with it.\n"
    assert {path.name for path in out.iterdir()} == {"clips", "dataset.json", "mvbench"}
    for clip in (out / "clips").iterdir():
        assert sample_frames(clip, 4)[0].shape[0] == 4


def test_a_second_run_in_the_same_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "data"
    with making(out) as process:
        for words in (["-n", "3000"], ["-n", "5"]):
            assert app.main(["shapes", "make", str(out), *words]) == 2
            said, err = capsys.readouterr()
            assert said == "" and err.startswith(
                f"error: another process is making a data set in {out}\nhint: "
            )
        assert process.poll() is None  # and it goes on unharmed
        until_another_clip(out, process)
        process.kill()
        process.communicate(timeout=PATIENCE_S)
    with making(out) as process:  # a killed run keeps nobody out
        until_another_clip(out, process)


LIMITED = (
    "import resource, sys; limit = int(sys.argv.pop(1));"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY));"
    "from pllava_cli import app; sys.exit(app.main())"
)
"""A run that can write no file longer than so many bytes: to OpenCV and to Python it is as a full disk."""


def limited(out: Path, limit: int, *words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-c", LIMITED, str(limit), "shapes", "make", str(out), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("full", "jobs"), [("recipe", "1"), ("clips", "1"), ("clips", "2"), ("lists", "1")])
def test_a_full_disk(full: str, jobs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("-n", "8", "--seed", "3", "--jobs", jobs)
    assert app.main(["shapes", "make", str(tmp_path / "whole"), *words]) == 0
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").rglob("*.*")}
    longest_clip = max(len(whole[f"{number:06}.mp4"]) for number in range(1, 9))
    out = tmp_path / "out"
    if full == "lists":  # as a run that was stopped at the very end leaves it
        (out / "clips").mkdir(parents=True)
        for name in ("dataset.json", *(f"clips/{number:06}.mp4" for number in range(1, 9))):
            (out / name).write_bytes(whole[Path(name).name])
    limits = {"recipe": 10, "clips": longest_clip - 1, "lists": len(whole["questions.jsonl"]) - 1}
    status, said, err = limited(out, limits[full], *words)
    assert (status, said) == (2, "")
    assert err.startswith("error: cannot write ") and "File too large\nhint: free some space" in err
    assert len(err.splitlines()) == 2 and not (out / "scenes.jsonl").exists()
    for clip in out.glob("clips/*"):
        assert clip.read_bytes() == whole[clip.name]
    capsys.readouterr()
    assert app.main(["shapes", "make", str(out), *words]) == 0
    assert {path.name: path.read_bytes() for path in out.rglob("*.*")} == whole


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    with making(tmp_path / "data", "--jobs", "2") as process:
        process.kill()
        process.communicate(timeout=PATIENCE_S)  # returns when the last of them has closed its streams
    size = len(list((tmp_path / "data" / "clips").iterdir()))
    time.sleep(0.3)
    assert len(list((tmp_path / "data" / "clips").iterdir())) == size
