"""Verdicts that are there, found again without a judge: a run that is scored anew keeps them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pllava_cli.evaluation import vcgbench, videoqa
from pllava_cli.evaluation.items import Benchmark, Said
from pllava_cli.evaluation.judge import Judge
from pllava_cli.evaluation.judgements import Judgement
from pllava_cli.evaluation.verdicts import Store
from pllava_cli.evaluation.wording import Instructions, digest, instructions_of, load_instructions
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

    def wording(self) -> Instructions:
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
        own = "our own" if self.instructions is None else shown_name(self.instructions)
        which = "" if self.texts is None else f" ({digest(*map(self.texts.__getitem__, sorted(self.texts)))})"
        return {
            "judge": self.model,
            "judge at": ", ".join(sorted({each.endpoint for each in judgements}))
            or "nowhere: no verdicts yet",
            "judge's instructions": own + which,
            "judge's decoding": f"temperature 0, {self.max_tokens} tokens at most",
        }


def known(
    benchmark: Benchmark, said: Sequence[Said], by: JudgedBy, instructions: Instructions, store: Path
) -> Mapping[str, Judgement]:
    """Return the verdicts on answers, by task, as far as there are.

    Args:
        benchmark: What was asked.
        said: What was said to its items.
        by: Who judged.
        instructions: How it was asked.
        store: The file of verdicts; it may be missing.

    Raises:
        UsageError: The file holds something else.
    """
    make = vcgbench.tasks if benchmark.name == vcgbench.NAME else videoqa.tasks
    judge = Judge(_NOBODY, by.model, max_tokens=by.max_tokens)
    with Store.peek(store) as kept:
        found = {task.id: kept.get(judge.key(task)) for task in make(said, instructions)}
    return {task: each for task, each in found.items() if each is not None}
