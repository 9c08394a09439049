"""Streams that are pipes or files: closed, full, or in an encoding that lacks letters."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pllava_cli import app
from tests.command_line.conftest import ROOT, start
from tests.processes import PATIENCE_S


def test_closed_pipe_ends_quietly(environment: dict[str, str]) -> None:
    many = {"answers": [["A bird.\n"] * 5000], "pause_s": 0.02}
    with start(environment, "caption", "a.mp4", script=many) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=PATIENCE_S)
    assert (process.returncode, err) == (app.OUTPUT_CLOSED, b"")


def test_closed_pipe_of_help_ends_quietly() -> None:
    command = [sys.executable, "-m", "pllava_cli", "--help"]
    for variables in ({}, {"PYTHONUNBUFFERED": "1"}):
        reading, writing = os.pipe()
        os.close(reading)
        environment = {
            name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"
        } | variables
        done = subprocess.run(
            command, stdout=writing, stderr=subprocess.PIPE, cwd=ROOT, env=environment, check=False
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (app.OUTPUT_CLOSED, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here to write to")
def test_full_disk_is_an_error(environment: dict[str, str]) -> None:
    with Path("/dev/full").open("wb") as full, start(environment, "caption", "a.mp4", stdout=full) as process:
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert err.startswith(b"error: cannot write the output: No space left") and b"Traceback" not in err


def test_closed_stderr_does_no_harm(environment: dict[str, str]) -> None:
    with start(environment, "caption", "a.mp4", "b.mp4", preexec_fn=lambda: os.close(2)) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, err) == (0, b"A bird.\nA bird.\n", b"")


def test_closed_stdout_is_an_error(environment: dict[str, str]) -> None:
    with start(environment, "caption", "a.mp4", preexec_fn=lambda: os.close(1)) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (2, b"")
    assert err.startswith(b"error: standard output is closed\nhint: ")


def test_encoding_without_the_letters_does_no_harm(environment: dict[str, str]) -> None:
    environment = environment | {"PYTHONIOENCODING": "ascii:strict"}
    with start(environment, "caption", "a.mp4", script={"answers": ["Ein Vögel."]}) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, err) == (0, b"Ein V\\xf6gel.\n", b"")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_json_in_any_encoding(environment: dict[str, str], encoding: str) -> None:
    environment = environment | {"PYTHONIOENCODING": encoding}
    said = "Ein Vögel 🙂."
    with start(environment, "caption", "a.mp4", "--json", script={"answers": [said]}) as process:
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert json.loads(out.decode("utf-8"))["text"] == said
    assert out.isascii() is (encoding != "utf-8")


def test_pipe_receives_the_model_s_words_as_they_are(environment: dict[str, str]) -> None:
    with start(environment, "caption", "a.mp4", script={"answers": ["A\x1b[1m bird."]}) as process:
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert out == b"A\x1b[1m bird.\n"
