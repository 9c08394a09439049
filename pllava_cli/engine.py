"""The engine: load a checkpoint, encode a clip once, answer any number of questions about it.

A clip is decoded, seen by the vision tower, pooled and put through the language model once. What
stays is the key-value cache of system text and visual tokens; a question only adds its own tokens
behind it and takes them away again.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import torch

from pllava_cli import registry
from pllava_cli.answers import Answer, AnswerStream, spoken
from pllava_cli.errors import UsageError
from pllava_cli.loader import load_model, open_checkpoint, template_of
from pllava_cli.model.cache import ROOM, PrefixCache
from pllava_cli.model.device import RuntimePlan
from pllava_cli.model.generation import Decoding, TokenRun, prefill
from pllava_cli.model.pooling import PoolingShape
from pllava_cli.prompts import CAPTION, SYSTEM, Message, check_text
from pllava_cli.video.reader import sample_frames, start_decoder

if TYPE_CHECKING:
    from pllava_cli.video.reader import DecodeReport

__all__ = ["Answer", "AnswerStream", "Captioner", "Decoding", "EncodedClip", "RuntimePlan", "load_model"]

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, in all); the stages are "loading", "decoding" and "encoding"."""


@dataclass
class EncodedClip:
    """A clip as the language model remembers it. It never changes, however often it is asked."""

    path: Path
    report: "DecodeReport"
    visual_tokens: int
    elapsed_s: dict[str, float]
    """Seconds: "decode" for frames, "encode" for vision tower, projector and prefill."""
    prefix_ids: list[int] = field(repr=False)
    cache: PrefixCache = field(repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def borrow(self) -> PrefixCache:
        """A cache holding just the clip: the clip's own, or a copy while another answer uses it."""
        if self._lock.acquire(blocking=False):
            self.cache.rewind(len(self.prefix_ids))
            return self.cache
        return self.cache.copy(len(self.prefix_ids))

    def give_back(self, cache: PrefixCache) -> None:
        """End the use of a borrowed cache."""
        if cache is self.cache:
            self._lock.release()


class Captioner:
    """Captions clips and answers questions about them.

    Args:
        model: A folder, or a name of weights.toml; `None` takes the default checkpoint.
        system: System text; `None` takes the project's, "" none.
        offline: Say in errors that nothing may be fetched (nothing ever is).
        decode_timeout_s: Seconds a decoder may go without progress before it is abandoned.
        on_progress: Told how far loading, decoding and encoding are.

    The other arguments are those of `load_model`.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        alpha: float | None = None,
        dtype: str = "auto",
        quantize: str = "auto",
        device: str = "auto",
        base: str | Path | None = None,
        num_frames: int | None = None,
        pooling_shape: PoolingShape | None = None,
        system: str | None = None,
        offline: bool = False,
        decode_timeout_s: float = 60.0,
        on_progress: Progress | None = None,
    ) -> None:
        start_decoder()  # its start-up passes while the model loads
        self._tell: Progress = on_progress or (lambda stage, done, total: None)
        name = model if model is not None else registry.defaults().model
        opened = open_checkpoint(
            name,
            alpha=alpha,
            dtype=dtype,
            quantize=quantize,
            device=device,
            base=base,
            num_frames=num_frames,
            pooling_shape=pooling_shape,
            offline=offline,
            on_bytes=lambda done, total: self._tell("loading", done, total),
        )
        self.checkpoint, self.plan, self.alpha = opened.checkpoint, opened.plan, opened.alpha
        self.base = opened.base
        self.model, self.processor = opened.model, opened.processor
        config = self.model.config
        self.num_frames: int = config.num_frames
        time_slots, rows, columns = config.pooling_shape
        self.pooling_shape = (time_slots, rows, columns)
        self.warnings = self.processor.warnings
        self.system = SYSTEM if system is None else system
        self.caption_prompt = CAPTION
        self.template = template_of(self.checkpoint, self.processor.tokenizer)
        self._timeout_s = decode_timeout_s
        self._positions: int = config.text_config.max_position_embeddings
        self._stop_ids = self._find_stop_ids()
        self._prefix_ids()  # a system text that cannot be is told now, not clip by clip

    def encode(
        self, path: str | Path, *, start: float | None = None, end: float | None = None
    ) -> EncodedClip:
        """Decode a clip and put it into the model's memory.

        Args:
            path: The video file.
            start: Seconds from the clip's first picture; `None` is its beginning.
            end: Seconds; `None` is its end.

        Raises:
            ClipError: The clip cannot be decoded.
            UsageError: No such file, or bounds or a system text that cannot be meant.
        """
        began = time.perf_counter()
        prefix_ids = self._prefix_ids()
        self._tell("decoding", 0, self.num_frames)
        frames, _, report = sample_frames(path, self.num_frames, start, end, timeout_s=self._timeout_s)
        self._tell("decoding", self.num_frames, self.num_frames)
        decoded = time.perf_counter()
        cache = self._remember(frames, prefix_ids)
        elapsed = {"decode": decoded - began, "encode": time.perf_counter() - decoded}
        return EncodedClip(Path(path), report, self.processor.visual_tokens, elapsed, prefix_ids, cache)

    def stream(
        self,
        encoded: EncodedClip,
        question: str | None = None,
        *,
        decoding: Decoding | None = None,
        answer_start: str = "",
    ) -> AnswerStream:
        """Answer a question (`None`: caption the clip), piece by piece.

        Args:
            encoded: The clip.
            question: The user's words.
            decoding: How tokens are chosen.
            answer_start: What the model is made to begin with; the answer is what follows it.

        Raises:
            UsageError: The question cannot be asked: it is too long, or holds the clip's placeholder.
        """
        decoding = decoding or Decoding()
        asked = self.caption_prompt if question is None else question
        ids = self._question_ids(encoded, asked, answer_start, decoding)
        return AnswerStream(self._say(encoded, question, ids, decoding))

    def answer(
        self,
        encoded: EncodedClip,
        question: str | None = None,
        *,
        decoding: Decoding | None = None,
        answer_start: str = "",
    ) -> Answer:
        """Answer a question; takes and raises what `stream` does."""
        return self.stream(encoded, question, decoding=decoding, answer_start=answer_start).answer

    def caption(
        self,
        path: str | Path,
        *,
        start: float | None = None,
        end: float | None = None,
        decoding: Decoding | None = None,
    ) -> Answer:
        """Caption a clip; raises as `encode` does."""
        return self.answer(self.encode(path, start=start, end=end), decoding=decoding)

    def _remember(self, frames: Any, prefix_ids: list[int]) -> PrefixCache:
        """The cache of system text and clip."""
        layers: int = self.model.config.text_config.num_hidden_layers
        steps = self.num_frames + layers
        pixels = self.processor.pixel_values(frames)
        visual = self.model.encode_frames(pixels, lambda seen, _: self._tell("encoding", seen, steps))
        cache = PrefixCache(layers)
        cache.reserve(len(prefix_ids) + ROOM)
        with torch.inference_mode():
            embeddings = self.model.embed(torch.tensor([prefix_ids], device=self.model.device), visual)
        prefill(
            self.model, cache, embeddings, lambda done: self._tell("encoding", self.num_frames + done, steps)
        )
        if self.model.device.type == "cuda":
            torch.cuda.synchronize(self.model.device)  # so that the time told is the time taken
        return cache

    def _prefix_ids(self) -> list[int]:
        """Ids of everything up to the clip's last visual token: system text and clip.

        Raises:
            UsageError: The system text is too long, or holds the clip's placeholder.
        """
        check_text(self.system, "the system text")
        ids = self._prompt_ids("")
        if len(ids) >= self._positions:
            raise UsageError(
                f"the system text and the clip need {len(ids)} of the model's {self._positions} positions",
                "use a shorter --system text or a smaller --pooling-shape",
            )
        return ids[: _after_clip(ids, self.processor.tokenizer.placeholder_id)]

    def _prompt_ids(self, question: str, answer_start: str = "") -> list[int]:
        turns = self.template.turns(question)
        if answer_start:
            turns.append(Message("answer start", answer_start))
        prompt = self.template.render(turns, self.system)
        return self.processor.expand(self.processor.tokenizer.encode(prompt))

    def _question_ids(
        self, encoded: EncodedClip, question: str, answer_start: str, decoding: Decoding
    ) -> list[int]:
        check_text(question, "the question")
        check_text(answer_start, "the answer's start")
        # The placeholder, a special token, cuts the text: the ids before it do not depend on the question.
        ids, known = self._prompt_ids(question, answer_start), len(encoded.prefix_ids)
        if ids[:known] != encoded.prefix_ids:
            raise UsageError(
                f"{encoded.path} was encoded with another system text or checkpoint", "encode it again"
            )
        answer = decoding.max_new_tokens
        if len(ids) + answer > self._positions:
            raise UsageError(
                f"prompt and answer need {len(ids)} + {answer} positions of {self._positions}",
                "ask a shorter question, or use a smaller --max-new-tokens or --pooling-shape",
            )
        return ids[known:]

    def _say(
        self, encoded: EncodedClip, question: str | None, ids: list[int], decoding: Decoding
    ) -> Generator[str, None, Answer]:
        began, said = time.perf_counter(), []
        cache = encoded.borrow()
        try:
            run = TokenRun(self.model, cache, ids, decoding, self._stop_ids)
            for piece in spoken(run, self.processor.tokenizer.stream()):
                said.append(piece)
                yield piece
        finally:
            encoded.give_back(cache)
        elapsed = {"first_token": run.first_token_s, "generate": time.perf_counter() - began}
        return Answer("".join(said), question, run.stopped, len(run.ids), elapsed)

    def _find_stop_ids(self) -> frozenset[int]:
        stored = self.model.generation_config.eos_token_id
        ids = {stored} if isinstance(stored, int) else set(stored or ())
        turn_end = self.processor.tokenizer.id_of(self.template.assistant_end.strip())
        return frozenset(ids if turn_end is None else ids | {turn_end})


def _after_clip(ids: list[int], placeholder: int) -> int:
    return len(ids) - ids[::-1].index(placeholder)
