"""Which benchmark a run is of and how it is scored: what a run's folder says of itself.

From it the questions are read again, so that answers can be judged and scored later without the command
line that they were made with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from pllava_cli.errors import UsageError
from pllava_cli.evaluation import sample
from pllava_cli.evaluation.choices import Scoring
from pllava_cli.evaluation.items import Benchmark, Item, Result, Said

if TYPE_CHECKING:
    from pllava_cli.evaluation.judgements import Judgement

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
    sample: int | None = None
    """Questions of each group, drawn at random; None: all."""
    sample_seed: int = 0
    instruction: str | None = None
    """What is said with each open question, `{question}` standing for it; None: our own words."""

    @property
    def is_judged(self) -> bool:
        """Whether a judge can tell how good the answers are."""
        return self.benchmark == "vcgbench" or self.benchmark.startswith(VIDEOQA)

    def read(self) -> tuple[Benchmark, list[str]]:
        """Read the questions; returns them with what a reader of the figures must know of them.

        Raises:
            UsageError: The files are not there, or not laid out as they should be.
        """
        whole = self._read()
        if not whole.items:
            raise UsageError(f"{self.data} holds no question that can be asked", "check the files")
        if self.sample is None:
            return whole, []
        part = sample.draw(whole, self.sample, self.sample_seed, self._entry)
        return part, [sample.note(self.sample, self.sample_seed, whole, part)]

    def score(
        self,
        benchmark: Benchmark,
        said: Sequence[Said],
        verdicts: "Mapping[str, Judgement] | None" = None,
    ) -> Result:
        """Score the answers by the benchmark's own rules.

        Args:
            benchmark: What `read` has returned.
            said: The answers, in the order of the items.
            verdicts: What a judge holds of them; None: no judge was asked.
        """
        if self.benchmark == "captions":
            from pllava_cli.evaluation import captions

            return captions.score(benchmark, said)
        if self.benchmark == "vcgbench":
            from pllava_cli.evaluation import vcgbench

            return vcgbench.score(benchmark, said, verdicts or {})
        if self.benchmark.startswith(VIDEOQA):
            from pllava_cli.evaluation import videoqa

            return videoqa.score(benchmark, said, verdicts)
        from pllava_cli.evaluation import choices

        return choices.score(benchmark, said, self.scoring)

    def described(self) -> dict[str, str]:
        """Say for people how questions are put, where the user may put them otherwise."""
        if not self.benchmark.startswith(VIDEOQA):
            return {}
        from pllava_cli.evaluation import videoqa, wording

        whose = "our own" if self.instruction is None else "of a file"
        return {
            "question's instruction": f"{whose} ({wording.digest(self.instruction or videoqa.INSTRUCTION)})"
        }

    def _read(self) -> Benchmark:
        if self.benchmark == "mvbench":
            from pllava_cli.evaluation import mvbench

            return mvbench.read(self.data, self.tasks)
        if self.benchmark == "mc":
            from pllava_cli.evaluation import multiple

            return multiple.read(self.data)
        if self.benchmark == "vcgbench":
            from pllava_cli.evaluation import vcgbench

            return vcgbench.read(self.data)
        if self.benchmark == "captions":
            from pllava_cli.evaluation import captions

            return captions.read(self.data, self.clips)
        from pllava_cli.evaluation import videoqa

        return videoqa.read(self.data, self.benchmark.removeprefix(VIDEOQA), self.instruction)

    def _entry(self, item: Item) -> str:
        """What an item is drawn with: of Video-ChatGPT's consistency, the other question of its pair."""
        is_pair = self.benchmark == "vcgbench" and item.group == "consistency"
        return item.id.rpartition("/")[0] if is_pair else item.id

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        clips = None if self.clips is None else str(self.clips)
        return vars(self) | {"data": str(self.data), "clips": clips, "tasks": list(self.tasks)}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Asked":
        """Return what `as_dict` made plain.

        Raises:
            KeyError, TypeError, ValueError: It is not that.
        """
        clips, number, seed = plain["clips"], plain["sample"], plain["sample_seed"]
        instruction, scoring = plain["instruction"], plain["scoring"]
        texts = (plain["benchmark"], plain["data"], scoring, clips or "", instruction or "", *plain["tasks"])
        if not all(isinstance(each, str) for each in texts) or scoring not in get_args(Scoring):
            raise ValueError
        if not isinstance(seed, int) or not (number is None or isinstance(number, int)):
            raise ValueError
        return cls(
            plain["benchmark"],
            Path(plain["data"]),
            None if clips is None else Path(clips),
            tuple(plain["tasks"]),
            cast(Scoring, scoring),
            number,
            seed,
            instruction,
        )

    def is_of(self, other: "Asked") -> bool:
        """Whether two are of the same benchmark, however much of it is asked and however it is scored."""
        return (self.benchmark, self.data, self.clips) == (other.benchmark, other.data, other.clips)
