"""Which benchmark a run is of and how it is scored: what a run's folder says of itself.

From it the questions are read again, so that answers can be judged and scored later without the command
line that they were made with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks.sample import Sample
from pllava_cli.evaluation.items import (
    OUR_WORDS,
    QUESTION_INSTRUCTION,
    SAMPLE,
    SPLIT,
    Benchmark,
    Item,
    Result,
    Said,
)
from pllava_cli.evaluation.scoring.chosen_option import Scoring

if TYPE_CHECKING:
    from pllava_cli.evaluation.judging.instructions import Instructions
    from pllava_cli.evaluation.judging.judgements import Judgement, Task

VIDEOQA = "videoqa-"
"""What the names of the benchmarks of open questions begin with."""


@dataclass(frozen=True)
class Asked:
    """What is asked."""

    benchmark: str
    """`mvbench`, `mc`, `vcgbench`, `videoqa-msvd` and so on, or `captions`."""
    data: Path
    """The benchmark's folder, or its file; absolute, so that records name clips alike from anywhere."""
    clips: Path | None = None
    """Where the clips are, if the file does not say it; absolute."""
    tasks: tuple[str, ...] = ()
    """Of MVBench; none: all."""
    scoring: Scoring = "strict"
    """Of multiple choice."""
    sample: Sample | None = None
    """The part of the questions that is asked; None: all."""
    instruction: str | None = None
    """What is said with each open question, `{question}` standing for it; None: our own words."""
    split: str | None = None
    """Of captions, that part of the file which is asked; None: all of it."""
    made: Path | None = None
    """The file of captions that were made before, of which the figures are; absolute. None: a checkpoint is
    asked."""

    @property
    def is_judged(self) -> bool:
        """Whether a judge can tell how good the answers are."""
        return self.benchmark == "vcgbench" or self.benchmark.startswith(VIDEOQA)

    def read(self) -> Benchmark:
        """Read the questions, or draw the sample of them.

        Raises:
            UsageError: The files are not there, or not laid out as they should be.
        """
        whole = self._read()
        if not whole.items:
            raise UsageError(f"{self.data} holds no question that can be asked", "check the files")
        return whole if self.sample is None else self.sample.draw(whole, self._entry)

    def judge_tasks(self, said: Sequence[Said], instructions: "Instructions") -> "list[Task]":
        """Return what a judge is to be asked of the answers, where one `is_judged`."""
        if self.benchmark == "vcgbench":
            from pllava_cli.evaluation.scoring import vcgbench

            return vcgbench.tasks(said, instructions)
        from pllava_cli.evaluation.scoring import videoqa

        return videoqa.tasks(said, instructions)

    def score(
        self,
        benchmark: Benchmark,
        said: Sequence[Said],
        judgements: "Mapping[str, Judgement] | None" = None,
    ) -> Result:
        """Score the answers by the benchmark's own rules.

        Args:
            benchmark: What `read` has returned.
            said: The answers, in the order of the items.
            judgements: What a judge holds of them, by task; None: no judge was asked.
        """
        if self.benchmark == "captions":
            from pllava_cli.evaluation.scoring import captions

            return captions.score(benchmark, said)
        if self.benchmark == "vcgbench":
            from pllava_cli.evaluation.scoring import vcgbench

            return vcgbench.score(benchmark, said, judgements or {})
        if self.benchmark.startswith(VIDEOQA):
            from pllava_cli.evaluation.scoring import videoqa

            return videoqa.score(benchmark, said, judgements)
        from pllava_cli.evaluation.scoring import choices

        return choices.score(benchmark, said, self.scoring)

    def described(self) -> dict[str, str]:
        """Say for people how questions are put where the user may put them otherwise, and if not all are."""
        found = {}
        if self.benchmark.startswith(VIDEOQA):
            from pllava_cli.evaluation.benchmarks import videoqa
            from pllava_cli.evaluation.judging.instructions import digest

            whose = OUR_WORDS if self.instruction is None else "of a file"
            found[QUESTION_INSTRUCTION] = f"{whose} ({digest(self.instruction or videoqa.INSTRUCTION)})"
        if self.split is not None:
            found[SPLIT] = self.split
        if self.sample is not None:
            found[SAMPLE] = self.sample.described()
        return found

    def _read(self) -> Benchmark:
        if self.benchmark == "mvbench":
            from pllava_cli.evaluation.benchmarks import mvbench

            return mvbench.read(self.data, self.tasks)
        if self.benchmark == "mc":
            from pllava_cli.evaluation.benchmarks import mc

            return mc.read(self.data)
        if self.benchmark == "vcgbench":
            from pllava_cli.evaluation.benchmarks import vcgbench

            return vcgbench.read(self.data)
        if self.benchmark == "captions":
            from pllava_cli.evaluation.benchmarks import captions
            from pllava_cli.evaluation.scoring import metrics

            metrics.check_library()  # it is better said before captions are made
            return captions.read(self.data, self.clips, self.split)
        from pllava_cli.evaluation.benchmarks import videoqa

        return videoqa.read(self.data, self.benchmark.removeprefix(VIDEOQA), self.instruction)

    def _entry(self, item: Item) -> str:
        """What an item is drawn with: of Video-ChatGPT's consistency, the other question of its pair."""
        if self.benchmark != "vcgbench":
            return item.id
        from pllava_cli.evaluation.benchmarks import vcgbench

        return vcgbench.entry_of(item)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "benchmark": self.benchmark,
            "data": str(self.data),
            "clips": None if self.clips is None else str(self.clips),
            "tasks": list(self.tasks),
            "scoring": self.scoring,
            "sample": None if self.sample is None else self.sample.each,
            "sample_seed": 0 if self.sample is None else self.sample.seed,
            "instruction": self.instruction,
            "split": self.split,
            "made": None if self.made is None else str(self.made),
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Asked":
        """Return what `as_dict` made plain.

        Raises:
            KeyError, TypeError, ValueError: It is not that.
        """
        clips, number, seed = plain["clips"], plain["sample"], plain["sample_seed"]
        instruction, scoring = plain["instruction"], plain["scoring"]
        split, made = plain.get("split"), plain.get("made")  # later fields
        given = (each for each in (clips, instruction, split, made) if each is not None)
        texts = (plain["benchmark"], plain["data"], scoring, *plain["tasks"], *given)
        if not all(isinstance(each, str) for each in texts) or scoring not in get_args(Scoring):
            raise ValueError
        if not isinstance(seed, int) or not (number is None or (isinstance(number, int) and number > 0)):
            raise ValueError
        return cls(
            plain["benchmark"],
            Path(plain["data"]),
            None if clips is None else Path(clips),
            tuple(plain["tasks"]),
            cast(Scoring, scoring),
            None if number is None else Sample(number, seed),
            instruction,
            split,
            None if made is None else Path(made),
        )

    def is_of(self, other: "Asked") -> bool:
        """Whether two are of the same benchmark, however much of it is asked and however it is scored.

        Captions that were made before are the answers themselves: those of another file are another run.
        """
        return (self.benchmark, self.data, self.clips, self.made) == (
            other.benchmark,
            other.data,
            other.clips,
            other.made,
        )
