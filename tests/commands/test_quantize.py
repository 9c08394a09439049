"""`pllava models quantize`, and `caption` after it, through the real engine."""

import json
from pathlib import Path

import pytest

from pllava_cli import app
from pllava_cli.model import quantization


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    """The random checkpoint of the whole session; the fixture of this folder is a stand-in."""
    from benchmarks.random_checkpoint import SHAPES, write

    return write(request.getfixturevalue("tmp_path") / "random", SHAPES["tiny"], seed=4)


def test_caption_is_that_of_quantize_4bit(
    folder: Path,
    clip: Path,
    one_thread: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["caption", str(clip), "--model", str(folder), "--quantize", "4bit", "--device", "cpu", "--json"]
    words += ["--max-new-tokens", "24"]

    def caption() -> dict[str, object]:
        assert app.main(words) == 0
        record = json.loads(capsys.readouterr().out)
        return {key: record[key] for key in ("text", "model", "decoding", "fingerprint")}

    before = caption()
    assert app.main(["models", "quantize", str(folder), "--device", "cpu", "--json"]) == 0
    out, err = capsys.readouterr()
    done = json.loads(out)
    assert (done["quantize"], done["alpha"], done["is_new"]) == ("4bit", 4.0, True)
    assert "saved" in err and done["out"] in err
    with monkeypatch.context() as patch:
        patch.setattr(quantization, "pack", None)  # the save is read, nothing is packed
        assert caption() == before

    (next(folder.glob("*.safetensors"))).touch()
    assert app.main(words) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["text"] == before["text"]
    assert "warning: the save" in err and "is not what it was made from" in err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--quantize", "none"], 2, "packs nothing"),
        (["--quantize", "3bit"], 2, "3bit"),
        (["-o", ""], 2, "empty"),
        (["--alpha", "x"], 2, "--alpha"),
    ],
)
def test_what_cannot_be_meant(
    words: list[str], status: int, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["models", "quantize", str(folder), *words]) == status
    out, err = capsys.readouterr()
    assert out == "" and said in err and len(err.splitlines()) == 2


def test_a_checkpoint_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["models", "quantize", "pllava-13b"]) == 5
    assert "is not on this machine" in capsys.readouterr().err
