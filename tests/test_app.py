"""The command line as a whole: help, usage errors, signals, closed pipes, terminals."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pllava_cli
from pllava_cli import app, registry

ROOT = Path(__file__).parents[1]
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
PATIENCE_S = 60.0


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables for a process that captions clips with the fake engine."""
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    (checkpoint / "model.safetensors").touch()
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    return os.environ | {"PYTHONPATH": str(ROOT), "PLLAVA_MODEL": str(checkpoint)}


def start(
    environment: dict[str, str], *arguments: str, script: dict[str, Any] | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """Start the command line with the fake engine, in the folder of the clips."""
    folder = Path(environment["PLLAVA_MODEL"]).parent
    environment = environment | {"FAKE_SCRIPT": json.dumps({"answers": ["A bird."]} | (script or {}))}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(
        [sys.executable, "-m", "tests.commands.entry", *arguments], env=environment, cwd=folder, **options
    )


SLOW = {"answers": [["A bird", " flies", " away", "."]], "pause_s": 600.0}
"""Says its first words and then takes for ever."""


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


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_keep_what_was_said_and_end_its_line(
    environment: dict[str, str], number: signal.Signals, status: int
) -> None:
    with start(environment, "caption", "a.mp4", "b.mp4", script=SLOW) as process:
        assert process.stdout is not None
        said = process.stdout.read(len("A bird"))
        process.send_signal(number)
        rest, err = process.communicate(timeout=PATIENCE_S)
    assert (said + rest, process.returncode) == (b"A bird\n", status)
    assert err == b"==> a.mp4 <==\n"


def test_closed_pipe_ends_quietly(environment: dict[str, str]) -> None:
    many = {"answers": [["A bird.\n"] * 200], "pause_s": 0.01}
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


def test_an_ignored_interrupt_stays_ignored(environment: dict[str, str]) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    slow = {"answers": [["A bird", " flies."]], "pause_s": 2.0}
    with start(environment, "caption", "a.mp4", script=slow, preexec_fn=ignore) as process:
        assert process.stdout is not None
        said = process.stdout.read(len("A bird"))
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE_S)
    assert (said + rest, process.returncode) == (b"A bird flies.\n", 0)


def test_the_process_ends_with_the_run(environment: dict[str, str]) -> None:
    """Nothing of Python's own leaving runs, which an interrupt could break off."""
    code = (
        "import atexit, sys, time; atexit.register(lambda: print('left late'));"
        "sys.argv[1:] = ['--version']; from pllava_cli.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"pllava {pllava_cli.__version__}\n".encode())


def test_the_decode_worker_ends_with_the_process(environment: dict[str, str]) -> None:
    code = (
        "import sys; from pllava_cli.video import reader;"
        "reader.start_decoder(); print(reader.decoder_pid(), flush=True);"
        "sys.argv[1:] = ['--version']; from pllava_cli.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout.split()[0]), 0)


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


class Screen:
    """A process whose three streams are one terminal."""

    def __init__(self, environment: dict[str, str], *arguments: str, script: dict[str, Any]) -> None:
        self.master, slave = pty.openpty()
        streams = {"stdin": slave, "stdout": slave, "stderr": slave}
        self.process = start(environment, *arguments, script=script, start_new_session=True, **streams)
        os.close(slave)
        self.shown = b""

    def read(self, until: bytes | None = None) -> bytes:
        """Read until some text has been shown or the terminal is closed."""
        deadline = time.monotonic() + PATIENCE_S
        while until is None or until not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.master], [], [], 1.0)[0]:
                try:
                    data = os.read(self.master, 4096)
                except OSError:  # Linux's way of saying that the other end is closed
                    data = b""
                if not data:
                    break
                self.shown += data
        return self.shown

    def close(self) -> int:
        status = self.process.wait(timeout=PATIENCE_S)
        os.close(self.master)
        return status


@pytest.fixture
def screens() -> Iterator[list[Screen]]:
    """Screens of a test, ended with it."""
    made: list[Screen] = []
    yield made
    for screen in made:
        screen.process.kill()
        screen.process.wait()


def test_terminal_never_receives_control_characters(environment: dict[str, str]) -> None:
    evil = {"answers": ["A\x1b]0;title\x07 bird\r\x9b2J.\tIt\nflies."]}
    screen = Screen(environment | {"TERM": "dumb"}, "caption", "a.mp4", script=evil)
    shown = screen.read()
    assert screen.close() == 0
    assert b"A\\x1b]0;title\\x07 bird\\r\\x9b2J.\tIt\r\nflies.\r\n" in shown
    assert b"\x1b" not in shown


def test_pipe_receives_the_model_s_words_as_they_are(environment: dict[str, str]) -> None:
    with start(environment, "caption", "a.mp4", script={"answers": ["A\x1b[1m bird."]}) as process:
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert out == b"A\x1b[1m bird.\n"


def test_progress_leaves_a_clean_terminal_after_ctrl_c(
    environment: dict[str, str], screens: list[Screen]
) -> None:
    screen = Screen(environment, "caption", "a.mp4", script=SLOW)
    screens.append(screen)
    screen.read(until=b"A bird")
    screen.process.send_signal(signal.SIGINT)
    shown = screen.read()
    assert screen.close() == 130
    assert b"loading the checkpoint" in shown and b"Traceback" not in shown
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l") >= 0, "the cursor is shown again"
    assert shown.endswith(b"A bird\r\n")


def test_two_interrupts_at_once_leave_the_cursor_shown(
    environment: dict[str, str], screens: list[Screen]
) -> None:
    for gap_s in (0.0, 0.001, 0.004):
        screen = Screen(environment, "caption", "a.mp4", "--json", script=SLOW)
        screens.append(screen)
        screen.read(until=b"answering")
        screen.process.send_signal(signal.SIGINT)
        time.sleep(gap_s)
        screen.process.send_signal(signal.SIGINT)
        shown = screen.read()
        assert screen.close() == 130
        assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l") >= 0 and b"Traceback" not in shown


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_colour(environment: dict[str, str], variables: dict[str, str]) -> None:
    screen = Screen(environment | variables, "caption", "a.mp4", "missing.mp4", script=SLOW)
    shown = screen.read()
    assert screen.close() == 2
    assert (b"\x1b[1;31merror:\x1b[0m" in shown) is (not variables)
    assert b"there is no file missing.mp4" in shown


def test_completion_offers_names_and_leaves_files_to_the_shell() -> None:
    def complete(words: str) -> list[str]:
        variables = {
            "_PLLAVA_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        command = [sys.executable, "-m", "pllava_cli"]
        done = subprocess.run(
            command, env=os.environ | variables, cwd=ROOT, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert complete("pllava cap") == ["caption"]
    assert complete("pllava caption --model pllava-1") == ["pllava-13b"]
    assert complete("pllava models show llava-v1.6-3") == ["llava-v1.6-34b"]
    assert complete("pllava ask --preset ") == ["standard", "fast"]
    assert complete("pllava caption --dtype b") == ["bf16"]
    assert complete("pllava caption ") == []


def test_completion_survives_a_broken_registry() -> None:
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "pllava"
    folder.mkdir(parents=True)
    (folder / "weights.toml").write_text("not = [toml")
    variables = {
        "_PLLAVA_COMPLETE": "complete_bash",
        "COMP_WORDS": "pllava caption --model x",
        "COMP_CWORD": "3",
    }
    command = [sys.executable, "-m", "pllava_cli"]
    done = subprocess.run(command, env=os.environ | variables, cwd=ROOT, capture_output=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (b"", b"")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    variables = {"_PLLAVA_COMPLETE": f"source_{shell}"}
    command = [sys.executable, "-m", "pllava_cli"]
    done = subprocess.run(
        command, env=os.environ | variables, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "_PLLAVA_COMPLETE" in done.stdout and done.stderr == ""
