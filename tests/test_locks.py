"""Locks: who holds one, who is told, and what a name leads to by then."""

import errno
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.locks import held, is_in_place, lock, opened
from tests.locking import before_locking, without_locks

BUSY, GONE = UsageError("busy", ""), UsageError("gone", "")


def answer(folder: Path, *, is_shared: bool = False) -> str:
    """Who is told what that wants a folder."""
    try:
        with held(folder, BUSY, GONE, is_shared=is_shared):
            return "held"
    except UsageError as error:
        return error.message


def next_descriptor(folder: Path) -> int:
    """The number that what is opened next gets: the lowest that is not in use."""
    gc.collect()  # what other tests have left open goes now, and not in between
    descriptor = os.open(folder, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


def test_one_holds_it_alone_until_the_end(tmp_path: Path) -> None:
    with held(tmp_path, BUSY, GONE) as descriptor:
        assert os.path.samestat(os.fstat(descriptor), tmp_path.stat())
        assert answer(tmp_path) == answer(tmp_path, is_shared=True) == "busy"
    assert answer(tmp_path) == "held"


def test_those_that_share_it_keep_out_who_wants_it_alone(tmp_path: Path) -> None:
    with held(tmp_path, BUSY, is_shared=True):
        assert answer(tmp_path, is_shared=True) == "held"
        assert answer(tmp_path) == "busy"


def test_a_refusal_and_an_error_leave_nothing_open(tmp_path: Path) -> None:
    with held(tmp_path, BUSY):
        before = next_descriptor(tmp_path)
        assert answer(tmp_path) == "busy" and next_descriptor(tmp_path) == before
    with pytest.raises(ZeroDivisionError), held(tmp_path, BUSY):
        raise ZeroDivisionError
    assert answer(tmp_path) == "held"


def replace(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.mkdir()


@pytest.mark.parametrize("change", [replace, shutil.rmtree])
def test_what_has_lost_its_name_meanwhile_is_not_held(tmp_path: Path, change: Callable[[Path], None]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with before_locking(lambda: change(folder)):
        assert answer(folder) == "gone"
    folder.mkdir(exist_ok=True)
    with (
        before_locking(lambda: change(folder)),
        pytest.raises(UsageError, match="busy"),
        held(folder, BUSY),
    ):
        pytest.fail("another folder was held")


@pytest.mark.parametrize("name", ["ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL", "ENOLCK", "EBADF"])
def test_a_file_system_without_locks_is_used_without(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with without_locks(getattr(errno, name)):
        assert answer(folder) == "held"


def test_another_error_is_none_of_a_lack(tmp_path: Path) -> None:
    with without_locks(errno.EIO), pytest.raises(OSError, match="no locks here"), held(tmp_path, BUSY):
        pytest.fail("it was held")


def test_links_are_followed_where_users_may_have_made_them(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    with pytest.raises(OSError), held(tmp_path / "link", BUSY):  # the system's words differ
        pytest.fail("a link was followed")
    with held(tmp_path / "link", BUSY, follow_symlinks=True):
        assert answer(tmp_path / "folder") == "busy"


def test_a_file_of_ours_is_made_and_kept_and_no_link(tmp_path: Path) -> None:
    file = tmp_path / "file"
    os.close(opened(file))
    file.write_bytes(b"kept")
    descriptor = opened(file, os.O_APPEND)
    os.write(descriptor, b", and more")
    lock(descriptor, file, BUSY)
    assert file.read_bytes() == b"kept, and more" and is_in_place(descriptor, file)
    file.unlink()
    assert not is_in_place(descriptor, file)
    os.close(descriptor)
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(OSError):
        opened(tmp_path / "link")
    assert not file.exists()


_CLOSED = """
import os, sys
for each in sys.argv[1:]:
    try:
        os.fstat(int(each))
    except OSError:
        print("closed")
"""


def test_no_program_that_is_started_holds_it(tmp_path: Path) -> None:
    with held(tmp_path, BUSY) as folder:
        file = opened(tmp_path / "file")
        command = [sys.executable, "-S", "-c", _CLOSED, str(folder), str(file)]
        done = subprocess.run(command, close_fds=False, capture_output=True, text=True, check=True)
        os.close(file)
    assert done.stdout.split() == ["closed", "closed"]
