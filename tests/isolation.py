"""Keep tests apart from the person who runs them: own home, own settings, own cache, no network."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

_KEPT = "PLLAVA_TEST_"  # what tunes the tests themselves
_FOREIGN = (
    *("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "_PLLAVA_COMPLETE"),
    *("PYTHONIOENCODING", "PYTHONWARNINGS", "PYTHONDEVMODE", "OPENAI_API_KEY", "RAY_ADDRESS"),
)
"""What changes what is written and where to, wherever it is set."""
_state: dict[str, str] = {}


def pytest_configure(config: pytest.Config) -> None:
    # A shell has what it starts in the background ignore Ctrl-C, and so would all that tests start.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # The hub reads these once, when it is first imported, so they must stand before any test does that.
    _state["hub"] = tempfile.mkdtemp(prefix="pllava-tests-hub-")
    os.environ["HF_HOME"] = _state["hub"]
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN"):
        os.environ.pop(name, None)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_state.pop("hub", ""), ignore_errors=True)


@pytest.fixture(autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for every test; returns it."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith("PLLAVA_") and not name.startswith(_KEPT):
            monkeypatch.delenv(name)
    for name in _FOREIGN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TERM", "xterm")
    for name, folder in (("CONFIG", ".config"), ("CACHE", ".cache"), ("STATE", ".state"), ("DATA", ".data")):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / folder))
    return home
