"""A folder that appears under its name only once it is whole, whatever comes between."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.training.folders import appearing
from tests.locking import before_locking


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_it_appears_with_all_that_is_in_it(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"
    with appearing(target) as folder:
        (folder / "one").write_text("1")
        assert not target.exists()
    assert (target / "one").read_text() == "1"
    assert names(target.parent) == ["target"]


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), appearing(tmp_path / "target") as folder:
        (folder / "one").write_text("1")
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_what_came_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not empty"), appearing(tmp_path / "target") as folder:
        (folder / "one").write_text("1")
        (tmp_path / "target").mkdir()
        (tmp_path / "target" / "mine").touch()
    assert names(tmp_path) == ["target"] and names(tmp_path / "target") == ["mine"]


def test_second_run_is_told_to_wait_and_the_first_goes_on(tmp_path: Path) -> None:
    with appearing(tmp_path / "target") as folder:
        (folder / "one").write_text("1")
        with pytest.raises(UsageError, match="another run is writing"), appearing(tmp_path / "target"):
            pytest.fail("both write")
    assert names(tmp_path / "target") == ["one"]


def test_what_another_run_has_just_finished_is_left_alone(tmp_path: Path) -> None:
    def finish() -> None:
        (tmp_path / ".target.partial" / "one").write_text("1")
        (tmp_path / ".target.partial").rename(tmp_path / "target")

    with (
        before_locking(finish),
        pytest.raises(UsageError, match="another run has just written"),
        appearing(tmp_path / "target"),
    ):
        pytest.fail("both write")
    assert names(tmp_path) == ["target"] and names(tmp_path / "target") == ["one"]


def test_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    (tmp_path / ".target.partial").symlink_to("mine")
    with pytest.raises(OSError), appearing(tmp_path / "target"):  # the system's words differ
        pytest.fail("a link was followed")
    assert names(tmp_path / "mine") == ["precious"]


_KILLED = """
import os, signal, sys
from pathlib import Path
from pllava_cli.training.folders import appearing
with appearing(Path(sys.argv[1])) as folder:
    (folder / "left").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_leaves_nothing_that_looks_whole_and_the_next_run_clears_it(tmp_path: Path) -> None:
    target = tmp_path / "target"
    done = subprocess.run([sys.executable, "-c", _KILLED, target], env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    assert names(tmp_path) == [".target.partial"]
    with appearing(target) as folder:
        assert names(folder) == []
        (folder / "whole").touch()
    assert names(tmp_path) == ["target"] and names(target) == ["whole"]
