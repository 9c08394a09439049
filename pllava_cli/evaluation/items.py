"""What a benchmark asks, what was said to it, and what that came to: the same for every benchmark.

A benchmark is read into items, each one question about one clip. Items are answered by the pipeline of
`pllava batch`, scored by the benchmark's own rules, and shown by one report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["right", "wrong", "unparsed", "empty", "failed", "measured", "unjudged"]
"""What became of an answer. `unparsed`: nothing in it could be read as an answer; `empty`: nothing was
said; `failed`: the clip could not be decoded, or the question not asked. All of these count as wrong, and
are listed apart. `measured`: a caption, which counts by its words, and is neither right nor wrong.
`unjudged`: no verdict is there yet, so it counts as nothing."""
ASIDE: tuple[Kind, ...] = ("failed", "unparsed", "empty", "unjudged")
"""What is listed one by one: answers that tell more of the run than of the checkpoint."""

CHECKPOINT = "checkpoint"
"""The setting of a result that names what was asked; not there: the captions were made before."""
SAMPLE = "sample"
"""The one that says how a part of the questions was drawn; not there: all were asked."""
SPLIT = "split"
"""The one that says of which split they were; not there: of all that their file has."""
JUDGE = "judge"
"""The one that names who judged; not there: nobody was asked."""
QUESTION_INSTRUCTION, JUDGE_INSTRUCTIONS = "question's instruction", "judge's instructions"
"""Those that say what open questions were put with, and by which texts a judge was asked."""
OUR_WORDS = "our own"
"""What the values of these begin with where the words are this project's; a digest follows."""
NOT_ANSWERED = "not answered yet"
"""The error of an item of which the journal holds no answer made with the settings in question."""


@dataclass(frozen=True)
class Item:
    """One question about one clip."""

    id: str
    """Unique within the benchmark and the same in every run: `action_sequence/17`."""
    group: str
    """What it is counted under: a sub-task, or a part of the benchmark."""
    clip: Path
    """A video file, or a folder of frames."""
    question: str
    """As the benchmark words it."""
    answer: str
    """What the benchmark holds to be right."""
    prompt: str
    """The user's turn as it is put to the checkpoint."""
    candidates: tuple[str, ...] = ()
    """What may be chosen; none in open questions."""
    start_s: float | None = None
    """Start of the part of the clip that is asked about; None: its beginning."""
    end_s: float | None = None
    """End of that part; None: the clip's."""
    references: tuple[str, ...] = ()
    """All that is held to be right, where that is more than one text: the captions that people wrote."""


@dataclass(frozen=True)
class Fault:
    """Something in a benchmark's files that cannot be asked: it is named and left out."""

    where: str
    """File, and entry within it."""
    message: str


@dataclass(frozen=True)
class Manner:
    """How a benchmark puts its questions."""

    system: str
    """System text; none if empty."""
    answer_start: str = ""
    """What the reply is made to begin with; the answer is what follows it."""
    is_inline: bool = False
    """Whether the clip leads the question's own turn, instead of being a turn of its own."""
    max_new_tokens: int = 100
    """As in all of the reference's evaluations (magic-research/PLLaVA, tasks/eval)."""


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as it lies on this machine."""

    name: str
    """`mvbench`, `mc`, `vcgbench`, `videoqa-msvd`, ..."""
    items: Sequence[Item]
    manner: Manner
    faults: Sequence[Fault] = ()
    notes: Sequence[str] = ()
    """What a reader of the figures must know of the questions."""
    splits: Mapping[str, str] = field(default_factory=dict)
    """Of items, by their ids, the split that their file puts them in, where it says so."""
    clip_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of items, by their ids, what else the files of their clips may be called, without a suffix."""


@dataclass(frozen=True)
class Said:
    """What a checkpoint said to an item."""

    item: Item
    text: str | None
    """Its words after the answer's start; None: there are none, and `error` says why."""
    error: str | None = None
    timestamps_s: tuple[float, ...] = ()
    """When the frames it saw are shown."""
    is_of_part: bool = False
    """Whether it is said to be of a part of the clip, where the item is about all of it."""


@dataclass(frozen=True)
class Verdict:
    """What an answer came to."""

    said: Said
    kind: Kind
    score: float
    """1 or 0 where answers are right or wrong; a judge's number where one gives numbers."""
    note: str = ""
    """Why, if that is not plain: the option that was read, or a judge's reply that was not understood."""
    key: str = ""
    """Of a judge's: SHA-256 of the request, by which the store of verdicts has its words."""


@dataclass(frozen=True)
class Group:
    """A row of the table: a sub-task, or a dimension."""

    name: str
    of: int
    """Answers counted."""
    value: float | None
    """Per cent right, or the mean score; None of nothing."""
    counts: Mapping[Kind, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Average:
    """A mean over the table, and of what."""

    label: str
    """`mean over tasks`, `mean over items`, ..."""
    value: float | None
    note: str = ""
    unit: str = ""
    """What the value is in; empty: in what the result's values are."""


@dataclass(frozen=True)
class Result:
    """A run of a benchmark, scored."""

    benchmark: str
    scoring: str
    """The rules by which it was scored, by name, with the judge's if there was one."""
    unit: str
    """What values are in: `%`, or `of 5`."""
    groups: Sequence[Group]
    averages: Sequence[Average]
    verdicts: Sequence[Verdict]
    faults: Sequence[Fault] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    """How the answers were made: checkpoint, alpha, frames, pooling shape, precision, ..."""
    notes: Sequence[str] = ()
    """What a reader must know to compare the figures."""
