"""`pllava caption`: streams, statuses and records, one by one."""

import json
import os
from pathlib import Path

import pytest
import torch

from pllava_cli import configfile
from pllava_cli.errors import CheckpointError, DeviceError, UsageError
from tests.commands import fake
from tests.commands.results import Result, Run


def test_one_clip_gives_its_text_and_nothing_else(run: Run) -> None:
    assert run("caption", "a.mp4") == Result(0, "A bird flies.\n", "")


def test_pieces_come_out_joined(run: Run, script: fake.Script) -> None:
    script.answers = [["A bird", " flies", " away."]]
    assert run("caption", "a.mp4").out == "A bird flies away.\n"


def test_several_clips_have_headings_on_stderr(run: Run, script: fake.Script) -> None:
    script.answers = ["One.", "Two."]
    result = run("caption", "a.mp4", "b.mp4")
    assert result.out == "One.\nTwo.\n"
    assert result.err == "==> a.mp4 <==\n==> b.mp4 <==\n"
    assert len(script.loaded) == 1


def test_quiet_says_nothing_but_errors(run: Run, script: fake.Script) -> None:
    script.warnings, script.clip_warnings, script.stopped = ("odd checkpoint",), ("odd clip",), "length"
    script.broken["b.mp4"] = fake.broken_clip("b.mp4")
    result = run("caption", "-q", "a.mp4", "b.mp4")
    assert result.out == "A bird flies.\n"
    assert result.err == "error: b.mp4 cannot be decoded\nhint: convert it\n"


def test_one_bad_clip_does_not_end_the_run(run: Run, script: fake.Script) -> None:
    script.broken["a.mp4"] = fake.broken_clip("a.mp4")
    result = run("caption", "a.mp4", "b.mp4")
    assert (result.status, result.out) == (3, "A bird flies.\n")
    assert "error: a.mp4 cannot be decoded\nhint: convert it\n" in result.err


@pytest.mark.parametrize("names", [("a.mp4",), ("a.mp4", "b.mp4")])
def test_all_failed_is_4(run: Run, script: fake.Script, names: tuple[str, ...]) -> None:
    script.broken.update((name, fake.broken_clip(name)) for name in names)
    result = run("caption", *names)
    assert (result.status, result.out) == (4, "")


def test_a_file_that_went_away_is_that_clip_s_failure(run: Run, script: fake.Script) -> None:
    script.broken["a.mp4"] = UsageError("there is no file a.mp4")
    assert run("caption", "a.mp4", "b.mp4").status == 3


@pytest.mark.parametrize(
    ("error", "status"),
    [(CheckpointError("broken", "fetch it"), 5), (DeviceError("too small", "use 4bit"), 6)],
)
def test_loading_errors_end_the_run(run: Run, script: fake.Script, error: Exception, status: int) -> None:
    script.load_error = error
    result = run("caption", "a.mp4", "b.mp4")
    assert (result.status, result.out) == (status, "")
    assert result.err == f"error: {error}\nhint: {error.hint}\n"  # type: ignore[attr-defined]


def test_device_error_while_answering_ends_the_run_and_keeps_the_text(run: Run, script: fake.Script) -> None:
    script.answers = [["A bird", DeviceError("out of memory", "use --preset fast")]]
    result = run("caption", "a.mp4", "b.mp4")
    assert (result.status, result.out) == (6, "A bird\n")
    assert result.err.endswith("error: out of memory\nhint: use --preset fast\n")


def test_a_gpu_that_is_lost_ends_the_run(run: Run, script: fake.Script) -> None:
    failure = torch.AcceleratorError("CUDA error: unspecified launch failure\nCUDA kernel errors might be")
    script.answers = [["A bird", failure]]
    result = run("caption", "a.mp4", "b.mp4")
    assert (result.status, result.out) == (6, "A bird\n")
    first, second = result.err.splitlines()[-2:]
    assert first == "error: the device failed: CUDA error: unspecified launch failure"
    assert second.startswith("hint: ") and "Traceback" not in result.err


def test_bug_is_one_line_and_a_file(run: Run, script: fake.Script) -> None:
    script.answers = [RuntimeError("boom")]
    result = run("caption", "a.mp4")
    assert (result.status, result.out) == (1, "")
    first, second = result.err.splitlines()
    assert first == "error: unexpected RuntimeError: boom"
    report = Path(second.rpartition(" ")[2])
    text = report.read_text()
    report.unlink()
    assert "Traceback" in text and "boom" in text


@pytest.mark.parametrize("debug", ["variable", "flag"])
def test_debugging_shows_the_traceback(
    run: Run, script: fake.Script, monkeypatch: pytest.MonkeyPatch, debug: str
) -> None:
    script.answers = [RuntimeError("boom")]
    if debug == "variable":
        monkeypatch.setenv("PLLAVA_DEBUG", "1")
    result = run("caption", "a.mp4", *(["-vv"] if debug == "flag" else []))
    assert result.status == 1
    assert "Traceback" in result.err and "hint:" not in result.err


@pytest.mark.parametrize("name", ["no.mp4", ".", "a.mp4/x", "x" * 300, ""])
def test_what_is_no_file_is_found_before_loading(run: Run, script: fake.Script, name: str) -> None:
    result = run("caption", "a.mp4", name)
    assert (result.status, result.out, script.loaded) == (2, "", [])
    assert result.err.startswith("error: ") and len(result.err.splitlines()) == 2


def test_fifo_is_refused_without_opening_it(run: Run, script: fake.Script) -> None:
    os.mkfifo("pipe.mp4")
    assert run("caption", "pipe.mp4").status == 2
    assert script.loaded == []


def test_missing_checkpoint_is_found_before_the_engine(run: Run, script: fake.Script) -> None:
    result = run("caption", "--model", "pllava-13b", "a.mp4")
    assert (result.status, script.loaded) == (5, [])
    assert "hint: run: pllava models pull pllava-13b\n" in result.err


def test_settings_reach_the_engine(run: Run, script: fake.Script, checkpoint: Path) -> None:
    words = "--alpha 8 --frames 8 --pooling-shape 8,6,6 --keep-tokens 0.25 --device cpu --dtype bf16"
    words += " --quantize 4bit --encode exact --offline"
    more = (
        "--max-new-tokens 9 --temperature 0.5 --top-p 0.9 --seed 7 --decode-timeout 5 --start 1:00 --end 90"
    )
    result = run("caption", *words.split(), *more.split(), "--system", "", "--prompt", "Who?", "a.mp4")
    assert result.status == 0
    loaded = script.loaded[0]
    assert callable(loaded.pop("on_progress"))
    assert loaded == {
        "model": str(checkpoint),
        "alpha": 8.0,
        "dtype": "bf16",
        "quantize": "4bit",
        "encode": "exact",
        "device": "cpu",
        "base": None,
        "num_frames": 8,
        "pooling_shape": (8, 6, 6),
        "keep_tokens": 0.25,
        "system": "",
        "offline": True,
        "decode_timeout_s": 5.0,
    }
    assert script.encoded == [("a.mp4", 60.0, 90.0)]
    assert script.asked == [("Who?", fake.Decoding(9, 0.5, 0.9, 7))]


def test_nothing_said_leaves_all_to_checkpoint_and_engine(run: Run, script: fake.Script) -> None:
    run("caption", "a.mp4")
    loaded = script.loaded[0]
    assert {loaded[key] for key in ("alpha", "base", "num_frames", "pooling_shape", "system")} == {None}
    assert {loaded[key] for key in ("dtype", "quantize", "encode", "device")} == {"auto"}
    assert loaded["keep_tokens"] == 1
    assert script.asked == [(None, fake.Decoding())]


def test_fast_preset(run: Run, script: fake.Script) -> None:
    run("caption", "--preset", "fast", "a.mp4")
    assert (script.loaded[0]["num_frames"], script.loaded[0]["pooling_shape"]) == (4, (4, 12, 12))


@pytest.mark.parametrize(
    ("own", "words", "frames", "pooling_shape"),
    [
        ({"num_frames": 8, "pooling_shape": [8, 4, 4]}, [], 4, (4, 4, 4)),
        ({"num_frames": 2, "pooling_shape": [1, 24, 3]}, [], 2, (1, 12, 3)),
        ({"num_frames": 2, "pooling_shape": [2, 4, 4]}, ["--frames", "6"], 6, (2, 4, 4)),
        ({"num_frames": 2, "pooling_shape": [2, 4, 4]}, ["--pooling-shape", "8,8,8"], 2, (8, 8, 8)),
        ({"num_frames": 2, "pooling_shape": [2, 4, 4]}, ["--pooling-shape", "none"], 2, "none"),
        ({}, [], 4, (4, 12, 12)),
        ({"num_frames": 3}, [], 3, (4, 12, 12)),
    ],
)
def test_a_preset_never_enlarges(
    run: Run,
    script: fake.Script,
    checkpoint: Path,
    own: dict[str, object],
    words: list[str],
    frames: int,
    pooling_shape: object,
) -> None:
    """What is asked for by name may."""
    (checkpoint / "config.json").write_text(json.dumps(own))
    assert run("caption", "--preset", "fast", *words, "a.mp4").status == 0
    assert (script.loaded[0]["num_frames"], script.loaded[0]["pooling_shape"]) == (frames, pooling_shape)


def test_a_preset_never_enlarges_what_the_registry_says(
    run: Run, script: fake.Script, checkpoint: Path
) -> None:
    folder = configfile.config_dir()
    folder.mkdir(parents=True)
    (folder / "weights.toml").write_text(
        f'[checkpoints.small]\ndescription = "x"\npath = "{checkpoint}"\n'
        "num_frames = 3\npooling_shape = [3, 5, 20]"
    )
    result = run("caption", "--preset", "fast", "--model", "small", "-v", "a.mp4")
    assert result.status == 0
    assert "\nframes = 3  (the checkpoint's own is less than the preset's)\n" in result.err
    assert (script.loaded[0]["num_frames"], script.loaded[0]["pooling_shape"]) == (3, (3, 5, 12))


def test_prompt_file(run: Run, script: fake.Script) -> None:
    Path("prompt.txt").write_text("Say it\nin verse.\n", encoding="utf-8")
    run("caption", "--prompt-file", "prompt.txt", "a.mp4")
    assert script.asked[0][0] == "Say it\nin verse."


@pytest.mark.parametrize("stopped", ["length", "repetition"])
def test_cut_off_captions_are_pointed_out(run: Run, script: fake.Script, stopped: str) -> None:
    script.stopped = stopped
    result = run("caption", "a.mp4")
    assert result.out == "A bird flies.\n"
    assert result.err.startswith("warning: a.mp4: cut off")


def test_empty_caption_is_pointed_out(run: Run, script: fake.Script) -> None:
    script.answers = [""]
    result = run("caption", "a.mp4")
    assert (result.status, result.out) == (0, "\n")
    assert result.err == "warning: a.mp4: the model said nothing\n"


def test_warnings_of_checkpoint_and_clip(run: Run, script: fake.Script) -> None:
    script.warnings, script.clip_warnings = ("odd checkpoint",), ("odd\nclip",)
    assert run("caption", "a.mp4").err == "warning: odd checkpoint\nwarning: a.mp4: odd\\nclip\n"


def test_verbose_says_settings_origins_and_reasons(run: Run, script: fake.Script) -> None:
    result = run("caption", "-v", "--frames", "2", "a.mp4")
    assert result.out == "A bird flies.\n"
    for expected in (
        "frames = 2  (--frames)",
        "PLLAVA_MODEL",
        "it fits",
        "frames at 0.00, 0.12 s",
        "decode 0.20 s",
    ):
        assert expected in result.err


def test_json_gives_a_record_a_clip_and_no_headings(run: Run, script: fake.Script) -> None:
    script.broken["b.mp4"] = fake.broken_clip("b.mp4")
    result = run("caption", "--json", "--start", "0.5", "a.mp4", "b.mp4")
    assert result.status == 3
    good, bad = result.records
    assert (good["status"], good["text"], good["task"]) == ("ok", "A bird flies.", "caption")
    assert good["question"] == "the default instruction" and good["system"] == "a system text"
    assert good["segment"] == {"index": 0, "start_s": 0.5, "end_s": None}
    assert good["frames"]["timestamps_s"][:2] == [0.0, 0.125]
    assert good["media"]["fps"] is None  # the header said infinity, which JSON cannot hold
    assert good["decoding"]["stopped"] == "eos"
    assert bad["status"] == "error" and bad["text"] is None and bad["frames"] is None
    assert bad["error"] == {"code": "clip", "message": "b.mp4 cannot be decoded", "hint": "convert it"}
    assert result.err == "error: b.mp4 cannot be decoded\nhint: convert it\n"


def test_json_has_a_record_of_what_ended_the_run(run: Run, script: fake.Script) -> None:
    script.answers = [DeviceError("out of memory", "use --preset fast")]
    result = run("caption", "--json", "a.mp4", "b.mp4")
    assert result.status == 6
    assert [(each["status"], each["error"]["code"]) for each in result.records] == [("error", "device")]


def test_names_that_are_not_utf8_or_hold_newlines(run: Run, script: fake.Script) -> None:
    name = os.fsdecode(b"\xff b\n\x1b[31m.mp4")
    Path(name).touch()
    assert run("caption", name).status == 0
    assert run("caption", name, "a.mp4").err.splitlines()[0] == "==> \\xff b\\n\\x1b[31m.mp4 <=="
    record = run("caption", "--json", name).records[0]
    assert os.fsencode(record["path"]) == os.fsencode(name)


def test_text_that_is_not_utf8_is_refused(run: Run, script: fake.Script) -> None:
    result = run("caption", "--prompt", os.fsdecode(b"\xff"), "a.mp4")
    assert (result.status, script.loaded) == (2, [])
    assert "expected UTF-8 text" in result.err


def test_json_line_is_one_line_whatever_the_model_says(run: Run, script: fake.Script) -> None:
    script.answers = ["a\nb\u2028c\x85d\x1b[2J"]
    result = run("caption", "--json", "a.mp4")
    assert len(result.out.splitlines()) == 1
    assert json.loads(result.out)["text"] == "a\nb\u2028c\x85d\x1b[2J"
