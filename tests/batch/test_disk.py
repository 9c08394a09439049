"""Files that are replaced whole: what stays when something comes in between."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from stat import S_IMODE

import pytest

from pllava_cli.batch.disk import replacing
from pllava_cli.batch.journal import Journal
from pllava_cli.errors import UsageError
from tests.disks import room
from tests.locking import before_locking

ROOT = Path(__file__).parents[2]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("before", [None, b"before\n"])
def test_the_file_appears_once_it_is_whole(tmp_path: Path, before: bytes | None) -> None:
    file = tmp_path / "a.jsonl"
    if before is not None:
        file.write_bytes(before)
        file.chmod(0o640)
    with replacing(file) as stream:
        stream.write(b"after\n")
        stream.flush()
        assert file.read_bytes() == before if before else not file.exists()
    assert file.read_bytes() == b"after\n" and names(tmp_path) == ["a.jsonl"]
    assert before is None or S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [None, b"before\n"])
def test_an_error_leaves_what_was_there(
    tmp_path: Path, before: bytes | None, error: type[BaseException]
) -> None:
    file = tmp_path / "a.jsonl"
    if before is not None:
        file.write_bytes(before)
    with pytest.raises(error), replacing(file) as stream:
        stream.write(b"after\n")
        raise error
    assert names(tmp_path) == (["a.jsonl"] if before else [])
    assert before is None or file.read_bytes() == before


def test_a_kill_between_the_two_names_of_a_file_locks_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.jsonl"
    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", lambda path, **_: None)  # the kill comes before it
        with replacing(file) as stream:
            stream.write(b"before\n")
    assert len(names(tmp_path)) == 2
    with replacing(file) as stream:
        stream.write(b"after\n")
    assert file.read_bytes() == b"after\n" and names(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, size: int) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"before\n")
    with room(5), pytest.raises(UsageError) as caught, replacing(file) as stream:
        stream.write(bytes(size))  # the smaller one stays in the buffer until the end
    assert "cannot write" in caught.value.message and caught.value.hint == "free some space"
    assert file.read_bytes() == b"before\n" and names(tmp_path) == ["a.jsonl"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "real.jsonl").write_bytes(b"before\n")
    link = tmp_path / "link.jsonl"
    link.symlink_to("folder/real.jsonl")
    with replacing(link) as stream:
        stream.write(b"after\n")
    assert link.is_symlink() and (tmp_path / "folder" / "real.jsonl").read_bytes() == b"after\n"


def test_a_file_in_use_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    with Journal.open(file), pytest.raises(UsageError, match="another run is writing to"), replacing(file):
        pass
    with replacing(file), pytest.raises(UsageError, match="another run is writing to"):
        Journal.open(file)
    with replacing(file), pytest.raises(UsageError, match="another run is writing to"), replacing(file):
        pass
    assert names(tmp_path) == ["a.jsonl"]


def test_what_another_run_has_just_written_stays(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"before\n")

    def write() -> None:
        with replacing(file) as stream:
            stream.write(b"theirs\n")

    with (
        before_locking(write),
        pytest.raises(UsageError, match="another run has just written"),
        replacing(file),
    ):
        pytest.fail("both write")
    assert file.read_bytes() == b"theirs\n" and names(tmp_path) == ["a.jsonl"]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    with pytest.raises(UsageError, match="has appeared meanwhile"), replacing(file) as stream:
        stream.write(b"ours\n")
        file.write_bytes(b"theirs\n")
    assert file.read_bytes() == b"theirs\n" and names(tmp_path) == ["a.jsonl"]


def test_without_links_the_file_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with replacing(tmp_path / "a.jsonl") as stream:
        stream.write(b"after\n")
    assert (tmp_path / "a.jsonl").read_bytes() == b"after\n" and names(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize(
    ("name", "said"), [("gone/a.jsonl", "there is no folder"), ("", "is a directory"), ("a/b", "cannot")]
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(UsageError, match=said), replacing(tmp_path / name):
        pass


_KILLED = """
import os, sys
from pathlib import Path
from pllava_cli.batch.disk import replacing
with replacing(Path(sys.argv[1])) as stream:
    stream.write(b"after" * 10_000)
    stream.flush()
    os.kill(os.getpid(), 9)
"""


def test_a_kill_leaves_what_was_there_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"before\n")
    done = subprocess.run([sys.executable, "-c", _KILLED, file], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL and file.read_bytes() == b"before\n"
    assert [name for name in names(tmp_path) if not name.startswith(".")] == ["a.jsonl"]
    assert len(names(tmp_path)) == 2
    with replacing(file) as stream:
        stream.write(b"after\n")
    assert file.read_bytes() == b"after\n" and names(tmp_path) == ["a.jsonl"]
