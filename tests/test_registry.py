"""The registry: names, the user's own file, local directories, and where the files are."""

import json
import tomllib
from pathlib import Path

import pytest

from pllava_cli import registry
from pllava_cli.errors import CheckpointError, ExitStatus, UsageError


@pytest.fixture
def own(isolated: Path) -> Path:
    """The user's registry, not yet written."""
    path = registry.user_file()
    assert path == isolated / ".config" / "pllava" / "weights.toml"
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def cached(hub: Path, repo: str, files: dict[str, str]) -> Path:
    """Put a repository into the cache as the hub lays it out."""
    folder = hub / f"models--{repo.replace('/', '--')}"
    snapshot = folder / "snapshots" / "0123456789abcdef"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(snapshot.name)
    for name, text in files.items():
        (snapshot / name).write_text(text)
    return snapshot


def index(*names: str) -> str:
    return json.dumps({"weight_map": {f"tensor{number}": name for number, name in enumerate(names)}})


def test_every_entry_is_complete_and_says_where_its_figures_come_from() -> None:
    for checkpoint in registry.all_checkpoints():
        assert checkpoint.description and checkpoint.license and checkpoint.template and checkpoint.aliases
        assert checkpoint.parameters and checkpoint.size_gb
        assert set(checkpoint.memory_gb) == set(registry.PRECISIONS)
        said = {"license", "template", "parameters", "num_frames", "pooling_shape", "size_gb", "memory_gb"}
        said |= {"lora"} if checkpoint.lora else set()
        said |= {"base"} if checkpoint.base else set()
        assert set(checkpoint.source) == said, checkpoint.name
        if checkpoint.name == "tiny":
            continue
        assert checkpoint.repo and checkpoint.path is None and checkpoint.revision == "main"
        assert checkpoint.num_frames == 16 and checkpoint.pooling_shape == (16, 12, 12)
        is_pllava = checkpoint.name.startswith("pllava")
        assert bool(checkpoint.lora) is bool(checkpoint.base) is is_pllava


def test_the_built_in_checkpoint_lies_in_the_package_and_says_what_it_knows() -> None:
    tiny = registry.find("tiny")
    assert tiny.repo is None and tiny.license and tiny.description and "shapes" in tiny.notice
    folder = registry.locate(tiny, offline=True)
    assert folder.resolve().is_relative_to(Path(registry.__file__).parent.resolve())
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 12_000_000


def test_released_checkpoints_have_the_published_lora() -> None:
    for name in ("pllava-7b", "pllava-13b", "pllava-34b"):
        assert registry.find(name).lora == registry.Lora(128, 4.0, ("q_proj", "v_proj"))
        base = registry.find(registry.find(name).base or "")
        assert base.lora is None and base.parameters == registry.find(name).parameters
    assert registry.find("pllava-34b").template == "chatml"
    assert registry.find("pllava-7b").template == "vicuna"


def decoder_parameters(width: int, inner: int, layers: int, heads: int, kv_heads: int, rows: int) -> int:
    attention = 2 * width * width + 2 * width * kv_heads * width // heads
    return layers * (attention + 3 * width * inner + 2 * width) + width + 2 * rows * width


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("pllava-7b", (4096, 11008, 32, 32, 32, 32064)),
        ("pllava-13b", (5120, 13824, 40, 40, 40, 32064)),
        ("pllava-34b", (7168, 20480, 60, 56, 8, 64064)),
    ],
)
def test_figures_follow_from_the_shapes(name: str, shape: tuple[int, int, int, int, int, int]) -> None:
    width, _, layers, heads, kv_heads, _ = shape
    vision, inner = 1024, 4096
    layer = 4 * (vision * vision + vision) + 2 * vision * inner + inner + vision + 4 * vision
    tower = vision * 3 * 14 * 14 + vision + 577 * vision + 4 * vision + 24 * layer
    projector = vision * width + width + width * width + width
    parameters = decoder_parameters(*shape) + tower + projector
    lora = layers * 128 * (3 * width + kv_heads * width // heads)
    checkpoint = registry.find(name)
    assert checkpoint.parameters == parameters
    assert checkpoint.size_gb == round(2 * (parameters + lora) / 1e9, 1)
    assert checkpoint.memory_gb["bf16"] > 2 * parameters / 1e9


def test_defaults_and_presets() -> None:
    defaults = registry.defaults()
    assert registry.find(defaults.model).name == "pllava-7b"
    assert (defaults.alpha, defaults.temperature) == (4.0, 0.0)
    assert defaults.presets["fast"].num_frames == 4
    assert defaults.presets["fast"].pooling_shape == (4, 12, 12)
    assert defaults.presets["standard"].num_frames is None


@pytest.mark.parametrize("name", ["pllava-13b", "PLLaVA-13B", "13b", "ermu2001/pllava-13b"])
def test_find_by_name_alias_or_repository(name: str) -> None:
    assert registry.find(name).name == "pllava-13b"


def test_find_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "./mine", str(tmp_path / "mine"), Path("mine")):
        checkpoint = registry.find(name)
        assert checkpoint.path == tmp_path / "mine" and checkpoint.repo is None
        assert checkpoint.num_frames is None and checkpoint.template is None
        assert checkpoint.lora == registry.Lora(None, registry.defaults().alpha, ())


def test_a_name_comes_before_a_directory_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pllava-7b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert registry.find("pllava-7b").path is None
    assert registry.find("./pllava-7b").path == tmp_path / "pllava-7b"
    assert registry.find(Path("pllava-7b")).path == tmp_path / "pllava-7b"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("pllava-7", "did you mean pllava-7b?"),
        ("lava-v1.6-34", "did you mean llava-v1.6-34b?"),
        ("zzz", "pllava-7b, 7b"),
        ("./zzz", "models list"),
        ("~no-such-user/zzz", "models list"),
        ("", "models list"),
        ("a\0b", "pllava-7b"),
        ("x" * 5000, "pllava-7b"),
    ],
)
def test_unknown_names(name: str, hint: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        registry.find(name)
    assert caught.value.status == ExitStatus.CHECKPOINT
    assert hint in caught.value.hint


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(CheckpointError, match="is a file"):
        registry.find(str(tmp_path / "model.safetensors"))


def test_locate_in_the_cache(hub: Path) -> None:
    checkpoint = registry.find("pllava-7b")
    files = {"config.json": "{}", "a.safetensors": "", "b.safetensors": ""}
    files["model.safetensors.index.json"] = index("a.safetensors", "b.safetensors")
    snapshot = cached(hub, "ermu2001/pllava-7b", files)
    assert registry.locate(checkpoint, offline=True) == snapshot
    (snapshot / "b.safetensors").unlink()
    (snapshot / "b.safetensors").symlink_to("gone")  # a blob that is not there, as after a broken download
    with pytest.raises(CheckpointError, match=r"incomplete: .* lacks b\.safetensors$") as caught:
        registry.locate(checkpoint, offline=False)
    assert caught.value.hint == "run: pllava models pull pllava-7b"


def test_shards_without_their_index_are_not_taken_for_whole(hub: Path) -> None:
    cached(hub, "ermu2001/pllava-7b", {"config.json": "{}", "model-00001-of-00003.safetensors": ""})
    with pytest.raises(registry.IncompleteError, match=r"lacks model\.safetensors\.index\.json$"):
        registry.locate(registry.find("pllava-7b"), offline=False)


@pytest.mark.parametrize("offline", [False, True])
def test_what_is_not_here_names_the_command(hub: Path, offline: bool) -> None:
    with pytest.raises(CheckpointError, match=r"pllava-34b \(69.9 GB\) is not on this machine") as caught:
        registry.locate(registry.find("34b"), offline=offline)
    assert caught.value.hint.endswith("run: pllava models pull pllava-34b")
    assert ("on a machine with a network" in caught.value.hint) is offline


def test_a_directory_that_nobody_can_look_at_is_told(own: Path) -> None:
    """As a refusal, which `models list` and `doctor` show in its line; so is one closed to this user."""
    own.write_text(f'[checkpoints.x]\npath = "{"a" * 5000}"\n')
    with pytest.raises(CheckpointError, match=r"cannot be looked at: file name too long$") as caught:
        registry.locate(registry.find("x"), offline=False)
    assert "permissions" in caught.value.hint


def test_locate_a_directory(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    checkpoint = registry.find(str(folder))
    with pytest.raises(registry.IncompleteError, match=r"checkpoint has no config\.json$") as caught:
        registry.locate(checkpoint, offline=False)
    assert caught.value.status == ExitStatus.CHECKPOINT and "whole checkpoint" in caught.value.hint
    (folder / "config.json").write_text("{}")
    assert registry.locate(checkpoint, offline=False) == folder
    (folder / "config.json").unlink()
    folder.rmdir()
    with pytest.raises(CheckpointError, match="there is no directory"):
        registry.locate(checkpoint, offline=False)


@pytest.mark.parametrize(
    ("config", "frames", "shape"),
    [
        ('{"num_frames": 4, "pooling_shape": [4, 2, 2]}', 4, (4, 2, 2)),
        ('{"num_frames": "four", "pooling_shape": [4, 2]}', None, None),
        ('{"num_frames": -1, "pooling_shape": null}', None, None),
        ("{}", None, None),
    ],
)
def test_survey_of_a_directory(
    tmp_path: Path, config: str, frames: int | None, shape: tuple[int, int, int] | None
) -> None:
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "a.safetensors").write_bytes(bytes(3_000_000))
    (tmp_path / "b.safetensors").symlink_to("gone")
    found = registry.surveyed(registry.find(tmp_path))
    assert (found.num_frames, found.pooling_shape, found.size_gb) == (frames, shape, 0.003)


@pytest.mark.parametrize("text", ["", "[1]", "[" * 100_000])
def test_survey_of_a_broken_directory(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json holds no JSON object"):
        registry.surveyed(registry.find(tmp_path))


@pytest.mark.parametrize(
    "text", ["", "[1]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}', "[" * 100_000]
)
def test_hostile_index(hub: Path, text: str) -> None:
    cached(hub, "ermu2001/pllava-7b", {"config.json": "{}", "model.safetensors.index.json": text})
    with pytest.raises(CheckpointError, match="not an index"):
        registry.locate(registry.find("pllava-7b"), offline=False)


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
    assert birds.lora == registry.Lora(8, registry.defaults().alpha, ())
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


def test_default_may_be_a_folder_that_is_not_there_now(own: Path) -> None:
    own.write_text('[defaults]\nmodel = "/media/disk/pllava"\n')
    assert registry.defaults().model == "/media/disk/pllava"
    assert registry.find("7b").name == "pllava-7b"


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


def test_entry_as_plain_data_is_json() -> None:
    for checkpoint in registry.all_checkpoints():
        assert json.loads(json.dumps(registry.as_dict(checkpoint)))["name"] == checkpoint.name


def test_the_manual_page_names_every_key() -> None:
    page = (Path(__file__).parents[1] / "man" / "man5" / "pllava-weights.5").read_text()
    entries = tomllib.loads(registry.builtin_file().read_text())
    keys = set(entries["defaults"]) | {key for preset in entries["presets"].values() for key in preset}
    keys |= {key for entry in entries["checkpoints"].values() for key in entry}
    for key in keys | {"path", "revision", "rank", "targets", *registry.PRECISIONS}:
        assert any(word in page for word in (f".B {key}\n", f".BR {key} ", f".B {key} ")), key
