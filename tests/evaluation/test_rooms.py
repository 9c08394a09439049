"""The rooms of `evaluation`: each imports only those that come before it on a run's way."""

import ast
from pathlib import Path

import pytest

from tests.test_import_table import PACKAGE, imports

HERE = PACKAGE / "evaluation"

MAY_IMPORT = {
    "items": set[str](),
    "reading": set[str](),
    "benchmarks": {"items", "reading"},
    "answering": {"items", "reading", "benchmarks"},
    "judging": {"items"},
    "scoring": {"items", "benchmarks", "judging"},
    "report": {"items", "reading", "benchmarks", "scoring"},
    "asked": {"items", "benchmarks", "judging", "scoring"},
    "rundir": {"reading", "judging", "asked"},
    "__init__": set[str](),
}
"""What each may import of the others."""


def room(path: Path) -> str:
    return path.relative_to(HERE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted(HERE.rglob("*.py")), ids=lambda path: str(path.relative_to(HERE)))
def test_a_room_imports_what_comes_before_it(path: Path) -> None:
    names = (name.split(".") for name in imports(ast.parse(path.read_text())))
    others = {name[2] for name in names if name[:2] == ["pllava_cli", "evaluation"] and len(name) > 2}
    assert others - {room(path)} <= MAY_IMPORT[room(path)]


def test_the_table_holds_no_rooms_that_are_gone() -> None:
    assert {room(path) for path in HERE.rglob("*.py")} == set(MAY_IMPORT)
