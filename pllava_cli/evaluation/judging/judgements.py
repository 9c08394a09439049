"""What a judge is asked of an answer, and what it said."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from pllava_cli.evaluation.judging.instructions import Messages
from pllava_cli.evaluation.judging.replies import Meaning


@dataclass(frozen=True)
class Task:
    """One thing for a judge to judge."""

    id: str
    """Unique within a benchmark, and the same in every run."""
    item: str
    """The item, or the entry with both of a pair."""
    dimension: str
    """The instruction by which it is judged."""
    messages: Messages


@dataclass(frozen=True)
class Judgement:
    """What a judge said to a prompt."""

    item: str
    """Of the first task with this prompt."""
    dimension: str
    model: str
    """As it was asked for."""
    replied_model: str
    """As the endpoint names the one that replied; empty if it does not."""
    endpoint: str
    """Host and port."""
    reply: str
    """Its last characters, if it is longer than a reply should be."""
    meaning: Meaning
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    key: str = field(default="", compare=False)
    """Of the request, as the store has it; empty: it is not from a store."""

    @property
    def judge(self) -> str:
        """Who judged, in words."""
        is_other = self.replied_model not in ("", self.model)
        return f"{self.model}{f' ({self.replied_model})' if is_other else ''} at {self.endpoint}"
