"""The user's own registry: what it adds and changes, and what is told of its slips."""

import json
from pathlib import Path

import pytest

from pllava_cli import registry
from pllava_cli.errors import CheckpointError, UsageError


@pytest.fixture
def own(isolated: Path) -> Path:
    """The user's registry, not yet written."""
    path = registry.user_file()
    assert path == isolated / ".config" / "pllava" / "weights.toml"
    path.parent.mkdir(parents=True)
    return path


def test_own_registry_is_merged_key_by_key(own: Path, tmp_path: Path) -> None:
    (own.parent / "birds").mkdir()
    own.write_text(
        'defaults = { model = "birds" }\n'
        "[presets.fast]\nnum_frames = 8\n"
        "[presets.slow]\nnum_frames = 64\npooling_shape = [16, 12, 12]\n"
        "[checkpoints.pllava-7b]\nlora = { alpha = 16 }\n"
        '[checkpoints.birds]\npath = "birds"\nbase = "pllava-7b"\naliases = ["b"]\n'
        "[checkpoints.birds.lora]\nrank = 8\n"
    )
    known = registry.find("pllava-7b")
    assert known.lora == registry.Lora(128, 16.0, ("q_proj", "v_proj")) and known.repo == "ermu2001/pllava-7b"
    assert str(own) in known.origin and str(registry.builtin_file()) in known.origin
    birds = registry.find("b")
    assert birds.path == own.parent / "birds" and birds.origin == str(own)
    assert birds.lora == registry.Lora(8, None, ())
    assert registry.defaults().model == "birds" and registry.defaults().max_new_tokens == 256
    assert registry.defaults().presets["fast"].num_frames == 8
    assert registry.defaults().presets["fast"].pooling_shape == (4, 12, 12)
    assert [each.name for each in registry.all_checkpoints()][-1] == "birds"


def test_own_registry_may_turn_a_repository_into_a_path(own: Path) -> None:
    own.write_text('[checkpoints.pllava-7b]\npath = "/data/7b"\n')
    assert registry.find("7b").path == Path("/data/7b") and registry.find("7b").repo is None
    with pytest.raises(CheckpointError, match="there is no directory /data/7b"):
        registry.locate(registry.find("7b"), offline=False)


def test_own_registry_is_read_again_when_it_changes(own: Path) -> None:
    own.write_text('[checkpoints.one]\nrepo = "a/one"\n')
    assert registry.find("one").repo == "a/one"
    own.write_text('[checkpoints.one]\nrepo = "a/other"\n')
    assert registry.find("one").repo == "a/other"


def test_default_may_be_a_folder_that_is_not_there_now(own: Path) -> None:
    own.write_text('[defaults]\nmodel = "/media/disk/pllava"\n')
    assert registry.defaults().model == "/media/disk/pllava"
    assert registry.find("7b").name == "pllava-7b"


def test_a_directory_that_nobody_can_look_at_is_told(own: Path) -> None:
    """As a refusal, which `models list` and `doctor` show in its line; so is one closed to this user."""
    own.write_text(f'[checkpoints.x]\npath = "{"a" * 5000}"\n')
    with pytest.raises(CheckpointError, match=r"cannot be looked at: file name too long$") as caught:
        registry.locate(registry.find("x"), offline=False)
    assert "permissions" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("not toml", "is not valid TOML"),
        ("colour = 1", "unknown key colour"),
        ("checkpoints = 3", "checkpoints: expected a table"),
        ("[checkpoints]\nx = 3", "checkpoints.x must be a table"),
        ("[checkpoints.x]\nsize_gb = 3", "checkpoints.x has neither repo nor path"),
        ('[checkpoints.x]\nrepo = "a/b"\npath = "c"', "checkpoints.x has both repo and path"),
        ('[checkpoints.x]\nrepo = ""', "checkpoints.x.repo: expected text"),
        ('[checkpoints.x]\nrepo = "a/b"\nframes = 4', "unknown key checkpoints.x.frames"),
        (
            '[checkpoints.x]\nrepo = "a/b"\nnum_frames = "4"',
            "checkpoints.x.num_frames: expected a whole number",
        ),
        (
            '[checkpoints.x]\nrepo = "a/b"\nnum_frames = true',
            "checkpoints.x.num_frames: expected a whole number",
        ),
        (
            '[checkpoints.x]\nrepo = "a/b"\nnum_frames = 0',
            "checkpoints.x.num_frames: expected a whole number",
        ),
        (
            '[checkpoints.x]\nrepo = "a/b"\npooling_shape = [4, 12]',
            "checkpoints.x.pooling_shape: expected three",
        ),
        (
            '[checkpoints.x]\nrepo = "a/b"\npooling_shape = [4, 12, 0]',
            "checkpoints.x.pooling_shape: expected",
        ),
        ('[checkpoints.x]\nrepo = "a/b"\nlora = 4', "checkpoints.x.lora: expected a table"),
        (
            '[checkpoints.x]\nrepo = "a/b"\nlora = { alpha = -1 }',
            "checkpoints.x.lora.alpha: expected a number",
        ),
        (
            '[checkpoints.x]\nrepo = "a/b"\nlora = { alpha = nan }',
            "checkpoints.x.lora.alpha: expected a number",
        ),
        ('[checkpoints.x]\nrepo = "a/b"\nlora = { scale = 1 }', "unknown key checkpoints.x.lora.scale"),
        (
            '[checkpoints.x]\nrepo = "a/b"\ntemplate = "llama"',
            "checkpoints.x.template: expected one of vicuna, vicuna-inline",
        ),
        (
            '[checkpoints.x]\nrepo = "a/b"\nmemory_gb = { int2 = 1 }',
            "unknown key checkpoints.x.memory_gb.int2",
        ),
        ('[checkpoints.x]\nrepo = "a/b"\naliases = ["7b"]', "7b names both pllava-7b and x"),
        ('[checkpoints.x]\nrepo = "a/b"\naliases = "y"', "checkpoints.x.aliases: expected a list"),
        ("[presets.fast]\nnum_frames = 1.5", "presets.fast.num_frames: expected a whole number"),
        ("[defaults]\ntop_p = 0", "defaults.top_p: expected a number"),
        ("[defaults]\nmax_new_tokens = inf", "defaults.max_new_tokens: expected a whole number"),
        pytest.param(f"[defaults]\nalpha = {'9' * 5000}", "is not valid TOML", id="a number without end"),
        pytest.param(
            f"[checkpoints]\nx = 0x{'f' * 5000}", "more than 64 bits", id="a number that cannot be printed"
        ),
    ],
)
def test_slips_in_the_own_registry_name_file_and_key(own: Path, text: str, expected: str) -> None:
    own.write_text(text)
    with pytest.raises(UsageError) as caught:
        registry.all_checkpoints()
    assert expected in caught.value.message and str(own) in caught.value.message
    assert caught.value.hint and "\n" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[checkpoints.x]\nrepo = "a/b"\nrepo = "c"\n', None),
        ("\n\n[checkpoints.x]\nframes = 3\n", 4),
        ('[checkpoints.x]\nrepo = "a/b"\nlora = { alpha = -1 }\n', 3),
        ('[checkpoints.x]\nrepo = "a/b"\n[checkpoints.x.lora]\n# the rank\nrank = "high"', 5),
        ('[checkpoints.x]\n# num_frames = 4\nrepo = """\nnum_frames = 0\n"""\nnum_frames = 0', 6),
        ('[checkpoints.x]\nrepo = "a/b"\naliases = [\n  "y",\n  3,\n]\n', 3),
        ('[checkpoints."x-1.5"]\nrepo = "a/b"\n[checkpoints."y-1.5"]\nnum_frames = 4\n', 3),
        ('checkpoints."x.y".repo = "a/b"\ncheckpoints."x.y".num_frames = 0\n', 2),
        ('[checkpoints.x]\r\nrepo = "a/b"\r\nnum_frames = 0\r\n', 3),
        ('[checkpoints.x]\nrepo = "a/b"\naliases = ["7b"]\n', 3),
        ('[checkpoints.x]\nrepo = "a/b"\n[checkpoints.PLLAVA-7B]\nrepo = "c/d"\n', 3),
        ('# mine\n[checkpoints.pllava-7b]\naliases = ["7b", "13B"]\n', 3),
        ('[checkpoints.x]\nrepo = "a/b"\nmemory_gb = { bf16 = "much" }\n', 3),
        ('[checkpoints.x]\nrepo = "a/b"\n\n[checkpoints.x.source]\ncolour = "red"\n', 5),
        ('[defaults]\nalpha = 3\nmodel = "nonesuch"\n', 3),
        ("checkpoints = [[1]]\n", 1),
        ("[defaults]\nalpha = 4\ntop_p = 0", 3),
        ("[defaults]\n\ntop_p\n", None),
    ],
)
def test_slips_in_the_own_registry_name_the_line(own: Path, text: str, line: int | None) -> None:
    own.write_bytes(text.encode())
    with pytest.raises(UsageError) as caught:
        registry.all_checkpoints()
    expected = f"{own}:{line}: " if line else "(at line 3, column "  # the parser's own
    assert expected in caught.value.message


def test_own_registry_that_is_no_text_file(own: Path) -> None:
    own.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        registry.all_checkpoints()
    own.unlink()
    own.mkdir()
    with pytest.raises(UsageError, match="not a regular file"):
        registry.all_checkpoints()


def test_config_home_must_be_absolute(monkeypatch: pytest.MonkeyPatch, isolated: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert registry.user_file() == isolated / ".config" / "pllava" / "weights.toml"


@pytest.mark.parametrize(
    ("said", "alpha", "rank"),
    [("", 32, 8), ("lora = { rank = 16 }", 32, 16), ("lora = { alpha = 16 }", 16, 8)],
    ids=str,
)
def test_survey_keeps_what_the_registry_says(
    said: str, alpha: float, rank: int, own: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "config.json").write_text('{"num_frames": 16, "pooling_shape": [16, 12, 12]}')
    adapter = {"r": 8, "lora_alpha": 32, "base_model_name_or_path": "theirs"}
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    own.write_text(f'[checkpoints.mine]\npath = "{folder}"\nbase = "ours"\nnum_frames = 8\n{said}\n')
    found = registry.surveyed(registry.find("mine"))
    assert (found.base, found.num_frames, found.pooling_shape) == ("ours", 8, (16, 12, 12))
    assert found.lora == registry.Lora(rank, alpha, ())
    assert "num_frames" not in found.source and found.source["pooling_shape"] == "config.json"
