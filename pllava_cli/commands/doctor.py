"""`pllava doctor`: what this machine has and which checkpoint fits it.

Every line is looked up on its own and a failure becomes part of the report: this is the command one
runs when something is broken.
"""

import json
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pllava_cli import __version__, registry, settings
from pllava_cli.commands import codecs
from pllava_cli.commands.models import whereabouts
from pllava_cli.commands.options import OutputFlags, takes
from pllava_cli.errors import ExitStatus, PllavaError
from pllava_cli.terminal import Terminal

EXAMPLES = """
# what is here, and what fits
pllava doctor
# for a bug report
pllava doctor --json > doctor.json
"""

PACKAGES = {
    "torch": "torch",
    "transformers": "transformers",
    "tokenizers": "tokenizers",
    "safetensors": "safetensors",
    "huggingface-hub": "huggingface-hub",
    "peft": "peft",
    "accelerate": "accelerate",
    "bitsandbytes": "bitsandbytes",
    "opencv": "opencv-python",
    "av": "av",
    "scenedetect": "scenedetect",
    "ray": "ray",
    "pycocoevalcap": "pycocoevalcap",
    "matplotlib": "matplotlib",
}
"""What we call a library, and the package that brings it."""

_OPENCV_BUILDS = ("opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")

_PRECISIONS = {"bf16": ("bf16", "none"), "int8": ("bf16", "8bit"), "nf4": ("bf16", "4bit")}
"""Columns of the table of what fits, as dtype and quantisation."""


@takes(OutputFlags)
def doctor(terminal: Terminal, flags: OutputFlags) -> int:
    """Show what this machine has and which checkpoint fits it.

    Libraries, devices, the precision that suits the CPU, codecs, the folder for checkpoints, every
    setting with where it comes from, and the precisions in which each checkpoint fits. Something
    optional that is missing is no error.
    """
    terminal.progress.update("looking around", 0, 0)
    report = examine()
    if flags.json:
        terminal.line(json.dumps(report))
    else:
        _render(terminal, report)
    return ExitStatus.OK


def examine() -> dict[str, Any]:
    """Look everything up; what fails is a text under `error` in its place."""
    devices = _guarded(_devices)
    backend = _guarded(_quantization)
    return {
        "pllava": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "packages": {name: _version(package) for name, package in PACKAGES.items()},
        "devices": devices,
        "precision": _guarded(_precision),
        "quantization": backend,
        "codecs": _guarded(codecs.examine),
        "cache": _guarded(_cache),
        "settings": _guarded(_settings),
        "checkpoints": _guarded(lambda: _fits(devices, backend)),
    }


def _guarded(look: Callable[[], Any]) -> Any:
    try:
        return look()
    except PllavaError as error:
        return {"error": f"{error.message}; {error.hint}".rstrip("; ")}
    except Exception as error:  # a broken library may raise anything, and the report must go on
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}


def _version(package: str) -> str | None:
    from importlib import metadata  # brings the parsers of mail headers with it

    for name in (package, *(_OPENCV_BUILDS if package == "opencv-python" else ())):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _devices() -> list[dict[str, Any]]:
    from pllava_cli.model.device import SPARE, devices

    found = devices()
    return [
        {
            "device": "cpu" if each.kind == "cpu" else f"{each.kind}:{index}",  # CUDA devices come first
            "kind": each.kind,
            "name": each.name,
            "total_gb": round(each.total_bytes / 1e9, 1),
            "free_gb": round(each.free_bytes / 1e9, 1),
            "usable_gb": round(each.free_bytes * SPARE / 1e9, 1),
        }
        for index, each in enumerate(found)
    ]


def _precision() -> dict[str, str]:
    from pllava_cli.model.cpu import suited_precision

    dtype, why = suited_precision()
    return {"cpu": dtype, "why": why}


def _quantization() -> dict[str, Any]:
    from pllava_cli.model.device import quantization_backend

    usable, why = quantization_backend()
    return {"usable": usable, "why": why}


def _cache() -> dict[str, Any]:
    from pllava_cli.hubcache import cache_dir

    folder = cache_dir()
    there = next(each for each in (folder, *folder.parents, Path("/")) if each.exists())
    return {"folder": str(folder), "free_gb": round(shutil.disk_usage(there).free / 1e9, 1)}


def _settings() -> list[dict[str, str]]:
    resolved = settings.described(settings.resolve(dict.fromkeys(settings.OPTIONS)))
    return [{"name": name, "value": value, "origin": origin} for name, value, origin in resolved]


def _fits(devices: Any, backend: Any) -> list[dict[str, Any]]:
    """Say for each checkpoint and device in which precisions it fits into the memory a run may use."""
    rows = []
    for checkpoint in registry.all_checkpoints():
        row: dict[str, Any] = {"name": checkpoint.name, "here": whereabouts(checkpoint)[0], "fits": []}
        for device in devices if isinstance(devices, list) else []:
            verdicts = {
                each: _verdict(checkpoint, each, device["usable_gb"], backend) for each in _PRECISIONS
            }
            row["fits"].append({"device": device["device"], **verdicts})
        rows.append(row)
    return rows


def _verdict(checkpoint: registry.Checkpoint, precision: str, usable_gb: float, backend: Any) -> str:
    """Say `yes`, `no` or why not, with the memory needed."""
    if precision != "bf16" and not backend.get("usable"):
        return "no back end"
    need_gb = checkpoint.memory_gb.get(precision)
    if need_gb is None and checkpoint.parameters is not None:
        from pllava_cli.model.footprint import weight_bytes

        need_gb = weight_bytes(checkpoint.parameters, *_PRECISIONS[precision]) / 1e9
    if need_gb is None:
        return "unknown"
    return f"{'yes' if need_gb <= usable_gb else 'no'} ({need_gb:.1f} GB)"


def _render(terminal: Terminal, report: dict[str, Any]) -> None:
    terminal.table([(name, report[name]) for name in ("pllava", "python", "system")])
    sections: dict[str, Callable[[Any], list[tuple[str, ...]]]] = {
        "packages": lambda found: [(name, version or "not installed") for name, version in found.items()],
        "devices": lambda found: [
            (
                each["device"],
                each["name"],
                f"{each['free_gb']} GB free of {each['total_gb']} GB",
                f"{each['usable_gb']} GB usable",
            )
            for each in found
        ],
        "precision": lambda found: [("cpu", found["cpu"], found["why"])],
        "quantization": lambda found: [("usable" if found["usable"] else "not usable", found["why"])],
        "codecs": lambda found: (
            [("codec", *found)]
            + [(name, *(each["codecs"][name] for each in found.values())) for name in codecs.DECODERS]
        ),
        "cache": lambda found: [(found["folder"], f"{found['free_gb']} GB free")],
        "settings": lambda found: [(each["name"], each["value"], each["origin"]) for each in found],
        "checkpoints": lambda found: (
            [("name", "here", "device", *_PRECISIONS)]
            + [(row["name"], row["here"], *fit.values()) for row in found for fit in row["fits"]]
        ),
    }
    for name, rows in sections.items():
        terminal.line(f"\n{name}")
        found = report[name]
        broken = isinstance(found, dict) and "error" in found
        terminal.table([("  error:", found["error"])] if broken else [("", *row) for row in rows(found)])
