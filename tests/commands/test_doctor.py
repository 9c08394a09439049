"""`pllava doctor`: it reports, whatever is broken."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pllava_cli import registry
from pllava_cli.commands import codecs, doctor
from tests.commands.results import Run


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A machine with one graphics card, without asking torch."""
    from types import SimpleNamespace

    from pllava_cli.model import cpu, device

    card = SimpleNamespace(kind="cuda", name="A card", total_bytes=24 * 10**9, free_bytes=18 * 10**9)
    monkeypatch.setattr(device, "devices", lambda: [card])
    monkeypatch.setattr(device, "quantization_backend", lambda: (True, "some back end"))
    monkeypatch.setattr(cpu, "has_bf16_units", lambda: True)
    monkeypatch.setattr(cpu, "times_of_fp32", lambda dtype, layer: 1.72)
    return device


@pytest.fixture(autouse=True)
def quick_codecs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not start a process for each library in every test."""
    known = {"codecs": dict.fromkeys(codecs.DECODERS, "yes")}
    monkeypatch.setattr(codecs, "examine", lambda: {"opencv": known, "av": known})


def fits(report: dict[str, Any], name: str) -> dict[str, str]:
    return next(row for row in report["checkpoints"] if row["name"] == name)["fits"][0]


def test_what_fits(run: Run, device: ModuleType) -> None:
    result = run("doctor", "--json")
    report = json.loads(result.out)
    assert (result.status, result.err) == (0, "")
    assert fits(report, "pllava-7b") == {
        "device": "cuda:0",
        "bf16": "yes (15.7 GB)",
        "int8": "yes (9.3 GB)",
        "nf4": "yes (6.1 GB)",
    }
    assert fits(report, "pllava-34b")["nf4"] == "no (20.7 GB)"
    assert {"name": "frames", "value": "-", "origin": "the checkpoint"} in report["settings"]
    assert report["cache"]["free_gb"] > 0


def test_what_fits_leaves_what_a_run_leaves(run: Run, device: ModuleType) -> None:
    card = device.devices()[0]
    card.free_bytes = 16 * 10**9
    report = json.loads(run("doctor", "--json").out)
    assert report["devices"][0]["usable_gb"] == round(16 * device.SPARE, 1)
    assert fits(report, "pllava-7b")["bf16"] == "no (15.7 GB)"


def test_precision_of_the_cpu(run: Run, device: ModuleType) -> None:
    report = json.loads(run("doctor", "--json").out)
    why = "the CPU multiplies fp32 1.7 times as fast as bf16"
    assert report["precision"] == {"cpu": "fp32", "why": why}
    assert f"  cpu  fp32  {why}" in run("doctor").out.splitlines()


def test_without_a_back_end_nothing_is_quantised(
    run: Run, device: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "quantization_backend", lambda: (False, "not installed"))
    found = fits(json.loads(run("doctor", "--json").out), "pllava-7b")
    assert (found["bf16"], found["nf4"]) == ("yes (15.7 GB)", "no back end")


def test_a_checkpoint_without_figures(run: Run, device: ModuleType) -> None:
    registry.user_file().parent.mkdir(parents=True)
    registry.user_file().write_text(
        '[checkpoints.one]\npath = "one"\n[checkpoints.two]\npath = "two"\nparameters = 1_000_000_000\n'
    )
    report = json.loads(run("doctor", "--json").out)
    assert fits(report, "one")["bf16"] == "unknown"
    assert fits(report, "two")["bf16"] == "yes (2.0 GB)"


def test_for_people(run: Run, device: ModuleType) -> None:
    result = run("doctor")
    assert result.status == 0
    sections = [line for line in result.out.splitlines() if line and not line.startswith(" ")]
    assert sections[3:] == [
        "packages",
        "devices",
        "precision",
        "quantization",
        "codecs",
        "cache",
        "settings",
        "checkpoints",
    ]
    assert "18.0 GB free of 24.0 GB" in result.out
    rows = [line.split() for line in result.out.splitlines()]
    assert ["cuda:0", "A", "card"] in [row[:3] for row in rows]


def test_broken_libraries_become_lines_of_the_report(
    run: Run, device: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ImportError("libcudart.so: cannot open\nand more")

    monkeypatch.setattr(device, "devices", broken)
    monkeypatch.setattr(device, "quantization_backend", broken)
    monkeypatch.setattr(codecs, "examine", broken)
    result = run("doctor")
    assert result.status == 0
    assert result.out.count("ImportError: libcudart.so: cannot open") == 3 and "and more" not in result.out
    assert json.loads(run("doctor", "--json").out)["checkpoints"][0]["fits"] == []


def test_broken_settings_become_a_line_of_the_report(run: Run, device: ModuleType, clips: Any) -> None:
    (clips / "pllava.toml").write_text("frame = 3")
    result = run("doctor")
    assert result.status == 0
    assert "error:  pllava.toml:1: unknown key frame; did you mean frames?" in result.out


def test_packages_of_every_extra_are_listed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    wanted = {re.split("[<>=]", each)[0] for name in extras if name != "dev" for each in extras[name]}
    assert wanted and wanted <= set(doctor.PACKAGES.values())


def test_missing_packages(run: Run, device: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.PACKAGES, "av", "no-such-package")
    assert json.loads(run("doctor", "--json").out)["packages"]["av"] is None


def test_codecs_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    if not sys.platform.startswith("linux"):
        pytest.skip("the FFmpeg inside a library is only found on Linux")
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    found = codecs.examine()
    assert found["opencv"]["codecs"]["h264"] == found["opencv"]["codecs"]["mjpeg"] == "yes"


def test_codecs_where_the_library_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    found = codecs.examine({"opencv": "no_such_module"})["opencv"]
    assert set(found["codecs"].values()) == {"?"} and "no_such_module" in found["reason"]

    def hang(*arguments: object, **options: object) -> None:
        raise subprocess.TimeoutExpired("probe", 60)

    monkeypatch.setattr(subprocess, "run", hang)
    assert "timed out" in codecs.examine()["opencv"]["reason"]
