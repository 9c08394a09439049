"""What control groups leave of the main memory."""

from pathlib import Path

import pytest

from pllava_cli.model import device, groups

GB = 10**9


def described(folder: Path, **files: object) -> None:
    """A group's folder; `limit_in_bytes=3` is a file memory.limit_in_bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"memory.{name}").write_text(f"{content}\n")


def left(tmp_path: Path, own: str) -> int | None:
    (tmp_path / "own").write_text(own)
    return groups.bytes_left(tmp_path / "own", tmp_path / "mounted")


def test_cache_of_files_counts_as_free(tmp_path: Path) -> None:
    described(
        tmp_path / "mounted" / "job", max=8 * GB, current=5 * GB, stat=f"anon 9\ninactive_file {2 * GB}"
    )
    assert left(tmp_path, "0::/job\n") == 5 * GB


def test_the_tightest_group_counts(tmp_path: Path) -> None:
    described(tmp_path / "mounted" / "job", max=3 * GB, current=GB, stat="")
    described(tmp_path / "mounted" / "job" / "step", max="max", current=GB, stat="")
    described(tmp_path / "mounted", max=9 * GB, current=GB, stat="")
    assert left(tmp_path, "0::/job/step\n") == 2 * GB


def test_older_kind_whose_mount_begins_with_the_group(tmp_path: Path) -> None:
    stat = f"inactive_file 7\ntotal_inactive_file {GB}"
    memory = tmp_path / "mounted" / "memory"
    described(memory, limit_in_bytes=4 * GB, usage_in_bytes=2 * GB, stat=stat)
    assert left(tmp_path, "9:name=systemd:/\n4:cpu,memory:/docker/0123\n0::/\n") == 3 * GB


@pytest.mark.parametrize("own", ["", "\0", "nonsense", "0::/\n", "4:memory:/../../x\n"])
def test_without_a_limit(own: str, tmp_path: Path) -> None:
    described(tmp_path / "mounted", max="max", current=GB, stat="")
    assert left(tmp_path, own) is None


def test_more_in_use_than_allowed(tmp_path: Path) -> None:
    described(tmp_path / "mounted", max=GB, current=2 * GB, stat="")
    assert left(tmp_path, "0::/\n") == 0


def test_planning_keeps_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "bytes_left", lambda: 12345)
    assert device.devices()[-1].free_bytes == 12345
    monkeypatch.setattr(groups, "bytes_left", lambda: None)
    assert device.devices()[-1].free_bytes > 12345
