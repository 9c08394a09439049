"""Sockets find a folder of a short name, or it is said that there is none."""

import tempfile
from pathlib import Path

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.training import sockets


def test_where_no_name_is_short_enough_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run with a long one is in `test_run`."""
    long = str(tmp_path / ("x" * 100))
    monkeypatch.setattr(tempfile, "tempdir", long)
    monkeypatch.setattr(sockets, "_ELSEWHERE", (long,))
    with pytest.raises(UsageError, match="too long for sockets") as caught:
        sockets.make_room()
    assert "TMPDIR" in caught.value.hint and tempfile.tempdir == long
