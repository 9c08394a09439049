"""The folder of entries: what is found, what goes when it is full, and what never breaks a run."""

import errno
import io
import os
import pickle
import stat
import subprocess
import sys
import threading
import time
import warnings
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pllava_cli.visualstore import store as module
from pllava_cli.visualstore.store import VisualStore, visual_dir


def key(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


def used(store: VisualStore, number: int, days_ago: float) -> None:
    then = time.time() - days_ago * 86400
    os.utime(store.path(key(number)), (then, then))


def numbers(store: VisualStore, most: int = 40) -> set[int]:
    return {number for number in range(most) if store.path(key(number)).exists()}


class Disk:
    """A disk of a size and with so much free, less what the store has put there."""

    TOTAL, SPARED = 2000, 100

    def __init__(self, folder: Path, free: int) -> None:
        self.folder, self.free = folder, free

    def __call__(self, path: Path) -> Any:
        assert path.exists()
        kept = sum(each.stat().st_size for each in self.folder.rglob("*.safetensors"))
        return SimpleNamespace(total=self.TOTAL, free=self.free - kept)


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """However full the disk of this machine is."""
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(total=10**12, free=10**12))


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, told: list[str]) -> VisualStore:
    return VisualStore(tmp_path / "a" / "visual", 1000, told.append)


class TestFound:
    def test_what_was_put(self, store: VisualStore, told: list[str]) -> None:
        assert store.get(key(1)) is None
        assert not store.folder.exists()
        store.put(key(1), b"one")
        store.put(key(2), b"two")
        store.put(key(1), b"another one")
        assert (store.get(key(1)), store.get(key(2)), store.get(key(3))) == (b"another one", b"two", None)
        assert told == []

    def test_by_another_store(self, store: VisualStore) -> None:
        store.put(key(1), b"one")
        assert VisualStore(store.folder, 1000).get(key(1)) == b"one"
        again = pickle.loads(pickle.dumps(store))
        assert (again.folder, again.most_bytes, again.get(key(1))) == (store.folder, 1000, b"one")

    def test_by_another_process(self, store: VisualStore) -> None:
        code = (
            "from pathlib import Path; from pllava_cli.visualstore.store import VisualStore; import sys; "
            f"VisualStore(Path({str(store.folder)!r}), 1000).put({key(1)!r}, b'one'); "
            "assert 'torch' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        assert store.get(key(1)) == b"one"

    def test_nothing_is_waited_for(self, store: VisualStore) -> None:
        for number, make in ((1, os.mkfifo), (2, os.mkdir)):
            store.path(key(number)).parent.mkdir(parents=True)
            make(store.path(key(number)))
            assert store.get(key(number)) is None

    def test_where_none_is_named(self, isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert VisualStore().folder == visual_dir() == isolated / ".cache" / "pllava" / "visual"
        monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
        assert VisualStore().folder == Path("/elsewhere/pllava/visual")

    def test_only_its_owner_may_read_it(self, store: VisualStore) -> None:
        store.put(key(1), b"one")
        assert stat.S_IMODE(store.path(key(1)).stat().st_mode) == 0o600


class TestBound:
    def filled(self, store: VisualStore) -> VisualStore:
        """Ten entries of 100 bytes, number 9 used 1 day ago, 0 ten days ago; a store that finds them."""
        for number in range(10):
            store.put(key(number), bytes(100))
            used(store, number, 10 - number)
        return VisualStore(store.folder, 1000, store._warn)

    def test_least_recently_used_go_first(self, store: VisualStore, told: list[str]) -> None:
        later = self.filled(store)
        later.put(key(20), bytes(100))
        assert numbers(later) == {2, 3, 4, 5, 6, 7, 8, 9, 20}  # one more, so that the next has room
        later.put(key(21), bytes(100))
        assert numbers(later) == {2, 3, 4, 5, 6, 7, 8, 9, 20, 21}
        assert told == []

    def test_what_is_found_counts_as_used(self, store: VisualStore) -> None:
        later = self.filled(store)
        assert later.get(key(0)) == bytes(100)
        later.put(key(20), bytes(150))
        assert numbers(later) == {0, 4, 5, 6, 7, 8, 9, 20}

    def test_nothing_of_this_run_goes(self, store: VisualStore, told: list[str]) -> None:
        """Else a run over more clips than there is room for would find none of them the next time."""
        for number in range(30):
            store.put(key(number), bytes(100))
        assert numbers(store) == set(range(10))
        (said,) = told
        assert "visual tokens of further clips are not kept" in said and "is full" in said
        again = VisualStore(store.folder, 1000, told.append)
        found = [again.get(key(number)) for number in range(30)]
        assert found == [bytes(100)] * 10 + [None] * 20

    def test_larger_than_the_whole(self, store: VisualStore, told: list[str]) -> None:
        later = self.filled(store)
        later.put(key(20), bytes(1001))
        assert numbers(later) == set(range(10)) and len(told) == 1 and "one clip takes more" in told[0]

    def test_holds_with_another_process_beside(self, store: VisualStore, told: list[str]) -> None:
        other = VisualStore(store.folder, 1000, told.append)
        for number in range(0, 40, 2):
            store.put(key(number), bytes(60))
            other.put(key(number + 1), bytes(60))
        assert sum(each.stat().st_size for each in store.folder.rglob("*.safetensors")) <= 1100

    def test_foreign_files_stay(self, store: VisualStore) -> None:
        later = self.filled(store)
        shard = later.path(key(0)).parent
        foreign = [store.folder / "notes.txt", shard / "x.safetensors", store.folder / "ab.d" / "y"]
        for file in foreign:
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(bytes(5000))
            os.utime(file, (1, 1))
        later.put(key(20), bytes(100))
        assert 20 in numbers(later) and all(file.exists() for file in foreign)

    def test_what_a_kill_left_goes(self, store: VisualStore) -> None:
        old, new = (store.path(key(0)).parent / f".0123abcd-{age}.partial" for age in ("old", "new"))
        old.parent.mkdir(parents=True)
        for file in (old, new):
            file.write_bytes(bytes(10))
        os.utime(old, (1, 1))
        store.put(key(1), b"one")
        assert not old.exists() and new.exists()


class TestTrouble:
    def test_full_disk(self, store: VisualStore, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        store.put(key(0), b"there")

        class Full(io.FileIO):
            def write(self, _: object) -> int:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(module.os, "fdopen", Full)
        for number in (1, 2, 3):
            store.put(key(number), b"x")
        monkeypatch.undo()
        (said,) = told
        assert "No space left on device" in said and str(store.folder) in said
        assert store.get(key(0)) == b"there" and numbers(store) == {0}
        assert list(store.folder.rglob("*.partial")) == []

    def test_nearly_full_disk(
        self, store: VisualStore, told: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What others have kept goes first; this run's own answers find room in any case."""
        disk = Disk(store.folder, free=1000 + Disk.SPARED)
        monkeypatch.setattr(module.shutil, "disk_usage", disk)
        for number in range(4):
            store.put(key(number), bytes(200))
            used(store, number, 10 - number)
        later = VisualStore(store.folder, 1000, told.append)
        disk.free -= 100
        later.put(key(20), bytes(150))
        assert numbers(later) == {1, 2, 3, 20} and told == []
        disk.free = 100 + Disk.SPARED
        for number in (21, 22):
            later.put(key(number), bytes(700))
        assert len(told) == 1 and "the disk of" in told[0] and "nearly full" in told[0]
        assert numbers(later) == {20} and later.is_closed

    def test_nowhere_to_write(self, tmp_path: Path, told: list[str]) -> None:
        (tmp_path / "file").touch()
        store = VisualStore(tmp_path / "file" / "visual", 1000, told.append)
        assert store.get(key(1)) is None
        store.put(key(1), b"x")
        store.put(key(2), b"x")
        assert len(told) == 1 and "Not a directory" in told[0]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_read_only_folder(self, store: VisualStore, told: list[str]) -> None:
        store.put(key(1), b"one")
        folders = [store.path(key(1)).parent, store.folder]
        for folder in folders:
            folder.chmod(0o500)
        later = VisualStore(store.folder, 1000, told.append)
        later.put(key(2), b"two")
        assert later.get(key(1)) == b"one" and len(told) == 1
        for folder in reversed(folders):
            folder.chmod(0o700)

    def test_who_names_no_ear_hears_a_warning(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.warns(RuntimeWarning, match="not kept"):
            VisualStore(tmp_path / "file", 1000).put(key(1), b"x")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            VisualStore(tmp_path / "elsewhere", 1000).put(key(1), b"x")

    def test_threads_and_stores_at_once(self, tmp_path: Path) -> None:
        """Entries come and go under the hands of readers, who find them whole or not at all."""
        stores, wrong = [VisualStore(tmp_path / "visual", 20_000) for _ in range(2)], []
        for each in stores:
            each._began_s = time.time() + 60  # so that all may go at any time

        def work(store: VisualStore, first: int) -> None:
            for step in range(60):
                number = (first + 7 * step) % 30
                store.put(key(number), bytes([number]) * 1000)
                found = store.get(key((number * 11) % 30))
                if found is not None and found != bytes([(number * 11) % 30]) * 1000:
                    wrong.append(found)

        threads = [threading.Thread(target=work, args=(stores[n % 2], n)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == [] and not any(each._is_closed for each in stores)
        assert list((tmp_path / "visual").rglob("*.partial")) == []
