"""What the flags of `pllava eval` say of what is asked, and of where it goes, once they are read."""

import os
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import get_args

from pllava_cli import inputs, settings
from pllava_cli.commands.evaluation.flags import EvalFlags, SampleFlags
from pllava_cli.commands.options import one_of
from pllava_cli.commands.staffing import count
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks.sample import Sample
from pllava_cli.evaluation.scoring.chosen_option import Scoring

MOST_SAMPLED = 1_000_000
_OF_REPORTS = {each.name for each in fields(SampleFlags)} | {"output", "decode_timeout", "offline"}
"""What counts without a checkpoint, too; for a report clips are decoded."""
LEAST_KEPT_GB, MOST_KEPT_GB = 0.1, 1_000_000


def absolute(text: str | None, what: str, hint: str) -> Path:
    """Return the path that a word names, from the file system's root: records name clips by it.

    Raises:
        UsageError: It is not given (None), or empty.
    """
    if text is None:
        raise UsageError(f"{what} is not named", hint)
    return Path(os.path.abspath(inputs.named(text, what, hint)))  # noqa: PTH100 (links are not followed)


def scoring(text: str | None) -> Scoring:
    """Read the rules of scoring; None: the strict ones.

    Raises:
        UsageError: There are no such rules.
    """
    return one_of("--scoring", text, get_args(Scoring))


def sampled(flags: SampleFlags) -> Sample | None:
    """Read which part of the questions is wanted; None: all.

    Raises:
        UsageError: One is no number, or out of range.
    """
    number = count("--sample", flags.sample, MOST_SAMPLED)
    if number is None:
        if flags.sample_seed is not None:
            raise UsageError("--sample-seed is for a sample", "add --sample N, or leave it out")
        return None
    if flags.sample_seed is None:
        return Sample(number)
    try:
        return Sample(number, settings.OPTIONS["seed"].check(settings.integer_text(flags.sample_seed)))
    except ValueError as error:
        raise UsageError(f"--sample-seed: {error.args[0]}", "give a whole number") from None


def most_kept_bytes(flags: EvalFlags) -> int | None:
    """Read what visual tokens may take on the disk; None: as much as it is unasked.

    Raises:
        UsageError: It is no number, or out of range, or they are not kept at all.
    """
    text = flags.keep_visual_gb
    if text is None:
        return None
    if not flags.keep_visual:
        raise UsageError("--keep-visual-gb is for tokens that are kept", "leave --no-keep-visual out")
    try:
        number = settings.number_text(text)
    except ValueError as error:
        raise UsageError(f"--keep-visual-gb: {error}", "give a number of GB") from None
    if not LEAST_KEPT_GB <= number <= MOST_KEPT_GB:
        raise UsageError(
            f"--keep-visual-gb {text} is not from {LEAST_KEPT_GB} to {MOST_KEPT_GB}", "choose another number"
        )
    return int(number * 10**9)


def names(flag: str, text: str | None) -> Sequence[str]:
    """Read a list of names; None is none.

    Raises:
        UsageError: There is none in it.
    """
    found = [] if text is None else [part.strip() for part in text.split(",") if part.strip()]
    if text is not None and not found:
        raise UsageError(f"{flag} names nothing", "name some, with commas between, or leave it out")
    return found


def check_idle(flags: EvalFlags) -> None:
    """Refuse what only changes how a checkpoint answers, where captions are there already.

    Raises:
        UsageError: Something of the kind was typed.
    """
    typed = (each.name for each in fields(EvalFlags) if getattr(flags, each.name) != each.default)
    if name := next((each for each in typed if each not in _OF_REPORTS), None):
        option = f"--{name.replace('_', '-')}"
        raise UsageError(
            f"with --captions no checkpoint is run, and {option} means nothing", f"leave {option} out"
        )


def output(flags: EvalFlags, benchmark: str, of: str) -> Path:
    """Return the folder to write.

    Args:
        flags: May name it.
        benchmark: Else it is called by this,
        of: and by what is evaluated: the name of a checkpoint, or of a file of captions.

    Raises:
        UsageError: -o is empty.
    """
    if flags.output is not None:
        return inputs.named(flags.output, "the folder for the result", "name one with -o")
    return Path(f"eval-{benchmark}-" + (re.sub(r"[^\w.-]+", "-", of).strip("-.") or "checkpoint"))
