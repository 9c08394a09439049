"""From data files to examples, with everything that is wrong found before training starts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pllava_cli import processors
from pllava_cli.errors import UsageError
from pllava_cli.loader import Checked, template_of
from pllava_cli.training.clips import ClipStore, Look
from pllava_cli.training.data import BadLine, Lines, read
from pllava_cli.training.dataset import Example
from pllava_cli.training.settings import Reporter, TrainSettings
from pllava_cli.training.tokens import Tokenization, UntrainableError

MOST_SHOWN = 20
"""Bad lines that are told one by one."""
_GB = 1e9


@dataclass(frozen=True)
class Gathered:
    """What a run trains on."""

    examples: Sequence[Example]
    validation: Sequence[Example]
    skipped: Sequence[BadLine]
    store: ClipStore
    all_kept: bool
    """Whether all clips are kept decoded."""

    def write_skipped(self, file: Path) -> None:
        """List the lines that were left out, if any."""
        lines = [json.dumps({"where": bad.where, "reason": bad.reason}) + "\n" for bad in self.skipped]
        if lines:
            file.write_text("".join(lines), encoding="utf-8")


def gather(settings: TrainSettings, base: Checked, reporter: Reporter, cache: Path | None) -> Gathered:
    """Read, tokenise and look at everything.

    Args:
        settings: The run's.
        base: Its tokenizer, template and preprocessing are used.
        reporter: Told how it goes, and of lines that are bad.
        cache: Where decoded clips are kept; None: nowhere.

    Raises:
        UsageError: Lines are bad and may not be skipped, or nothing is left.
    """
    reporter.progress("reading the data", 0, 0)
    held_out = (settings.validation,) if settings.validation else ()
    parts = [read(files, settings.system) for files in (settings.data, held_out)]
    tokenised = [_tokenised(lines, base) for lines in parts]
    processor = base.processor
    look = Look(processor.num_frames, processor.preprocess, settings.decode_timeout_s)
    store = ClipStore(cache, look, int(settings.cache_gb * _GB))
    clips = list(dict.fromkeys(example.clip for pairs in tokenised for _, example in pairs))
    broken = store.check(
        clips,
        lambda done: reporter.progress("looking at the clips", done, len(clips)),
        decoders=max(1, min(len(clips), processors.usable())),
    )
    bad = [*parts[0].bad, *parts[1].bad]
    bad += [
        BadLine(where, broken[example.clip].message)
        for pairs in tokenised
        for where, example in pairs
        if example.clip in broken
    ]
    sound = [[example for _, example in pairs if example.clip not in broken] for pairs in tokenised]
    _tell(bad, len(bad) + sum(map(len, sound)), settings, reporter)
    errors = sum(lines.error_records for lines in parts)
    if errors:
        reporter.say(f"{errors} records of clips that could not be captioned are passed over")
    _refuse_nothing(sound, settings)
    return Gathered(sound[0], sound[1], bad, store, store.keeps(clip for clip in clips if clip not in broken))


def _tokenised(lines: Lines, base: Checked) -> list[tuple[str, Example]]:
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


def _tell(bad: list[BadLine], total: int, settings: TrainSettings, reporter: Reporter) -> None:
    """Tell of bad lines, and refuse them unless they may be skipped."""
    if not bad:
        return
    count = f"{len(bad)} of {total} lines cannot be trained on"
    if settings.skip_bad:
        reporter.warn(f"{count} and are left out: the first is {bad[0]}")
        return
    for each in bad[:MOST_SHOWN]:
        reporter.say(str(each))
    if len(bad) > MOST_SHOWN:
        reporter.say(f"and {len(bad) - MOST_SHOWN} more")
    raise UsageError(count, "correct them, or leave them out with --skip-bad")


def _refuse_nothing(sound: list[list[Example]], settings: TrainSettings) -> None:
    named = [*([] if sound[0] else settings.data)]
    if settings.validation and not sound[1]:
        named.append(settings.validation)
    if named:
        raise UsageError(
            f"nothing to train on is in {', '.join(map(str, named))}",
            "name files with records or conversations; see pllava-training(5)",
        )
