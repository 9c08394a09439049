"""A run without a model: an engine that says what it is shown, and the works of a few real clips."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pllava_cli import inputs
from pllava_cli.answers import Answer
from pllava_cli.batch.decoding import Look
from pllava_cli.batch.pipeline import Outcome, Pipeline
from pllava_cli.batch.planning import Job
from pllava_cli.batch.work import Work
from pllava_cli.encoded import DecodedClip, SeenClip
from pllava_cli.errors import MemoryFullError, PllavaError
from pllava_cli.model.preprocessing import ClipPreprocessor
from pllava_cli.recording import Recording
from pllava_cli.records import Decoding, File
from tests.batch.made import MODEL

SIDE = 28
LOOK = Look(2, ClipPreprocessor(SIDE, (SIDE, SIDE), (0.5,) * 3, (0.5,) * 3, 1 / 255), timeout_s=60.0)
RECORDING = Recording(MODEL, Decoding(8, 0.0, 1.0, None), system="", prompt="Describe it.")


@dataclass
class Engine:
    """Says the question and the clip's name, for as many rows as fit."""

    fit: int = 1000
    """Rows that fit while clips are encoded."""
    fit_answers: int = 1000
    """Rows that fit while they are answered, from the second time on."""
    refuses: dict[str | None, PllavaError] = field(default_factory=dict)
    """Errors by question."""
    encoding: Callable[[], object] = lambda: None
    """Called with each batch."""
    batches: list[list[str]] = field(default_factory=list)
    """Clips that were encoded together, each once however many questions are asked at a time."""
    asked: list[tuple[str | None, str]] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    """How many questions were asked at a time."""
    starts: set[str] = field(default_factory=set)
    """What answers were made to begin with."""
    says: str | None = None
    """None: the question and the clip's name."""

    def encode_many(self, decoded: Sequence[DecodedClip], *, max_new_tokens: int) -> Any:
        for each in decoded:
            assert each.pictures is not None and each.pictures.shape == (2, SIDE, SIDE, 3)
        if len(decoded) > self.fit:
            raise MemoryFullError(f"no room for {len(decoded)} clips", "use fewer")
        self.batches.append(list(dict.fromkeys(each.path.name for each in decoded)))
        self.encoding()
        clips = [SeenClip(each.path, each.report, 4, {"decode": 0.1, "encode": 0.2}) for each in decoded]
        return SimpleNamespace(clips=clips, said=0)

    def answer_each(
        self,
        encoded: Any,
        questions: Mapping[int, str | None],
        *,
        decoding: Any = None,
        answer_start: str = "",
    ) -> dict[int, Answer | PllavaError]:
        if encoded.said and len(encoded.clips) > self.fit_answers:
            raise MemoryFullError("no room for the answers", "use fewer")
        self.rounds.append(len(questions))
        self.starts.add(answer_start)
        encoded.said += 1
        return {number: self.said(encoded.clips[number], asked) for number, asked in questions.items()}

    def said(self, clip: SeenClip, question: str | None) -> Answer | PllavaError:
        if question in self.refuses:
            return self.refuses[question]
        self.asked.append((question, clip.path.name))
        elapsed_s = {"first_token": 0.1, "generate": 0.2}
        return Answer(self.says or f"{question} {clip.path.name}", question, "eos", 3, elapsed_s)


def job(clip: Path, questions: tuple[str | None, ...] = (None,), fault: PllavaError | None = None) -> Job:
    work = Work(inputs.Clip(clip, inputs.clip_id(clip)), questions=questions, fault=fault)
    return Job(work, questions, File.of(clip))


def pipeline(
    engine: Engine, batch_size: int = 4, workers: int = 2, look: Callable[..., DecodedClip] = LOOK
) -> Pipeline:
    return Pipeline(engine, RECORDING, look, RECORDING.decoding, workers=workers, batch_size=batch_size)  # type: ignore[arg-type]


def texts(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    """What was said of each clip, empty for an error, in the order of names."""
    return sorted((outcome.clip.name, outcome.record.text or "") for outcome in outcomes)
