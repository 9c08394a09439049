"""A benchmark's items as works of the pipeline of `pllava batch`, and the answers back from its journal.

Questions about the same part of a clip are one work, so that it is decoded and encoded once however many
there are. What the journal holds of other settings, or of items that are not asked now, is passed over.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pllava_cli.batch.work import Work
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.answering import recorded
from pllava_cli.evaluation.items import CHECKPOINT, NOT_ANSWERED, Benchmark, Item, Said
from pllava_cli.inputs import Clip
from pllava_cli.jsonlines import LineError, is_torn, lines
from pllava_cli.phrases import counted
from pllava_cli.recordfile import HEAD, Parsed, parse
from pllava_cli.recording import Recording
from pllava_cli.recordkey import Key
from pllava_cli.records import Segment
from pllava_cli.textfile import check_regular, unreadable


def works(benchmark: Benchmark) -> list[Work]:
    """Return what is to be asked of each clip, or part of one, in the order in which they first come up."""
    questions: dict[tuple[Path, float | None, float | None], dict[str, None]] = {}
    for item in benchmark.items:
        questions.setdefault((item.clip, item.start_s, item.end_s), {})[item.prompt] = None
    return [
        Work(Clip.at(path), Segment(0, start_s, end_s), tuple(prompts))
        for (path, start_s, end_s), prompts in questions.items()
    ]


def collect(benchmark: Benchmark, journal: Path, recording: Recording) -> list[Said]:
    """Read what was said to a benchmark's items.

    Args:
        benchmark: The items.
        journal: File of records; of several about the same the last one counts. It may be missing.
        recording: With what settings they must have been made.

    Returns:
        One for each item, in their order; the error `NOT_ANSWERED` where there is no such record.

    Raises:
        UsageError: The file holds something else than records, or cannot be read.
    """
    keys = [_key(item, recording) for item in benchmark.items]
    wanted = {key.subject: key.fingerprint for key in keys}
    found: dict[bytes, _Found | None] = {}
    for parsed in _records(journal):
        key = parsed.key
        if key.subject in wanted:
            found[key.subject] = _found(parsed.plain) if key.fingerprint == wanted[key.subject] else None
    return [_said(item, found.get(key.subject)) for item, key in zip(benchmark.items, keys, strict=True)]


def described(recording: Recording) -> dict[str, str]:
    """Say for people how answers are made."""
    model, decoding, turn = recording.model, recording.decoding, recording.turn
    found = {
        CHECKPOINT: model.name,
        "revision": model.revision,
        "base": model.base,
        "alpha": None if model.alpha is None else f"{model.alpha:g}",
        "frames": str(model.num_frames),
        "pooling shape": "x".join(map(str, model.pooling_shape)),
        "visual tokens kept": None if model.keep_tokens == 1 else f"{model.keep_tokens:g}",
        "encoding": model.encode,
        "precision": model.dtype,
        "quantisation": model.quantize,
        "decoding": f"greedy, {counted(decoding.max_new_tokens, 'token')} at most",
        "system text": recording.system or "none",
        "answer start": turn.answer_start.strip() or None,
        "clip": "leads the question" if turn.is_inline else None,
    }
    return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class _Found:
    """What a record holds of an answer."""

    text: str | None
    error: str | None
    timestamps_s: tuple[float, ...]


def _key(item: Item, recording: Recording) -> Key:
    segment = Segment(0, item.start_s, item.end_s)
    return Key.of(recording.record(Clip.at(item.clip), segment, item.prompt, file=None))


def _said(item: Item, found: _Found | None) -> Said:
    if found is None:
        return Said(item, None, NOT_ANSWERED)
    return Said(item, found.text, found.error, found.timestamps_s)


def _records(journal: Path) -> Iterator[Parsed]:
    """Yield the records of a file, without the last line if a kill has torn it."""
    try:
        if not check_regular(journal, "move it away"):
            return
        with journal.open("rb") as stream:
            for line in lines(stream):
                try:
                    yield parse(line)
                except LineError as error:
                    if is_torn(line, HEAD):
                        return
                    raise UsageError(
                        f"{journal} holds something else than records: line {line.number} is {error}",
                        f"see `pllava check {journal}`, and take the line out",
                    ) from None
    except OSError as error:
        raise unreadable(journal, error) from None


def _found(plain: Mapping[str, Any]) -> _Found:
    """Take the answer out of a record, which another tool may have changed."""
    text, times = plain.get("text"), recorded.timestamps_s(plain)
    if plain["status"] == "ok" and isinstance(text, str):
        return _Found(text, None, times)
    return _Found(None, recorded.error_message(plain) or "its record holds no text", times)
