"""Who may import whom, read from the sources, and that help and completion stay light.

A module that is not in the tables below is an error: say where it belongs.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pllava_cli"
ROOT = PACKAGE.parent

OURS = {
    "__init__": {
        "answers",
        "engine",
        "errors",
        "loader",
        "model",
        "video",
    },  # on first use, through __getattr__
    "__main__": {"app"},
    "app": {"commands", "errors", "signals", "terminal"},
    "manpages": {"app", "commands", "errors", "settings"},
    "commands": {
        "batch",
        "checks",
        "commands",
        "configfile",
        "crew",
        "engine",
        "errors",
        "evaluation",
        "hub",
        "hubcache",
        "inputs",
        "loader",
        "model",
        "phrases",
        "precisions",
        "processors",
        "prompts",
        "quantizing",
        "recording",
        "records",
        "registry",
        "savelist",
        "settings",
        "shapes",
        "signals",
        "source",
        "terminal",
        "training",
        "visualstore",
    },
    "engine": {"answers", "encoded", "encoding", "errors", "loader", "model", "prompts"},
    "encoding": {
        "encoded",
        "errors",
        "loader",
        "model",
        "prompt_ids",
        "prompts",
        "registry",
        "video",
        "visualstore",
    },
    "visualstore": {"configfile", "encoded", "model", "video", "visualstore"},
    "encoded": {"phrases"},
    "prompt_ids": {"errors", "prompts"},
    "loader": {"errors", "model", "prompts", "registry", "saves"},
    "saves": {"errors", "model", "savelist"},
    "savelist": {"configfile", "errors", "hubcache", "locks", "model", "receipts", "registry"},
    "quantizing": {"errors", "loader", "model", "saves", "source", "training"},
    "source": {"loader"},
    "settings": {"configfile", "errors", "precisions", "registry", "weightsfile"},
    "registry": {"configfile", "errors", "hubcache", "weightsfile"},
    "weightsfile": {"configfile", "errors", "prompts"},
    "hubcache": {"errors", "receipts"},
    "receipts": set[str](),
    "hub": {"errors", "hub", "hubcache", "locks", "receipts"},
    "configfile": {"errors", "textfile"},
    "inputs": {"errors", "textfile"},
    "records": {"errors"},
    "recordkey": {"records"},
    "recordfile": {"jsonlines", "recordkey", "records"},
    "jsonlines": set[str](),
    "textfile": {"errors"},
    "locks": {"errors"},
    "recording": {"errors", "inputs", "records"},
    "batch": {
        "batch",
        "encoded",
        "errors",
        "inputs",
        "jsonlines",
        "locks",
        "phrases",
        "prompts",
        "recordfile",
        "recording",
        "recordkey",
        "records",
        "textfile",
        "video",
    },
    "evaluation": {
        "batch",
        "chart",
        "configfile",
        "errors",
        "evaluation",
        "inputs",
        "jsonlines",
        "multiple_choice",
        "phrases",
        "prompts",
        "recordfile",
        "recording",
        "recordkey",
        "records",
        "signals",
        "terminal",
        "textfile",
        "video",
    },
    "crew": {
        "batch",
        "crew",
        "engine",
        "errors",
        "model",
        "phrases",
        "recording",
        "records",
        "signals",
        "video",
    },
    "checks": {"checks", "errors", "jsonlines", "recordfile", "recordkey", "records", "textfile"},
    "terminal": {"errors", "progress"},
    "progress": set[str](),
    "signals": set[str](),
    "model": {"errors", "model", "phrases", "precisions"},
    "video": {"errors", "phrases", "signals", "video"},
    "training": {
        "errors",
        "jsonlines",
        "loader",
        "locks",
        "model",
        "phrases",
        "processors",
        "prompts",
        "registry",
        "signals",
        "source",
        "textfile",
        "training",
        "video",
    },
    "processors": set[str](),
    "phrases": set[str](),
    "chart": set[str](),
    "shapes": {"errors", "locks", "multiple_choice", "prompts", "shapes", "signals"},
    "multiple_choice": set[str](),
    "answers": set[str](),
    "prompts": {"errors"},
    "precisions": set[str](),
    "errors": set[str](),
}
"""What each room of the package may import of the others; `commands`, `model` and `video` are folders."""

THEIRS = {
    "torch": {"engine", "model", "training", "visualstore"},
    "transformers": {"engine", "model", "training"},
    "peft": {"engine", "model", "training"},
    "bitsandbytes": {"engine", "model"},
    "accelerate": {"engine", "model", "training"},
    "safetensors": {"model", "training", "visualstore"},
    "tokenizers": {"model"},
    "PIL": {"model"},
    "cv2": {"evaluation", "shapes", "video"},
    "av": {"video"},
    "scenedetect": {"video"},
    "pycocoevalcap": {"evaluation"},
    "numpy": {"checks", "engine", "model", "shapes", "training", "video"},
    "psutil": {"model", "video"},
    "huggingface_hub": {"hub", "hubcache", "model"},
    "typer": {"app", "commands", "manpages"},
    "matplotlib": {"evaluation"},
    "ray": {"crew"},
    "rich": {"progress"},
}
"""Where each library may be imported; any other library nowhere."""

LAZY = {
    "engine",
    "loader",
    "model",
    "quantizing",
    "saves",
    "shapes",
    "source",
    "training",
    "visualstore",
    "huggingface_hub",
    "rich",
}
"""What may not be imported while the command line is still being read: only inside functions."""

SOURCES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(tree: ast.AST, *, inner: bool = True) -> Iterator[str]:
    """Yield the dotted names a module imports; `inner`: those inside functions too."""
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node):
            continue
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "pllava_cli":
                yield from (f"pllava_cli.{each.name}" for each in node.names)
            else:
                yield node.module or ""
        elif inner or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports(node, inner=inner)


def split(names: Iterator[str]) -> tuple[set[str], set[str]]:
    """Return the rooms of ours and the libraries among imported names."""
    ours, theirs = set(), set()
    for name in names:
        top, _, rest = name.partition(".")
        if top == "pllava_cli":
            first = rest.partition(".")[0]
            if first and not first.startswith("__"):
                ours.add(first)
        elif top not in sys.stdlib_module_names:
            theirs.add(top)
    return ours, theirs


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_keep_to_the_table(path: Path) -> None:
    here = room(path)
    assert here in OURS, f"say in OURS what {here} may import"
    ours, theirs = split(imports(ast.parse(path.read_text())))
    assert ours - OURS[here] - {here} == set()
    for library in theirs:
        assert here in THEIRS.get(library, set()), f"{here} imports {library}"


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in SOURCES
        if room(path) in ("app", "commands", "settings", "registry", "terminal", "progress")
    ],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_the_command_line_imports_the_heavy_only_when_needed(path: Path) -> None:
    ours, theirs = split(imports(ast.parse(path.read_text()), inner=False))
    assert (ours | theirs) & LAZY == set()


def test_the_tables_hold_no_rooms_that_are_gone() -> None:
    assert {room(path) for path in SOURCES} == set(OURS)


HEAVY = (
    "torch",
    "transformers",
    "cv2",
    "numpy",
    "matplotlib",
    "huggingface_hub",
    "rich",
    "pllava_cli.engine",
)

_SPY = """
import sys
from pllava_cli.app import main
try:
    sys.exit(main())
finally:
    sys.stderr.write("loaded: " + " ".join(sys.modules))
"""


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["--help"], {}),
        (["--version"], {}),
        (["caption", "--help"], {}),
        (["ask", "-h"], {}),
        (["doctor", "-h"], {}),
        (["models", "show", "-h"], {}),
        (["models", "pull", "-h"], {}),
        (["train", "-h"], {}),
        (["train", "missing.jsonl"], {}),
        (["caption", "missing.mp4"], {}),
        (["batch", "-h"], {}),
        (["check", "-h"], {}),
        (["merge", "-h"], {}),
        (["eval", "mvbench", "-h"], {}),
        (["eval", "judge", "-h"], {}),
        (
            [],
            {
                "_PLLAVA_COMPLETE": "complete_bash",
                "COMP_WORDS": "pllava caption --model p",
                "COMP_CWORD": "3",
            },
        ),
        ([], {"_PLLAVA_COMPLETE": "source_bash"}),
    ],
    ids=lambda value: " ".join(value) or "none",
)
def test_help_and_completion_are_light(words: list[str], variables: dict[str, str]) -> None:
    command = [sys.executable, "-c", _SPY, *words]
    done = subprocess.run(
        command, env=os.environ | variables, cwd=ROOT, capture_output=True, text=True, check=False
    )
    loaded = set(done.stderr.rpartition("loaded: ")[2].split())
    assert "pllava_cli.app" in loaded
    assert loaded.intersection(HEAVY) == set()


@pytest.mark.parametrize(
    "words", [["models", "list"], ["models", "show", "tiny"], ["models", "rm", "tiny", "--saves", "--yes"]]
)
def test_what_looks_at_checkpoints_from_outside_needs_no_torch(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SPY, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    loaded = set(done.stderr.rpartition("loaded: ")[2].split())
    assert "pllava_cli.savelist" in loaded
    assert loaded.intersection({"torch", "transformers", "safetensors"}) == set()


@pytest.mark.parametrize("words", [["--help"], ["caption", "--help"]])
def test_help_does_without_pydantic(words: list[str]) -> None:
    """Typer's own way of reading values brings it in, at more than the cost of all the rest."""
    done = subprocess.run(
        [sys.executable, "-c", _SPY, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "pydantic" not in done.stderr.rpartition("loaded: ")[2].split()


def test_importing_the_package_costs_nothing() -> None:
    script = "import sys, pllava_cli; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()).intersection((*HEAVY, "typer")) == set()


def test_the_map_names_every_part_above_what_it_imports() -> None:
    """docs/layout.md is what a newcomer reads first."""
    tables = (ROOT / "docs" / "layout.md").read_text(encoding="utf-8").split("|---|---|")[1:]
    levels = {
        name.removesuffix("/"): level
        for level, table in enumerate(tables)
        for row in re.findall(r"^\| (`.*?`) \|", table, flags=re.MULTILINE)
        for name in re.findall(r"`([\w/]+)`", row)
    }
    files = {file.stem for file in PACKAGE.glob("*.py")}
    folders = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert levels.keys() == files - {"__init__"} | folders
    upwards = [
        (name, other)
        for name, others in OURS.items()
        for other in others
        if name != "__init__" and levels[other] < levels[name]
    ]
    assert upwards == []
