"""How a judge is asked: one text for each dimension, ours or the user's, and what is put into it.

The texts lie in `texts/`, in this project's own words; whoever wants the published ones, or others,
gives a folder of files of the same names. What a judge says depends on them as it does on the judge.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pllava_cli.errors import UsageError
from pllava_cli.textfile import opened, unreadable

OURS = Path(__file__).parent / "texts"
SUFFIX = ".txt"
_DIGITS = 16
"""Of a digest that people compare: no two texts that anybody writes have them in common."""
MAX_BYTES = 1 << 16
"""64 KiB: far more than a judge's instruction takes."""

_ONE_ANSWER = ("question", "answer", "prediction")
PLACEHOLDERS = {
    "correctness": _ONE_ANSWER,
    "detail": _ONE_ANSWER,
    "context": _ONE_ANSWER,
    "temporal": _ONE_ANSWER,
    "consistency": (*_ONE_ANSWER, "question_2", "prediction_2"),
    "videoqa": _ONE_ANSWER,
}
"""By instruction: what its text holds in braces, each at least once, and nothing else."""

_PLACEHOLDER = re.compile(r"\{([a-z]\w*)\}")
"""A single word in braces; other braces, as around an example of a reply, are text."""
_MARK = re.compile(r"<(\s*/?\s*(?:question|answer|prediction)(?:_2)?\s*)>", re.IGNORECASE)
_BREAK = re.compile(r"^---[ \t]*$", re.MULTILINE)

Messages = tuple[Mapping[str, str], ...]
"""Of a conversation: each with a `role` and its `content`."""


@dataclass(frozen=True)
class Instruction:
    """The text of one dimension; what stands before a line of three dashes, if any does, is the system's."""

    text: str

    def messages(self, **values: str) -> Messages:
        """Put the values in the place of their names, all at once, so that nothing within one is replaced.

        The marks between which our texts show a value are taken out of the values themselves: no answer can
        close its own and speak as the instruction does. Half a surrogate pair becomes a question mark.

        Args:
            values: By placeholder.
        """
        filled = {name: _MARK.sub(r"[\1]", value) for name, value in values.items()}
        parts = _BREAK.split(self.text, maxsplit=1)
        turns = [_PLACEHOLDER.sub(lambda match: filled[match[1]], part.strip()) for part in parts]
        roles = ("system", "user") if len(turns) == 2 else ("user",)
        return tuple(
            {"role": role, "content": turn.encode("utf-8", "replace").decode()}
            for role, turn in zip(roles, turns, strict=True)
            if turn
        )


Instructions = Mapping[str, Instruction]
"""By dimension, as named in `PLACEHOLDERS`."""


def load_instructions(folder: Path | None = None) -> Instructions:
    """Read the instructions; a file in the user's folder stands in for ours of the same name.

    Raises:
        UsageError: The folder holds no instruction or an unknown one, or one that cannot be read, lacks a
            placeholder or holds an unknown one.
    """
    files = {name: OURS / f"{name}{SUFFIX}" for name in PLACEHOLDERS}
    if folder is not None:
        files |= _own_files(folder)
    return {name: Instruction(_checked(name, _read(file), str(file))) for name, file in files.items()}


def instructions_of(texts: Mapping[str, str], where: str) -> Instructions:
    """Make instructions of texts that were kept, by name.

    Args:
        texts: All of them.
        where: What holds them, for messages.

    Raises:
        UsageError: One is not there, lacks a placeholder or holds an unknown one.
    """
    lacking = next((name for name in PLACEHOLDERS if name not in texts), None)
    if lacking is not None:
        raise UsageError(f"{where} holds no text {lacking}", "judge the answers anew")
    return {name: Instruction(_checked(name, texts[name], f"{where}, {name},")) for name in PLACEHOLDERS}


def digest(*texts: str) -> str:
    """Return what tells texts from others, for people: `sha256 0123456789abcdef`."""
    return f"sha256 {sha256(json.dumps(texts).encode()).hexdigest()[:_DIGITS]}"


def _own_files(folder: Path) -> dict[str, Path]:
    names = ", ".join(f"{name}{SUFFIX}" for name in PLACEHOLDERS)
    hint = f"an instruction for the judge is a file of one of the names {names}"
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)
    except OSError as error:
        raise unreadable(folder, error) from None
    unknown = next((path for path in found if path.stem not in PLACEHOLDERS), None)
    if unknown is not None:
        raise UsageError(f"{unknown} is no instruction for a judge", hint)
    if not found:
        raise UsageError(f"there is no instruction for a judge in {folder}", hint)
    return {path.stem: path for path in found}


def _checked(name: str, text: str, file: str) -> str:
    wanted, found = PLACEHOLDERS[name], _PLACEHOLDER.findall(text)
    hint = f"it is to hold {', '.join(f'{{{each}}}' for each in wanted)}, and no other word in braces"
    lacking = next((each for each in wanted if each not in found), None)
    if lacking is not None:
        raise UsageError(f"{file} lacks {{{lacking}}}", hint)
    unknown = next((each for each in found if each not in wanted), None)
    if unknown is not None:
        raise UsageError(f"{file} holds {{{unknown:.40}}}, which stands for nothing", hint)
    if not _BREAK.split(text, maxsplit=1)[-1].strip():
        raise UsageError(f"{file} holds nothing after its line of dashes", "write what the judge is asked")
    return text


def _read(file: Path) -> str:
    try:
        with opened(file, "put a file of text in its place") as stream:
            raw = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise UsageError(f"{file} is longer than {MAX_BYTES >> 10} KiB", "name a file of instructions")
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise unreadable(file, error) from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8 text", "save it as UTF-8") from None
