"""The engine's first half: load a checkpoint, decode clips, put them into the model's memory.

A clip is decoded, seen by the vision tower, pooled and put through the language model once. What
stays is the key-value cache of system text and visual tokens, of one clip or of several side by side.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pllava_cli import registry
from pllava_cli.encoded import DecodedClip, EncodedClip, EncodedClips, SeenClip
from pllava_cli.errors import UsageError
from pllava_cli.loader import open_checkpoint, template_of
from pllava_cli.model.batching import remember
from pllava_cli.model.cache import ROOM, PrefixCache
from pllava_cli.model.capacity import Capacity, free_bytes, plannable
from pllava_cli.model.generation import Decoding
from pllava_cli.model.memory import within_memory
from pllava_cli.model.modeling import FramesSeen
from pllava_cli.model.pooling import PoolingShape
from pllava_cli.prompt_ids import PromptIds
from pllava_cli.prompts import SYSTEM
from pllava_cli.video.reader import sample_frames, start_decoder

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, in all); the stages are "loading", "decoding" and "encoding"."""


class ClipEncoder:
    """A checkpoint that clips can be put into.

    Args:
        model: A folder, or a name of weights.toml; `None` takes the default checkpoint.
        keep_tokens: Share of the visual tokens to leave, above 0 and at most 1: what stays the same over
            time is merged (`pllava_cli.model.thinning`), so that encoding and answering take less time.
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
        encode: str = "auto",
        device: str = "auto",
        base: str | Path | None = None,
        num_frames: int | None = None,
        pooling_shape: PoolingShape | None = None,
        keep_tokens: float = 1.0,
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
            encode=encode,
            device=device,
            base=base,
            num_frames=num_frames,
            pooling_shape=pooling_shape,
            keep_tokens=keep_tokens,
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
        self.keep_tokens: float = config.keep_tokens
        self.warnings = self.processor.warnings + opened.warnings
        if alpha is not None and opened.alpha is None:
            self.warnings += (f"an alpha of {alpha:g} changes nothing: {name} has no LoRA weights",)
        self.system = SYSTEM if system is None else system
        self.template = template_of(self.checkpoint, self.processor.tokenizer)
        self._timeout_s = decode_timeout_s
        self._prompts.prefix()  # a system text that cannot be is told now, not clip by clip

    def lead_with_clip(self) -> None:
        """Have the clip lead the question's own turn from now on, instead of being a turn of its own.

        What was encoded before can then no longer be asked.
        """
        self.template = replace(self.template, media_alone=False)

    def decode(
        self, path: str | Path, *, start: float | None = None, end: float | None = None
    ) -> DecodedClip:
        """Sample a clip's frames and make the pictures that the vision tower takes; no model is run.

        Args:
            path: The video file.
            start: Seconds from the clip's first picture; `None` is its beginning.
            end: Seconds; `None` is its end.

        Raises:
            ClipError: The clip cannot be decoded.
            UsageError: No such file, or bounds that cannot be meant.
        """
        began = time.perf_counter()
        self._tell("decoding", 0, self.num_frames)
        frames, _, report = sample_frames(path, self.num_frames, start, end, timeout_s=self._timeout_s)
        pictures = self.processor.pictures(frames)
        self._tell("decoding", self.num_frames, self.num_frames)
        return DecodedClip(Path(path), pictures, report, time.perf_counter() - began)

    def encode(
        self, path: str | Path, *, start: float | None = None, end: float | None = None
    ) -> EncodedClip:
        """Decode a clip and put it into the model's memory.

        Takes what `decode` does, and raises what `decode` and `remember` do.
        """
        self._prompts.prefix()  # a system text that cannot be is told before minutes are spent on decoding
        return self.remember(self.decode(path, start=start, end=end))

    def remember(self, decoded: DecodedClip) -> EncodedClip:
        """Put a decoded clip into the model's memory.

        Raises:
            UsageError: A system text that cannot be, or pictures that the model does not take.
            MemoryFullError: The device's memory does not suffice.
        """
        ids, layers = self._prompts.prefix(), self.model.config.text_config.num_hidden_layers
        tell = partial(self._tell, "encoding")
        steps = self.num_frames + layers
        cache, encode_s = self._fill(
            [decoded],
            ids,
            ROOM,
            lambda seen, _: tell(seen, steps),
            lambda done: tell(self.num_frames + done, steps),
        )
        return EncodedClip(**vars(self._seen(decoded, encode_s)), prefix_ids=ids, cache=cache)

    def encode_many(
        self, decoded: Sequence[DecodedClip], *, max_new_tokens: int = Decoding.max_new_tokens
    ) -> EncodedClips:
        """Put several decoded clips into the model's memory, side by side.

        Args:
            decoded: The clips, at least one; `clips_at_once` says how many fit.
            max_new_tokens: Of the longest answer to come: room for it is reserved.

        Raises:
            UsageError: A system text that cannot be, or pictures that the model does not take.
            MemoryFullError: The device's memory does not suffice for so many; nothing is kept of the
                attempt, and fewer may be tried.
        """
        if not decoded:
            raise UsageError("no clips were given to encode", "give at least one")
        ids = self._prompts.prefix()
        behind = self._capacity().positions(max_new_tokens) - len(ids)
        cache, encode_s = self._fill(decoded, ids, behind)
        seen = [self._seen(each, encode_s) for each in decoded]
        return EncodedClips(seen, ids, cache, list(range(len(seen))))

    def kv_bytes_per_clip(self, max_new_tokens: int = Decoding.max_new_tokens) -> int:
        """Bytes that one clip's part of the key-value cache takes in a batch."""
        return self._capacity().kv_bytes(max_new_tokens)

    def clips_at_once(self, max_new_tokens: int = Decoding.max_new_tokens, free: int | None = None) -> int:
        """How many clips to give `encode_many`: as many as fit and are of use; at least 1.

        Args:
            max_new_tokens: Of the longest answer to come.
            free: Bytes free on the device; `None` asks it.
        """
        device, capacity = self.model.device, self._capacity()
        free = free_bytes(device) if free is None else free
        fit = capacity.clips(plannable(device.type, free), max_new_tokens)
        language_model = (*self.model.model.language_model.parameters(), *self.model.lm_head.parameters())
        weights = sum(each.nbytes for each in language_model)
        return max(1, min(fit, capacity.useful(device.type, weights, max_new_tokens)))

    @property
    def _prompts(self) -> PromptIds:
        """Made anew each time: system text and template may be replaced."""
        positions: int = self.model.config.text_config.max_position_embeddings
        return PromptIds(self.template, self.system, self.processor, positions)

    def _capacity(self) -> Capacity:
        prefix = self._prompts.prefix()
        return Capacity(self.model.config, len(prefix), self.plan.torch_dtype.itemsize)

    def _fill(
        self,
        decoded: Sequence[DecodedClip],
        ids: list[int],
        behind: int,
        on_frames: FramesSeen | None = None,
        on_layer: Callable[[int], None] | None = None,
    ) -> tuple[PrefixCache, float]:
        """The clips' cache with positions reserved `behind` them, and the seconds it took."""
        began = time.perf_counter()
        for each in decoded:
            self.processor.check_pictures(each.pictures, each.path)
        pictures = [each.pictures for each in decoded]
        work = partial(
            remember, self.model, self.processor.preprocess, ids, pictures, behind, on_frames, on_layer
        )
        cache = within_memory(self.plan.device, len(decoded), work)
        return cache, time.perf_counter() - began

    def _seen(self, decoded: DecodedClip, encode_s: float) -> SeenClip:
        elapsed = {"decode": decoded.decode_s, "encode": encode_s}
        return SeenClip(decoded.path, decoded.report, self.processor.visual_tokens, elapsed)
