"""What is to be done with every clip, and how a model is set to it, in this process or another."""

import os
import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pllava_cli.batch.decoding import Look
from pllava_cli.batch.pipeline import Pipeline
from pllava_cli.crew.worker import Station
from pllava_cli.errors import CheckpointError
from pllava_cli.recording import Recording, model_of

if TYPE_CHECKING:
    from pllava_cli.engine import Captioner

Result = TypeVar("Result")


@dataclass(frozen=True)
class Assignment:
    """What is asked of every clip, and how many are decoded and answered at once."""

    recording: Recording
    questions: tuple[str | None, ...]
    """Those that are known before the clips are; None: a caption."""
    decode_timeout_s: float
    decoders: int
    """Processes."""
    batch_size: int | None
    """Clips at once; None: as many as fit."""

    def pipeline(self, captioner: "Captioner", sharing: int = 1) -> Pipeline:
        """Set a model to it.

        Args:
            captioner: The model.
            sharing: How many share its device's memory.

        Raises:
            UsageError: A question cannot be asked: it is too long.
        """
        from pllava_cli.engine import Decoding
        from pllava_cli.model.capacity import free_bytes

        said = self.recording.decoding
        decoding = Decoding(said.max_new_tokens, said.temperature, said.top_p, said.seed)
        turn = self.recording.turn
        if turn.is_inline:
            captioner.lead_with_clip()
        for question in self.questions:
            asked = self.recording.prompt if question is None else question
            captioner.check_question(asked, decoding=decoding, answer_start=turn.answer_start)
        captioner.caption_prompt = self.recording.prompt
        free = None if sharing == 1 else free_bytes(captioner.model.device) // sharing
        return Pipeline(
            captioner,
            self.recording,
            Look(
                captioner.num_frames,
                captioner.processor.preprocess,
                self.decode_timeout_s,
                captioner.shelf,
            ),
            decoding,
            workers=self.decoders,
            batch_size=self.batch_size or captioner.clips_at_once(said.max_new_tokens, free),
        )


@dataclass(frozen=True)
class Opening:
    """Loads a checkpoint and sets it to an assignment: what a worker begins with."""

    checkpoint: Mapping[str, Any]
    """Arguments of `Captioner`."""
    assignment: Assignment
    sharing: int
    """Workers that share the device's memory."""
    device: str = ""
    """What the user calls the device; the worker itself may see no other, and call it the first."""

    def __call__(self) -> Station:
        """Load.

        Raises:
            PllavaError: It cannot be loaded, or is not the checkpoint that the records are to name.
        """
        from pllava_cli.engine import Captioner
        from pllava_cli.model import heap

        late: list[str] = []
        arguments = dict(self.checkpoint)
        if (store := arguments.get("visual_store")) is not None:
            arguments["visual_store"] = store.telling(late.append)
        captioner = Captioner(**arguments)
        if captioner.plan.device == "cpu":
            heap.keep_freed()
        where = f"{self.device or captioner.plan.device} on {platform.node()}"
        expected, found = self.assignment.recording.model, model_of(captioner)
        if replace(found, base=expected.base) != expected:  # an adapter's base may lie elsewhere
            raise CheckpointError(
                f"the checkpoint {expected.name} is not the same everywhere: on {where} it is another",
                "put the same files and the same version of pllava on every machine",
            )
        pipeline = self.assignment.pipeline(captioner, self.sharing)
        notice = captioner.checkpoint.notice
        return Station(
            pipeline,
            self.assignment.decoders,
            f"{where}, {captioner.plan.dtype}",
            warnings=tuple(captioner.warnings),
            notes=(f"{captioner.checkpoint.name}: {notice}",) if notice else (),
            late=late,
        )


@dataclass(frozen=True)
class Surroundings:
    """What a process elsewhere needs so that names and settings mean there what they mean here."""

    folder: str
    """What relative names are relative to."""
    environment: Mapping[str, str]
    """Variables, set before the libraries that read them are imported."""

    def enter(self) -> None:
        """Make them this process's own."""
        os.environ.update(self.environment)
        with suppress(OSError):  # a node that lacks the folder may still have clips with whole paths
            os.chdir(self.folder)


@dataclass(frozen=True)
class Within:
    """A task that is to be done in certain surroundings; pickles if the task does."""

    surroundings: Surroundings
    task: Callable[[], Any]

    def __call__(self) -> Any:
        """Do it."""
        self.surroundings.enter()
        return self.task()
