"""The command line in this process: help, names and words that are wrong, and folders that have gone."""

import signal
from pathlib import Path

import pytest

import pllava_cli
from pllava_cli import app, registry

COMMANDS = [
    "caption",
    "ask",
    "batch",
    "check",
    "merge",
    "train",
    "doctor",
    "eval",
    "eval mvbench",
    "eval mc",
    "eval vcgbench",
    "eval videoqa",
    "eval captions",
    "eval judge",
    "models",
    "models list",
    "models show",
    "models pull",
    "models verify",
    "models rm",
    "models merge",
    "models quantize",
    "shapes",
    "shapes make",
]


@pytest.mark.parametrize("words", ["", *COMMANDS])
def test_every_help_ends_with_examples(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("-h", "--help"):
        assert app.main([*words.split(), flag]) == 0
        out, err = capsys.readouterr()
        usage, _, rest = out.partition("\n\nExamples:\n")
        assert usage.startswith(f"Usage: pllava {words}".rstrip()) and "-h, --help" in usage
        assert f"  pllava {words}".rstrip() in rest and "Manual: man pllava" in rest
        assert err == ""


def help_of(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return a command's help in one line."""
    assert app.main([*words.split(), "--help"]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_help_says_the_defaults_of_weights_toml(capsys: pytest.CaptureFixture[str]) -> None:
    base = registry.defaults()
    assert f"Longest answer, in tokens ({base.max_new_tokens})." in help_of("caption", capsys)
    assert f"or a directory ({base.model})." in help_of("eval mc", capsys)
    # A benchmark has its own limit, and there is no checkpoint to train from unless one is named.
    assert "Longest answer, in tokens. " in help_of("eval mc", capsys)
    assert "one merged by `pllava models merge`. " in help_of("train", capsys)


def test_help_says_the_users_defaults_unless_they_are_broken(capsys: pytest.CaptureFixture[str]) -> None:
    own = registry.user_file()
    own.parent.mkdir(parents=True)
    own.write_text("[defaults]\nmax_new_tokens = 31\n", encoding="utf-8")
    assert "Longest answer, in tokens (31)." in help_of("batch", capsys)
    own.write_text("[defaults", encoding="utf-8")
    assert "Longest answer, in tokens. " in help_of("batch", capsys)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--version"]) == 0
    assert capsys.readouterr().out == f"pllava {pllava_cli.__version__}\n"


@pytest.mark.parametrize("words", [[], ["models"]])
def test_nothing_to_do_shows_help_on_stderr(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("Usage: pllava") and "Examples:" in err


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (["capton", "a.mp4"], "'caption'"),
        (["models", "lst"], "'list'"),
        (["caption", "--modle", "x", "a.mp4"], "--model"),
        (["caption", "--preset", "fats", "a.mp4"], "fast"),
        (["models", "show", "plava-7b"], "pllava-7b"),
    ],
)
def test_unknown_names_get_a_suggestion(
    words: list[str], suggestion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(words) in (2, 5)
    out, err = capsys.readouterr()
    assert out == "" and suggestion in err
    assert len(err.splitlines()) == 2 and err.startswith("error: ") and "\nhint: " in err


@pytest.mark.parametrize("words", [["caption"], ["ask", "a.mp4"], ["models", "show"], ["doctor", "extra"]])
def test_missing_or_extra_words_are_usage_errors(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and f"see `pllava {' '.join(words[: 1 + (words[0] == 'models')])} --help`" in err


@pytest.mark.parametrize("words", [["batch", "clips", "--output"], ["caption", "a.mp4", "--quiet=1"]])
def test_option_without_its_value_or_with_one_too_many_points_to_its_command(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(words) == 2
    assert f"see `pllava {words[0]} --help`" in capsys.readouterr().err


def test_main_puts_signal_handlers_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    app.main(["--version"])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_deleted_working_directory_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert app.main(["models", "list"]) == 2
    assert capsys.readouterr().err.startswith("error: the working directory no longer exists\nhint: ")


def test_a_file_with_a_dash_gets_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.main(["caption", "-dash.mp4"]) == 2
    assert "hint: see `pllava caption --help`" in capsys.readouterr().err
    (tmp_path / "-dash.mp4").touch()
    assert app.main(["caption", "-dash.mp4"]) == 2
    assert "hint: to name the file, write ./-dash.mp4" in capsys.readouterr().err
