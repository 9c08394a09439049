"""The folder of a run: what it was begun with, its checkpoints, and whether it is finished.

A run may be killed at any moment and begun again with the same words. A checkpoint counts only once a
list of its files and their sizes has been written beside them, so that one torn by a kill is told from
a whole one; an older one goes only after that. What says that there is a run, run.json, appears when the
data have been found sound, and is replaced, never removed.
"""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from pllava_cli import __version__
from pllava_cli.errors import UsageError
from pllava_cli.locks import lock, opened
from pllava_cli.model.adapter import CONFIG_FILE, WEIGHTS_FILE
from pllava_cli.registry import TRAINING_FILE, TRAINING_SCHEMA
from pllava_cli.training.output import CONFIG, FILES, partial_name, write_whole

_CACHE, _LOCK = "cache", "lock"
_RESULTS = (WEIGHTS_FILE, "checkpoints", "log.jsonl", "skipped.jsonl", CONFIG_FILE, CONFIG, *FILES)
"""What a run leaves that must not outlive it, the weights first: without them nothing looks finished."""
_COMPLETE = "complete.json"


class RunFolder:
    """The folder that `--out` names.

    Args:
        path: It need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.cache = path / _CACHE
        self.log = path / "log.jsonl"
        self.skipped = path / "skipped.jsonl"
        self._file = path / TRAINING_FILE
        self._lock: IO[bytes] | None = None
        self._made: list[Path] = []
        """Paths that were not there before `open`, the deepest first."""

    def check(self) -> None:
        """Refuse a folder that holds something else, or a run that is finished.

        Raises:
            UsageError: It does.
        """
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise UsageError(f"{self.path} is not a directory", "name another with -o")
        state = self._state()
        before = (_CACHE, _LOCK, partial_name(self._file).name)  # what a run has before it has run.json
        if state is None and any(each.name not in before for each in self.path.iterdir()):
            raise UsageError(f"{self.path} is not empty and holds no training run", "name another with -o")
        if state and state.get("finished"):
            self._tidy()  # it may have been ended before it could
            raise UsageError(
                f"the training in {self.path} is finished",
                f"use it with --model {self.path}, or name another with -o",
            )

    def open(self, recorded: dict[str, Any], *, resume: bool) -> None:
        """Take the folder for a run, new or gone on with.

        Args:
            recorded: The settings that change the weights.
            resume: Whether to go on with what is there; else `record` throws it away.

        Raises:
            UsageError: It was begun with other settings, or another process trains there.
        """
        self.check()
        ours = (self.cache, self.path / _LOCK, self.path, *self.path.parents)
        self._made = [each for each in ours if not each.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._take_lock()
        except OSError as error:
            raise UsageError(
                f"cannot write to {self.path}: {error.strerror or error}", "name another folder with -o"
            ) from None
        if resume:
            self._compare(recorded)

    def record(self, recorded: dict[str, Any], *, resume: bool) -> None:
        """Note what the run is begun with, now that its data are known to be sound.

        Args:
            recorded: The settings that change the weights.
            resume: Whether to go on with what is there; else it is thrown away.

        Raises:
            UsageError: It was begun with other settings.
        """
        if resume:
            self._compare(recorded)
        else:
            self._clear()
        if not resume or self._state() is None:
            self._write({"settings": recorded})

    def retract(self) -> None:
        """Undo `open` where no run has begun since: what was not there goes again."""
        if self._made and self._state() is None:
            for each in self._made:
                with suppress(OSError):  # others have come meanwhile
                    if each == self.cache:
                        shutil.rmtree(each)
                    elif each.is_dir():
                        each.rmdir()
                    else:
                        each.unlink()  # the lock, while it is held: nobody else can have taken it
        self.release()

    def release(self) -> None:
        """Let other processes have the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def finish(self, outcome: dict[str, Any]) -> None:
        """Note that the run is finished, and drop what only an unfinished one needs."""
        state = self._state() or {}
        self._write(state | {"finished": True, "outcome": outcome})
        self._tidy()

    def last_checkpoint(self) -> Path | None:
        """The newest whole checkpoint; those that are torn are removed."""
        for checkpoint in reversed(self._all_checkpoints()):
            if _is_whole(checkpoint):
                return checkpoint
            shutil.rmtree(checkpoint)
        return None

    def seal(self, step: int, keep: int) -> None:
        """Declare the checkpoint of a step whole, and remove the oldest beyond `keep`."""
        folder = self.checkpoints / f"checkpoint-{step}"
        sizes = {}
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
            sizes[str(file.relative_to(folder))] = file.stat().st_size
        write_whole(folder / _COMPLETE, json.dumps(sizes))
        for checkpoint in self._all_checkpoints()[:-keep]:
            (checkpoint / _COMPLETE).unlink(missing_ok=True)
            shutil.rmtree(checkpoint)

    def _all_checkpoints(self) -> list[Path]:
        found = {
            int(number): folder
            for folder in self.checkpoints.glob("checkpoint-*")
            if (number := folder.name.partition("-")[2]).isdecimal()
        }
        return [found[number] for number in sorted(found)]

    def _clear(self) -> None:
        for target in (self.path / name for name in _RESULTS):
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)

    def _tidy(self) -> None:
        shutil.rmtree(self.cache, ignore_errors=True)
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def _compare(self, recorded: dict[str, Any]) -> None:
        before = (self._state() or {"settings": {}})["settings"]
        now = json.loads(json.dumps(recorded))  # as it would be read back
        different = [
            f"{name} was {before[name]!r:.80}, is {now[name]!r:.80}"
            for name in sorted(before.keys() & now.keys())
            if before[name] != now[name]
        ]
        if different:
            raise UsageError(
                f"{self.path} was begun with other settings: {'; '.join(different)}",
                "give the same again, name another folder with -o, or begin anew with --no-resume",
            )

    def _state(self) -> dict[str, Any] | None:
        """run.json; None where there is none."""
        try:
            state = json.loads(self._file.read_text(encoding="utf-8"))
            if state["schema"] != TRAINING_SCHEMA or not isinstance(state["settings"], dict):
                raise ValueError("it is of another kind")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self._file} cannot be read: {error}", "name another folder with -o") from None
        return dict(state)

    def _write(self, state: dict[str, Any]) -> None:
        whole = {"schema": TRAINING_SCHEMA, "tool": {"name": "pllava", "version": __version__}} | state
        write_whole(self._file, json.dumps(whole, indent=1))

    def _take_lock(self) -> None:
        file = self.path / _LOCK
        busy = UsageError(f"another process trains in {self.path}", "name another with -o")
        gone = UsageError(f"another process has just left {self.path}", "give the same command again")
        self._lock = os.fdopen(opened(file), "wb")
        lock(self._lock.fileno(), file, busy, gone)


def _is_whole(checkpoint: Path) -> bool:
    try:
        sizes = json.loads((checkpoint / _COMPLETE).read_text(encoding="utf-8"))
        return bool(sizes) and all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False
