"""A save while it is written: kills, full disks, another run, and what is there already."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.model import device
from pllava_cli.model.tensors import TensorReader
from pllava_cli.quantizing import quantize
from pllava_cli.source import Source
from tests.disks import room
from tests.quantizing.conftest import PACKINGS, is_packed_already, opened


class TestWriting:
    def test_a_kill_leaves_nothing_taken_for_whole(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def break_off(*arguments: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("pllava_cli.training.folders.write_description", break_off)
            patch.setattr(shutil, "rmtree", lambda *arguments, **options: None)  # nor anything cleared away
            with pytest.raises(KeyboardInterrupt):
                quantize(Source(str(source), alpha=4), "4bit", dtype="fp32", device="cpu")
        assert not is_packed_already(opened(source))
        assert opened(source).warnings == ()
        out = quantize(Source(str(source), alpha=4), "4bit", dtype="fp32", device="cpu").out
        assert [each.name for each in out.parent.iterdir()] == [out.name]
        assert is_packed_already(opened(source))

    def test_full_disk(self, source: Path, tmp_path: Path) -> None:
        with room(20_000), pytest.raises(UsageError) as caught:
            quantize(Source(str(source), alpha=4), "4bit", tmp_path / "out" / "save", device="cpu")
        assert caught.value.message == f"cannot write {tmp_path / 'out' / 'save'}: file too large"
        assert "free some space" in caught.value.hint
        assert list((tmp_path / "out").iterdir()) == []

    @pytest.mark.parametrize("packing", PACKINGS)
    def test_weights_beyond_the_precision_are_refused(
        self, packing: str, source: Path, tmp_path: Path
    ) -> None:
        """fp16 ends at 65504; the save would hold infinities, and answer with an error at each clip."""
        with pytest.raises(UsageError, match=r"holds a number beyond the range of float16$") as caught:
            quantize(Source(str(source), alpha=1e6), packing, tmp_path / "save", dtype="fp16", device="cpu")
        assert caught.value.hint == "use --dtype bf16"
        assert not (tmp_path / "save").exists()

    def test_free_disk_is_looked_at_first(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10**7))
        monkeypatch.setattr(TensorReader, "read", None)
        with pytest.raises(UsageError, match=r"needs 0\.03 GB of disk, and 0\.01 GB are free there"):
            quantize(Source(str(source), alpha=4), "4bit", tmp_path / "out", device="cpu")
        assert not (tmp_path / "out").exists()

    def test_what_a_kill_left_does_not_count_as_taken(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left = tmp_path / ".out.partial" / "shard-0"
        left.parent.mkdir()
        left.touch()
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(
            shutil, "disk_usage", lambda _: usage(10**9, 0, 10**7 if left.exists() else 10**9)
        )
        assert quantize(Source(str(source), alpha=4), "4bit", tmp_path / "out", device="cpu").is_new

    def test_another_run_is_writing(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write_too(*arguments: object) -> None:
            with pytest.raises(UsageError, match="another run is writing"):
                quantize(Source(str(source), alpha=4), "4bit", tmp_path / "out", device="cpu")

        with monkeypatch.context() as patch:
            patch.setattr("pllava_cli.training.folders.write_description", write_too)
            with pytest.raises(UsageError, match="cannot write"):  # the description was not written
                quantize(Source(str(source), alpha=4), "4bit", tmp_path / "out", device="cpu")

    def test_no_folder_can_be_made(self, source: Path, isolated: Path) -> None:
        (isolated / ".cache").write_text("a file in the place of the cache")
        with pytest.raises(UsageError, match="cannot make"):
            quantize(Source(str(source), alpha=4), "4bit", device="cpu")

    def test_what_is_there_is_not_touched(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").touch()
        with pytest.raises(UsageError, match="already there"):
            quantize(Source(str(source), alpha=4), "4bit", tmp_path / "out", device="cpu")
        assert [each.name for each in (tmp_path / "out").iterdir()] == ["mine"]

    def test_what_comes_meanwhile_is_not_touched(self, source: Path, tmp_path: Path) -> None:
        mine = tmp_path / "out" / "mine"

        def put(done: int, total: int) -> None:
            mine.parent.mkdir(exist_ok=True)
            mine.touch()

        with pytest.raises(UsageError):
            quantize(Source(str(source), alpha=4), "4bit", mine.parent, device="cpu", on_bytes=put)
        assert mine.exists() and [each.name for each in tmp_path.glob(".out*")] == []

    def test_model_need_not_fit(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It may be meant for another machine, and one layer at a time is all that is packed."""
        tight = [device.DeviceInfo("cpu", "1 thread", 10**9, 1000)]
        monkeypatch.setattr(device, "devices", lambda: tight)
        done = quantize(Source(str(source), alpha=4), "4bit", tmp_path / "out", device="cpu")
        assert done.dtype == "bf16"
