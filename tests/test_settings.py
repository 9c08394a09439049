"""Settings: five origins, their order, and what each refuses."""

from pathlib import Path
from typing import Any

import pytest

from pllava_cli import configfile, registry, settings
from pllava_cli.errors import UsageError


def resolve(said: dict[str, Any]) -> settings.Settings:
    """Resolve as for a command that has a flag for every setting."""
    return settings.resolve(dict.fromkeys(settings.OPTIONS) | said)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def user(isolated: Path) -> Path:
    """The user's settings file."""
    path = configfile.config_dir() / "config.toml"
    path.parent.mkdir(parents=True)
    return path


def test_nothing_said(here: Path) -> None:
    found = resolve({})
    defaults = registry.defaults()
    assert (found.model, found.max_new_tokens, found.decode_timeout_s) == (defaults.model, 256, 60.0)
    assert found.num_frames is found.pooling_shape is found.alpha is found.seed is found.prompt is None
    assert found.origins["model"] == "weights.toml" and found.origins["frames"] == "the checkpoint"


def test_each_origin_beats_the_next(here: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user.write_text("max_new_tokens = 10")
    assert resolve({}).max_new_tokens == 10
    (here / "pllava.toml").write_text("max_new_tokens = 20")
    assert resolve({}).max_new_tokens == 20
    monkeypatch.setenv("PLLAVA_MAX_NEW_TOKENS", "30")
    assert resolve({}).max_new_tokens == 30
    found = resolve({"max_new_tokens": "40"})
    assert (found.max_new_tokens, found.origins["max_new_tokens"]) == (40, "--max-new-tokens")


def test_origins_name_variable_and_file(here: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user.write_text("alpha = 8")
    monkeypatch.setenv("PLLAVA_DTYPE", "bf16")
    origins = resolve({}).origins
    assert (origins["alpha"], origins["dtype"]) == (str(user), "PLLAVA_DTYPE")
    assert ("alpha", "8", str(user)) in settings.described(resolve({}))
    assert ("offline", "false", "default") in settings.described(resolve({"offline": None}))


def test_an_empty_variable_says_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLLAVA_SEED", "")
    assert resolve({}).seed is None


def test_preset_counts_where_it_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "pllava.toml").write_text("frames = 8\npooling_shape = [8, 6, 6]")
    found = resolve({"preset": "fast"})
    assert (found.num_frames, found.pooling_shape) == (4, (4, 12, 12))
    assert found.origins["frames"] == "preset fast (--preset)"
    assert resolve({"preset": "fast", "frames": "2"}).num_frames == 2
    assert resolve({"preset": "standard"}).num_frames is None
    monkeypatch.setenv("PLLAVA_FRAMES", "3")
    (here / "pllava.toml").write_text('preset = "fast"')
    found = resolve({})
    assert (found.num_frames, found.pooling_shape) == (3, (4, 12, 12))


def test_what_a_preset_gives_is_told_from_what_is_asked_for(here: Path) -> None:
    assert resolve({"preset": "fast"}).from_preset == {"frames", "pooling_shape"}
    assert resolve({"preset": "fast", "frames": "2"}).from_preset == {"pooling_shape"}
    (here / "pllava.toml").write_text('preset = "fast"')
    assert resolve({"pooling_shape": "16,24,24"}).from_preset == {"frames"}
    (here / "pllava.toml").write_text("frames = 4\npooling_shape = [4, 12, 12]")
    assert resolve({}).from_preset == set()


def test_settings_that_a_command_does_not_have_are_not_heard(
    here: Path, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.write_text('preset = "fast"\nprompt_file = "not-there.txt"')
    monkeypatch.setenv("PLLAVA_TEMPERATURE", "hot")
    monkeypatch.setenv("PLLAVA_SEED", "7")
    found = settings.resolve({"frames": None, "pooling_shape": None, "seed": None})
    assert (found.num_frames, found.pooling_shape, found.prompt, found.seed) == (None, None, None, 7)
    user.write_text("temperature = 'hot'")  # a slip in a file is one for every command
    with pytest.raises(UsageError, match=r"config\.toml"):
        settings.resolve({"seed": None})


def test_texts_from_files(here: Path, user: Path) -> None:
    (user.parent / "ours.txt").write_text("Say it in verse.\n")
    (here / "system.txt").write_text("\ufeffBe brief.\n", encoding="utf-8")
    user.write_text('prompt_file = "ours.txt"')
    found = resolve({"system_file": "system.txt"})
    assert (found.prompt, found.system) == ("Say it in verse.", "Be brief.")
    assert found.origins["prompt"] == f"{user} {user.parent / 'ours.txt'}"
    assert resolve({"prompt": "Other."}).prompt == "Other."


def test_an_empty_system_text_is_one(here: Path) -> None:
    assert resolve({"system": ""}).system == ""


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("frames", "8", 8),
        ("pooling_shape", "16,12,12", (16, 12, 12)),
        ("pooling_shape", "16x12x12", (16, 12, 12)),
        ("keep_tokens", "0.25", 0.25),
        ("keep_tokens", "1", 1.0),
        ("alpha", "0", 0.0),
        ("offline", "yes", True),
        ("offline", "OFF", False),
        ("device", "cuda:1", "cuda:1"),
        ("top_p", "1", 1.0),
    ],
)
def test_text_is_read(
    here: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object
) -> None:
    monkeypatch.setenv(f"PLLAVA_{name.upper()}", text)
    found = resolve({})
    assert getattr(found, {"frames": "num_frames"}.get(name, name)) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("frames", "0"),
        ("frames", "-1"),
        ("frames", "4.5"),
        ("frames", "many"),
        ("frames", "9" * 5000),
        ("pooling_shape", "16,12"),
        ("pooling_shape", "16,12,x"),
        ("pooling_shape", "0,12,12"),
        ("keep_tokens", "0"),
        ("keep_tokens", "1.1"),
        ("keep_tokens", "nan"),
        ("keep_tokens", "25%"),
        ("alpha", "nan"),
        ("alpha", "inf"),
        ("alpha", "-1"),
        ("temperature", "hot"),
        ("top_p", "0"),
        ("top_p", "1.5"),
        ("seed", "-1"),
        ("max_new_tokens", "0"),
        ("device", "gpu"),
        ("device", "cuda:x"),
        ("dtype", "int8"),
        ("quantize", "2bit"),
        ("decode_timeout", "0"),
        ("offline", "perhaps"),
        ("model", " "),
        ("prompt", ""),
        ("prompt", "a\0b"),
        ("system", "\udcff"),
        ("preset", "slow"),
    ],
)
def test_wrong_values_name_the_flag(here: Path, name: str, text: str) -> None:
    with pytest.raises(UsageError, match="^--" + name.replace("_", "-")) as caught:
        resolve({name: text})
    assert caught.value.hint


def test_wrong_variable_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLLAVA_FRAMES", "x")
    with pytest.raises(UsageError, match=r"^PLLAVA_FRAMES: expected a whole number, found 'x'") as caught:
        resolve({})
    assert "leave it out" in caught.value.hint and "caption" not in caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected", "hint"),
    [
        ("frame = 4", "unknown key frame", "did you mean frames?"),
        ("start = 4", "unknown key start", "the keys are"),
        ('frames = "4"', "frames: expected a whole number", "correct frames"),
        ("offline = 1", "offline: expected true or false", "correct offline"),
        ("pooling_shape = [1, 2]", "pooling_shape: expected three", "correct"),
        ("pooling_shape = [1, 2, true]", "pooling_shape: expected", "correct"),
        ("keep_tokens = 2", "keep_tokens: expected a number from 0.001 to 1", "correct keep_tokens"),
        ('preset = "fats"', "there is no preset 'fats'", "did you mean fast?"),
        ("seed = 1.5", "seed: expected a whole number", "correct"),
        ("model = 7", "model: expected text", "correct"),
        ("[model]\nname = 1", "model: expected text", "correct"),
        ("frames = ", "is not valid TOML", "toml"),
    ],
)
def test_slips_in_a_file_name_file_and_key(here: Path, text: str, expected: str, hint: str) -> None:
    (here / "pllava.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        resolve({})
    assert "pllava.toml" in caught.value.message and expected in caught.value.message
    assert hint in caught.value.hint


def test_a_slip_in_a_lower_layer_is_not_passed_over(here: Path, user: Path) -> None:
    user.write_text("frames = 'x'")
    with pytest.raises(UsageError, match=r"config\.toml"):
        resolve({"frames": "4"})


def test_prompt_twice_in_one_layer(here: Path, user: Path) -> None:
    with pytest.raises(UsageError, match="--prompt and --prompt-file both give the prompt"):
        resolve({"prompt": "x", "prompt_file": "y"})
    user.write_text('system = "x"\nsystem_file = "y"')
    with pytest.raises(UsageError, match="both give the system"):
        resolve({})


@pytest.mark.parametrize("make", ["missing", "folder", "long", "binary", "empty", "fifo"])
def test_prompt_files_that_are_none(here: Path, make: str) -> None:
    path = here / "prompt.txt"
    match make:
        case "folder":
            path.mkdir()
        case "long":
            path.write_bytes(b"a" * (configfile.MAX_BYTES + 1))
        case "binary":
            path.write_bytes(b"\xff\xfe\x00")
        case "empty":
            path.write_text(" \n")
        case "fifo":
            import os

            os.mkfifo(path)
    with pytest.raises(UsageError, match=r"prompt\.txt"):
        resolve({"prompt_file": "prompt.txt"})


def test_prompt_file_that_the_system_cannot_open(here: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read n+: file name too long") as caught:
        resolve({"prompt_file": "n" * 300})
    assert caught.value.hint


def test_settings_file_that_is_a_folder_or_a_broken_link(here: Path) -> None:
    (here / "pllava.toml").symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"pllava\.toml does not exist"):
        resolve({})
    (here / "pllava.toml").unlink()
    (here / "pllava.toml").mkdir()
    with pytest.raises(UsageError, match="not a regular file"):
        resolve({})
