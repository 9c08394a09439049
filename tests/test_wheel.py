"""The built wheel: what is in it, and that the registry is found there."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import pllava_cli

ROOT = Path(__file__).parents[1]
PARTS = ("pyproject.toml", "README.md", "LICENSE", "weights.toml", "pllava_cli", "man")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy so that nothing is left in the checkout."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling, which builds the wheel, is not installed")
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("this is no checkout")
    folder = tmp_path_factory.mktemp("source")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(next((folder / "dist").glob("*.whl")))


def test_everything_is_in_it(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    data = f"pllava-{pllava_cli.__version__}.data/data/share/man"
    assert {f"{data}/{path.relative_to(ROOT / 'man')}" for path in (ROOT / "man").rglob("*.?")} <= names
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "pllava_cli").rglob("*.py")} <= names
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "pllava_cli").rglob("*.txt")} <= names
    assert {"pllava_cli/weights.toml", "pllava_cli/py.typed"} <= names
    assert {"pllava_cli/shapes/tiny/model.safetensors", "pllava_cli/shapes/tiny/tokenizer.json"} <= names
    assert wheel.read("pllava_cli/weights.toml") == (ROOT / "weights.toml").read_bytes()


def test_nothing_else_is_in_it(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    version = pllava_cli.__version__
    assert tops == {"pllava_cli", f"pllava-{version}.dist-info", f"pllava-{version}.data"}


def test_console_script(wheel: zipfile.ZipFile) -> None:
    entry_points = wheel.read(f"pllava-{pllava_cli.__version__}.dist-info/entry_points.txt").decode()
    assert "[console_scripts]\npllava = pllava_cli.__main__:main" in entry_points


def test_installed_tool_finds_its_registry(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    script = (
        "from pllava_cli import registry; print(registry.builtin_file()); print(registry.find('7b').name); "
        "print(registry.locate(registry.find('tiny'), offline=True))"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    package = tmp_path / "pllava_cli"
    found = [str(package / "weights.toml"), "pllava-7b", str(package / "shapes" / "tiny")]
    assert done.stdout.splitlines() == found
    command = [sys.executable, "-P", "-m", "pllava_cli", "--version"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"pllava {pllava_cli.__version__}\n"
