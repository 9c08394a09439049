"""Who judged a run's answers last, and what it said: found again without asking it.

So a run that is scored anew keeps its verdicts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pllava_cli.evaluation.items import JUDGE, JUDGE_INSTRUCTIONS, OUR_WORDS
from pllava_cli.evaluation.judging.instructions import (
    Instructions,
    digest,
    instructions_of,
    load_instructions,
)
from pllava_cli.evaluation.judging.judge import Judge
from pllava_cli.evaluation.judging.judgements import Judgement, Task
from pllava_cli.evaluation.judging.store import Store
from pllava_cli.phrases import counted
from pllava_cli.video.probe import shown_name

_NOBODY = "http://127.0.0.1:9/v1"
"""Is never asked: verdicts are found by the judge's model and by what it was asked, wherever it was."""


@dataclass(frozen=True)
class JudgedBy:
    """Who judged a run's answers last: all that its verdicts are found by."""

    model: str
    max_tokens: int
    instructions: Path | None
    """Folder of the texts by which it was asked; None: our own."""
    texts: Mapping[str, str] | None = None
    """Those texts, by name, so that verdicts are found whatever becomes of the folder; None: an earlier
    version did not keep them."""

    def asked_by(self) -> Instructions:
        """Return how the judge was asked.

        Raises:
            UsageError: The texts are gone, or spoilt.
        """
        if self.texts is None:
            return load_instructions(self.instructions)
        return instructions_of(self.texts, "the record of what the judge was asked by")

    def described(self, judgements: Iterable[Judgement]) -> dict[str, str]:
        """Say for people who judged, where, and how it was asked.

        Args:
            judgements: What it said.
        """
        own = OUR_WORDS if self.instructions is None else shown_name(self.instructions)
        which = "" if self.texts is None else f" ({digest(*map(self.texts.__getitem__, sorted(self.texts)))})"
        return {
            JUDGE: self.model,
            "judge at": ", ".join(sorted({each.endpoint for each in judgements}))
            or "nowhere: no verdicts yet",
            JUDGE_INSTRUCTIONS: own + which,
            "judge's decoding": f"temperature 0, {counted(self.max_tokens, 'token')} at most",
        }


def known(tasks: Sequence[Task], by: JudgedBy, store: Path) -> Mapping[str, Judgement]:
    """Return what was said of answers, by task, as far as it is there.

    Args:
        tasks: What was to be judged.
        by: Who judged.
        store: The file of verdicts; it may be missing.

    Raises:
        UsageError: The file holds something else.
    """
    judge = Judge(_NOBODY, by.model, max_tokens=by.max_tokens)
    with Store.peek(store) as kept:
        found = {task.id: kept.get(judge.key(task)) for task in tasks}
    return {task: each for task, each in found.items() if each is not None}
