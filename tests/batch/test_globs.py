"""Patterns that no shell has expanded."""

from pathlib import Path

import pytest

from pllava_cli.batch.discovery import find
from pllava_cli.errors import UsageError
from tests.batch.tree import below, grow

NAMES = [
    "1.mp4",
    "10.mp4",
    "2.mp4",
    "n.txt",
    "x.dat",
    ".h.mp4",
    "a/3.mp4",
    "a/b/4.mp4",
    "a/b/n.txt",
    ".c/5.mp4",
]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.mp4", ["1.mp4", "2.mp4", "10.mp4"]),
        ("?.mp4", ["1.mp4", "2.mp4"]),
        ("[12].mp4", ["1.mp4", "2.mp4"]),
        ("[!1].mp4", ["2.mp4"]),
        (".*.mp4", [".h.mp4"]),
        ("*.dat", ["x.dat"]),  # as it says so
        ("*", ["1.mp4", "2.mp4", "10.mp4", "a/3.mp4", "a/b/4.mp4"]),  # known suffixes, and folders
        ("*/", ["a/3.mp4", "a/b/4.mp4"]),
        ("*/*.mp4", ["a/3.mp4"]),
        ("**/*.mp4", ["1.mp4", "2.mp4", "10.mp4", "a/3.mp4", "a/b/4.mp4"]),
        ("**", ["1.mp4", "2.mp4", "10.mp4", "a/3.mp4", "a/b/4.mp4"]),
        ("**/**/b/*", ["a/b/4.mp4"]),
        ("a/**/*.mp4", ["a/3.mp4", "a/b/4.mp4"]),
        ("./a//./*.mp4", ["a/3.mp4"]),
        (".c/*.mp4", [".c/5.mp4"]),
        ("a/../*0.mp4", ["a/../10.mp4"]),
    ],
)
def test_what_patterns_match(
    pattern: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(tmp_path, NAMES)
    monkeypatch.chdir(tmp_path)
    warnings: list[str] = []
    assert [str(work.clip.path) for work in find([pattern], warn=warnings.append)] == expected
    assert warnings == []
    absolute = find([f"{tmp_path}/{pattern}"], warn=print)
    assert below(tmp_path, absolute) == expected


def test_a_name_that_exists_is_no_pattern(tmp_path: Path) -> None:
    grow(tmp_path, ["[1].mp4", "1.mp4", "a*.mp4", "ab.mp4", "[x]/2.mp4", "x/3.mp4"])
    for name, expected in {"[1].mp4": "[1].mp4", "a*.mp4": "a*.mp4", "[x]": "[x]/2.mp4"}.items():
        assert below(tmp_path, find([str(tmp_path / name)], warn=print)) == [expected]


def test_deep_patterns_end_though_links_lead_upwards(tmp_path: Path) -> None:
    grow(tmp_path, ["a/1.mp4", "b/2.mp4"])
    for folder in ("a", "b"):
        for number in range(3):
            (tmp_path / folder / f"up{number}").symlink_to(tmp_path)
    works = find([f"{tmp_path}/**/*.mp4"], warn=print)
    assert sorted(work.clip.path.name for work in works) == ["1.mp4", "2.mp4"]


def test_patterns_of_manifests(tmp_path: Path) -> None:
    grow(tmp_path, ["1.mp4", "2.mp4"])
    (tmp_path / "a.csv").write_text("path\n1.mp4\n")
    (tmp_path / "b.csv").write_text("path\n2.mp4\n")
    assert below(tmp_path, find([f"{tmp_path}/*.csv"], warn=print)) == ["1.mp4", "2.mp4"]


def test_a_pattern_that_matches_no_clip_is_nothing_to_do(tmp_path: Path) -> None:
    grow(tmp_path, ["n.txt"])
    with pytest.raises(UsageError, match="nothing to do"):
        find([f"{tmp_path}/*"], warn=print)


def test_a_pattern_of_endless_parts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="parts"):
        find([f"{tmp_path}/" + "*/../" * 500 + "*"], warn=print)
