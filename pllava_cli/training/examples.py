"""From data files to examples, with everything that is wrong found before training starts.

Looking and judging are apart: first everything that is wrong with the data is found; only then are bad
lines refused or left out.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pllava_cli import processors
from pllava_cli.errors import PllavaError, UsageError
from pllava_cli.loader import Checked, template_of
from pllava_cli.phrases import counted
from pllava_cli.training.clips import ClipStore, Look
from pllava_cli.training.data import BadLine, ClipRef, Lines, Where, read
from pllava_cli.training.dataset import Example
from pllava_cli.training.settings import Reporter, TrainSettings
from pllava_cli.training.tokens import Tokenization, UntrainableError

MOST_SHOWN = 20
"""Bad lines that are told one by one."""
_GB = 1e9


@dataclass(frozen=True)
class Gathered:
    """What is in the data."""

    examples: Sequence[Example]
    validation: Sequence[Example]
    bad: Sequence[BadLine]
    """In the order of the files and their lines."""
    error_records: int
    """Records of clips that could not be captioned."""
    store: ClipStore
    all_kept: bool
    """Whether all clips are kept decoded."""

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON tells it."""
        return {
            "examples": len(self.examples),
            "validation": len(self.validation),
            "bad": len(self.bad),
            "error_records": self.error_records,
            "bad_lines": [bad.as_dict() for bad in self.bad],
        }

    def write_skipped(self, file: Path) -> None:
        """List the lines that were left out, if any."""
        lines = [json.dumps(bad.as_dict()) + "\n" for bad in self.bad]
        if lines:
            file.write_text("".join(lines), encoding="utf-8")

    def tell_bad(self, reporter: Reporter) -> None:
        """Tell of bad lines one by one, up to a number that a person will read."""
        for each in self.bad[:MOST_SHOWN]:
            reporter.say(str(each))
        if len(self.bad) > MOST_SHOWN:
            reporter.say(f"and {len(self.bad) - MOST_SHOWN} more; --check-only --json tells them all")

    def judge(self, settings: TrainSettings, reporter: Reporter) -> None:
        """Refuse what cannot be trained on.

        Raises:
            UsageError: Lines are bad and may not be skipped, or nothing is left.
        """
        if self.bad:
            total = len(self.bad) + len(self.examples) + len(self.validation)
            count = f"{len(self.bad)} of {counted(total, 'line')} cannot be trained on"
            if not settings.skip_bad:
                raise UsageError(count, "correct them, or leave them out with --skip-bad")
            are = "is" if len(self.bad) == 1 else "are"
            reporter.warn(f"{count} and {are} left out: the first is {self.bad[0]}")
        if self.error_records:
            passed = counted(
                self.error_records,
                "record of a clip that could not be captioned is",
                "records of clips that could not be captioned are",
            )
            reporter.say(f"{passed} passed over")
        empty = [] if self.examples else [*settings.data]
        if settings.validation and not self.validation:
            empty.append(settings.validation)
        if empty:
            raise UsageError(
                f"nothing to train on is in {', '.join(map(str, empty))}",
                "name files with records or conversations; see pllava-training(5)",
            )


def gather(settings: TrainSettings, base: Checked, reporter: Reporter, cache: Path | None) -> Gathered:
    """Look at everything as `look` does, and refuse what cannot be trained on.

    Raises:
        UsageError: Lines are bad and may not be skipped, or nothing is left.
    """
    found = look(settings, base, reporter, cache)
    if not settings.skip_bad:
        found.tell_bad(reporter)
    found.judge(settings, reporter)
    return found


def look(settings: TrainSettings, base: Checked, reporter: Reporter, cache: Path | None) -> Gathered:
    """Read, tokenise and look at everything.

    Args:
        settings: The run's.
        base: Its tokenizer, template and preprocessing are used.
        reporter: Told how it goes.
        cache: Where decoded clips are kept; None: nowhere.

    Raises:
        UsageError: A file cannot be read at all.
    """
    reporter.progress("reading the data", 0, 0)
    held_out = (settings.validation,) if settings.validation else ()
    parts = [read(files, settings.system) for files in (settings.data, held_out)]
    tokenised = [_tokenised(lines, base) for lines in parts]
    pairs = [pair for part in tokenised for pair in part]
    store, broken = _look_at_clips(
        list(dict.fromkeys(example.clip for _, example in pairs)), settings, base, reporter, cache
    )
    bad = [each for lines in parts for each in lines.bad]
    bad += [BadLine(where, broken[each.clip].message) for where, each in pairs if each.clip in broken]
    sound = [[each for _, each in part if each.clip not in broken] for part in tokenised]
    return Gathered(
        examples=sound[0],
        validation=sound[1],
        bad=_in_order(bad, (*settings.data, *held_out)),
        error_records=sum(lines.error_records for lines in parts),
        store=store,
        all_kept=store.keeps(each.clip for part in sound for each in part),
    )


def _look_at_clips(
    clips: Sequence[ClipRef], settings: TrainSettings, base: Checked, reporter: Reporter, cache: Path | None
) -> tuple[ClipStore, dict[ClipRef, PllavaError]]:
    """Decode every clip; returns where they are kept, and those that cannot be used."""
    processor = base.processor
    store = ClipStore(
        cache,
        Look(processor.num_frames, processor.preprocess, settings.decode_timeout_s),
        int(settings.cache_gb * _GB),
    )
    seen = 0

    def on_clip(done: int) -> None:
        nonlocal seen
        seen = done
        reporter.progress("looking at the clips", done, len(clips))

    try:
        return store, store.check(clips, on_clip, decoders=max(1, min(len(clips), processors.usable())))
    except (KeyboardInterrupt, SystemExit):
        again = "; the same command goes on from there" if cache else ""
        reporter.say(f"stopped after looking at {seen} of {counted(len(clips), 'clip')}{again}")
        raise


def _in_order(bad: Iterable[BadLine], files: Sequence[Path]) -> list[BadLine]:
    """Sort by file, as they were named, and line."""
    rank = {file: number for number, file in enumerate(files)}
    return sorted(bad, key=lambda each: (rank[each.where.file], each.where.line))


def _tokenised(lines: Lines, base: Checked) -> list[tuple[Where, Example]]:
    """Where each conversation stands, and its example; what cannot be one is added to the bad lines."""
    processor = base.processor
    tokenise = Tokenization(
        processor,
        template_of(base.checkpoint, processor.tokenizer),
        base.prepared.model.config.text_config.max_position_embeddings,
    )
    made = []
    for each in lines.conversations:
        try:
            made.append((each.where, Example(each.clip, tokenise(each))))
        except UntrainableError as error:
            lines.bad.append(BadLine(each.where, str(error)))
    lines.conversations.clear()  # their texts are no longer needed
    return made
