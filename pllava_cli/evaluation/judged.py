"""Verdicts that are there, found again without a judge: a run that is scored anew keeps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pllava_cli.evaluation import vcgbench, videoqa
from pllava_cli.evaluation.items import Benchmark, Said
from pllava_cli.evaluation.judge import Judge
from pllava_cli.evaluation.judgements import Judgement
from pllava_cli.evaluation.verdicts import Store
from pllava_cli.evaluation.wording import load_instructions

_NOBODY = "http://127.0.0.1:9/v1"
"""Is never asked: verdicts are found by the judge's model and by what it was asked, wherever it was."""


@dataclass(frozen=True)
class JudgedBy:
    """Who judged a run's answers last: all that its verdicts are found by."""

    model: str
    max_tokens: int
    instructions: Path | None
    """Folder of the texts by which it was asked; None: our own."""


def known(benchmark: Benchmark, said: Sequence[Said], by: JudgedBy, store: Path) -> Mapping[str, Judgement]:
    """Return the verdicts on answers, by task, as far as there are.

    Args:
        benchmark: What was asked.
        said: What was said to its items.
        by: Who judged.
        store: The file of verdicts; it may be missing.

    Raises:
        UsageError: The file holds something else, or the texts by which the judge was asked are gone.
    """
    make = vcgbench.tasks if benchmark.name == vcgbench.NAME else videoqa.tasks
    judge = Judge(_NOBODY, by.model, max_tokens=by.max_tokens)
    with Store.peek(store) as kept:
        found = {
            task.id: kept.get(judge.key(task)) for task in make(said, load_instructions(by.instructions))
        }
    return {task: each for task, each in found.items() if each is not None}
