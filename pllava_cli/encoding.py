"""The engine's first half: load a checkpoint, decode clips, put them into the model's memory.

A clip is decoded, seen by the vision tower, pooled and put through the language model once. What
stays is the key-value cache of system text and visual tokens, of one clip or of several side by side.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pllava_cli import registry
from pllava_cli.encoded import DecodedClip, EncodedClip, EncodedClips, SeenClip
from pllava_cli.errors import UsageError
from pllava_cli.loader import open_checkpoint, template_of
from pllava_cli.model.batching import remember
from pllava_cli.model.cache import ROOM, PrefixCache
from pllava_cli.model.capacity import Capacity, free_bytes, plannable
from pllava_cli.model.cuda_graph import use_graph
from pllava_cli.model.generation import Decoding
from pllava_cli.model.memory import within_memory
from pllava_cli.model.modeling import FramesSeen
from pllava_cli.model.pooling import PoolingShape
from pllava_cli.model.visual import VisualTokens, look
from pllava_cli.prompt_ids import PromptIds
from pllava_cli.prompts import SYSTEM
from pllava_cli.video.reader import sample_frames, start_decoder
from pllava_cli.visualstore.shelf import Shelf, shelf_for

if TYPE_CHECKING:
    from pllava_cli.visualstore.store import VisualStore

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
        visual_store: Keeps the visual tokens of clips: one that has been seen before, whatever was asked and
            however strongly LoRA counted, is neither decoded nor seen again. `None`: they are not kept.

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
        visual_store: "VisualStore | None" = None,
    ) -> None:
        if visual_store is None:  # else there may be nothing to decode
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
        self.checkpoint, self.alpha, self.base = opened.checkpoint, opened.alpha, opened.base
        self.model, self.processor = opened.model, opened.processor
        self.plan = use_graph(self.model, opened.plan)
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
        self._merge_again, self._visual_store = opened.merge_again, visual_store
        self.shelf = self._find_shelf()
        """Where its visual tokens are kept; None: nowhere."""
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

        A clip whose visual tokens are kept is not looked at, they stand in the pictures' place.

        Args:
            path: The video file.
            start: Seconds from the clip's first picture; `None` is its beginning.
            end: Seconds; `None` is its end.

        Raises:
            ClipError: The clip cannot be decoded.
            UsageError: No such file, or bounds that cannot be meant.
        """
        self._tell("decoding", 0, self.num_frames)
        decode = partial(self._decode, Path(path), start, end)
        decoded = decode() if self.shelf is None else self.shelf.clip(Path(path), start, end, decode)
        self._tell("decoding", self.num_frames, self.num_frames)
        return decoded

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
            UsageError: A system text that cannot be, or pictures or tokens that the model does not take.
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
            decoded: The clips, at least one; `clips_at_once` says how many fit. One that comes several times
                is looked at once, and can then be asked as many questions at a time.
            max_new_tokens: Of the longest answer to come: room for it is reserved.

        Raises:
            UsageError: A system text that cannot be, or pictures or tokens that the model does not take.
            MemoryFullError: The device's memory does not suffice for so many; nothing is kept of the
                attempt, and fewer may be tried.
        """
        if not decoded:
            raise UsageError("no clips were given to encode", "give at least one")
        ids = self._prompts.prefix()
        behind = self._capacity().positions(max_new_tokens) - len(ids)
        places: dict[int, int] = {}
        for place, each in enumerate(decoded):
            places.setdefault(id(each), place)
        distinct, rows = list(places.values()), {each: row for row, each in enumerate(places)}
        further = sorted(set(range(len(decoded))) - set(distinct))
        copies = [rows[id(decoded[place])] for place in further]
        cache, encode_s = self._fill([decoded[place] for place in distinct], ids, behind, copies=copies)
        seen = [self._seen(each, encode_s) for each in decoded]
        return EncodedClips(seen, ids, cache, distinct + further)

    def set_alpha(self, alpha: float) -> bool:
        """Let LoRA count otherwise from now on; only the weights that this changes are read again.

        The model is then to the bit what loading the checkpoint at this alpha gives. Clips that were encoded
        before must be encoded again.

        Returns:
            Whether it could be done: not where there is no LoRA, or a packed save has it merged.

        Raises:
            CheckpointError: The files cannot be read any more; the model is of no use then.
            MemoryFullError: The memory does not suffice; nor is it then.
            UsageError: Such an alpha does not exist.
        """
        if not self._merge_again(alpha):
            return False
        if self.model.recorder is not None:
            self.model.recorder.forget()
        self.alpha, self.shelf = alpha, self._find_shelf()  # LoRA may lie in the vision tower, too
        return True

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

    def _find_shelf(self) -> Shelf | None:
        if self._visual_store is None:
            return None
        return shelf_for(self._visual_store, self.model, self.processor, self.plan)

    def _decode(self, path: Path, start: float | None, end: float | None) -> DecodedClip:
        began = time.perf_counter()
        frames, _, report = sample_frames(path, self.num_frames, start, end, timeout_s=self._timeout_s)
        return DecodedClip(path, self.processor.pictures(frames), report, time.perf_counter() - began)

    def _fill(
        self,
        decoded: Sequence[DecodedClip],
        ids: list[int],
        behind: int,
        on_frames: FramesSeen | None = None,
        on_layer: Callable[[int], None] | None = None,
        copies: Sequence[int] = (),
    ) -> tuple[PrefixCache, float]:
        """The clips' cache with positions reserved `behind` them, and the seconds it took."""
        began = time.perf_counter()
        for each in decoded:
            self._check(each)
        visual = (self._look(each, on_frames) for each in decoded)
        work = partial(remember, self.model, ids, len(decoded), visual, behind, on_layer, copies)
        cache = within_memory(self.plan, len(decoded) + len(copies), work)
        return cache, time.perf_counter() - began

    def _check(self, decoded: DecodedClip) -> None:
        if decoded.visual is None:
            self.processor.check_pictures(decoded.pictures, decoded.path)
            return
        found = tuple(decoded.visual.tokens_SD.shape)
        wanted = (self.processor.visual_tokens, self.model.config.text_config.hidden_size)
        is_whole = self.processor.visual_tokens == self.processor.pooled_tokens
        if found != wanted or (decoded.visual.widths_S is None) != is_whole:
            raise UsageError(
                f"{decoded.path}: there are {found[0]} visual tokens of width {found[-1]}",
                f"give {wanted[0]} of width {wanted[1]}, as this checkpoint makes them",
            )

    def _look(self, decoded: DecodedClip, on_frames: FramesSeen | None) -> VisualTokens:
        """The visual tokens of a clip that `_check` has passed; new ones are kept where that is wanted."""
        if decoded.visual is not None:
            return decoded.visual.to(self.model.device)
        assert decoded.pictures is not None, "checked"
        made = look(self.model, self.processor.preprocess, decoded.pictures, on_frames)
        if self.shelf is not None and decoded.key is not None:
            self.shelf.keep(decoded.key, made, decoded.report)
        return made

    def _seen(self, decoded: DecodedClip, encode_s: float) -> SeenClip:
        elapsed = {"decode": decoded.decode_s, "encode": encode_s}
        return SeenClip(decoded.path, decoded.report, self.processor.visual_tokens, elapsed)
