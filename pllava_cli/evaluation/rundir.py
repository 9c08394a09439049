"""The folder of an evaluation: what it is of, and the files in it.

What says that a folder is one of ours, asked.json, is there before anything else, so that a run that was
ended at any moment is known again, and nothing else is ever written over.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from pllava_cli import records
from pllava_cli.batch.disk import replacing
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.asked import Asked
from pllava_cli.evaluation.reading import load_json
from pllava_cli.recording import Recording
from pllava_cli.textfile import unreadable

if TYPE_CHECKING:
    from pllava_cli.evaluation.judging.judged_by import JudgedBy

Made = TypeVar("Made")
SCHEMA = "pllava.eval-run/1"
"""Fields are only ever added within a schema."""
NAME = "asked.json"
ELSEWHERE = "name another folder with -o"
_RUN = "name the folder that `pllava eval` has written"
_BROKEN = "put back what `pllava eval` wrote there, or have it write another folder with -o"
"""What to do where the file is not as it was written: no command can tell what the answers are of."""


class RunFolder:
    """A folder that is there, or is to be made.

    Args:
        path: It need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers = path / "answers.jsonl"
        """Records of `pllava batch`: what was said."""
        self.verdicts = path / "verdicts.jsonl"
        """What a judge holds of it."""
        self._file = path / NAME

    def check(self, asked: Asked) -> None:
        """Refuse a folder that holds something else than this evaluation, or one of the same benchmark.

        Raises:
            UsageError: It does, or it is no folder or cannot be looked into.
        """
        try:
            if not self.path.exists():
                return
            if not self.path.is_dir():
                raise UsageError(f"{self.path} is not a directory", ELSEWHERE)
            if not self._file.exists():
                # A hidden file may be what a kill has left of asked.json, or a system's own.
                if any(not each.name.startswith(".") for each in self.path.iterdir()):
                    raise UsageError(f"{self.path} is not empty and holds no evaluation", ELSEWHERE)
                return
        except OSError as error:
            raise UsageError(f"cannot read {self.path}: {error.strerror or error}", ELSEWHERE) from None
        held = self.notes().asked
        if not held.is_of(asked):
            raise UsageError(
                f"{self.path} holds an evaluation of {held.benchmark} over {_shown(held, asked)}", ELSEWHERE
            )

    def begin(self, asked: Asked) -> None:
        """Take the folder for an evaluation, new or gone on with; what it says of itself then stays.

        Raises:
            UsageError: As `check`, or it cannot be written.
        """
        self.check(asked)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot write to {self.path}: {error.strerror or error}", ELSEWHERE) from None
        if not self._file.exists():
            self._write(Notes(asked))

    def note(self, asked: Asked, recording: Recording | None) -> None:
        """Write down what is asked, and with which settings the answers are made, from now on.

        Args:
            asked: What is asked.
            recording: The settings; None: nobody knows them.

        Raises:
            UsageError: It cannot be written.
        """
        self._write(replace(self.notes(), asked=asked, recording=recording))

    def note_judge(self, judged_by: "JudgedBy") -> None:
        """Write down who judges the answers from now on; raises as `note`."""
        self._write(replace(self.notes(), judged_by=judged_by))

    def notes(self) -> "Notes":
        """Return what was written down.

        Raises:
            UsageError: The folder holds no evaluation, or cannot be looked into.
        """
        try:
            is_there = self._file.is_file()
        except OSError as error:  # a folder that nobody may look into, a name that is too long
            raise unreadable(self.path, error) from None
        if not is_there:
            raise UsageError(f"{self.path} holds no evaluation", _RUN)
        found = load_json(self._file, _BROKEN)
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise UsageError(f"{self._file} was not written by this version of `pllava eval`", _BROKEN)
        try:
            return _notes(found)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            raise UsageError(f"{self._file} lacks fields, or has something else in them", _BROKEN) from None

    def _write(self, notes: "Notes") -> None:
        by = notes.judged_by
        plain = {
            "schema": SCHEMA,
            "asked": notes.asked.as_dict(),
            "recording": None if notes.recording is None else asdict(notes.recording),
            "judged_by": None if by is None else {name: _text(value) for name, value in vars(by).items()},
        }
        with replacing(self._file) as stream:
            stream.write(json.dumps(plain, indent=1).encode() + b"\n")


@dataclass(frozen=True)
class Notes:
    """What an evaluation's folder says of itself."""

    asked: Asked
    recording: Recording | None = None
    """With which settings the answers are made; None: there are none."""
    judged_by: "JudgedBy | None" = None
    """Who judged them last; None: nobody."""


def _shown(held: Asked, asked: Asked) -> str:
    """Say what a folder's evaluation is over, as far as another is not."""
    if (held.benchmark, held.data) != (asked.benchmark, asked.data):
        return str(held.data)
    if held.made is not None:
        return f"{held.data} with captions made before, those of {held.made}"
    clips = "captions made before" if held.clips is None else f"clips below {held.clips}"
    return f"{held.data} with {clips}"


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _notes(plain: Mapping[str, Any]) -> Notes:
    recording, by = plain["recording"], plain["judged_by"]
    return Notes(
        Asked.of(plain["asked"]),
        None if recording is None else _recording(recording),
        None if by is None else _judged_by(by),
    )


def _judged_by(plain: Mapping[str, Any]) -> "JudgedBy":
    from pllava_cli.evaluation.judging.judged_by import JudgedBy

    model, most, folder = plain["model"], plain["max_tokens"], plain["instructions"]
    texts = plain.get("texts")
    if not isinstance(model, str) or not isinstance(most, int):
        raise ValueError
    if not (
        texts is None or (isinstance(texts, dict) and all(isinstance(each, str) for each in texts.values()))
    ):
        raise ValueError
    return JudgedBy(model, most, None if folder is None else Path(folder), texts)


def _recording(plain: Mapping[str, Any]) -> Recording:
    slots, rows, columns = plain["model"]["pooling_shape"]
    if not all(isinstance(plain[name], str) for name in ("system", "prompt")):
        raise ValueError
    return Recording(
        _made(records.Model, plain["model"] | {"pooling_shape": (slots, rows, columns)}),
        _made(records.Decoding, plain["decoding"]),
        plain["system"],
        plain["prompt"],
        _made(records.Turn, plain["turn"]),
    )


def _made(kind: type[Made], plain: Mapping[str, Any]) -> Made:
    """Make a dataclass of plain values, each of which is what its field holds.

    Raises:
        TypeError, ValueError, OverflowError: One is something else, or lacks.
    """
    return kind(**{name: _typed(value, get_type_hints(kind).get(name)) for name, value in plain.items()})


def _typed(value: Any, hint: Any) -> Any:
    allowed = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if float in allowed and type(value) is int:  # other tools rewrite numbers
        return float(value)
    if type(value) not in [get_origin(each) or each for each in allowed]:
        raise ValueError
    return value
