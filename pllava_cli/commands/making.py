"""The flags of the commands that make checkpoints: `train`, `models merge`, and in part `models quantize`."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

from typer import Option

from pllava_cli.commands.options import (
    RUN,
    BaseOption,
    DecodeTimeoutOption,
    DeviceOption,
    DtypeOption,
    ModelOption,
    OfflineOption,
    OutputFlags,
    QuantizeOption,
    SystemFile,
    complete_from,
    in_frames,
    in_run,
    in_text,
)
from pllava_cli.precisions import QUANTIZATIONS

DATA, LORA, TRAINING, RESULT = "Data", "LoRA", "Training", "Result"

OutOption = partial(Option, "-o", "--out", metavar="FOLDER")
Alpha = Annotated[
    str | None, Option(metavar="X", help="Weight of the LoRA; the checkpoint's own if not given.")
]
Base = Annotated[
    str | None, BaseOption(help="For an adapter: its base, if it is not where the adapter says.")
]
Offline = Annotated[bool | None, OfflineOption()]
"""What the commands have in common that write a whole checkpoint; each places them in its own help."""

_in_data = partial(Option, rich_help_panel=DATA)
_in_lora = partial(Option, rich_help_panel=LORA)
_in_training = partial(Option, rich_help_panel=TRAINING)
_in_result = partial(Option, rich_help_panel=RESULT)


@dataclass(frozen=True)
class MergeFlags(OutputFlags):
    """What `models merge` understands. None: not said."""

    out: Annotated[str | None, OutOption(help="The folder to write.")] = None
    alpha: Alpha = None
    base: Base = None
    dtype: Annotated[
        str | None, DtypeOption(help="Precision of what is written; auto: as it is stored now.")
    ] = None
    offline: Offline = None


@dataclass(frozen=True)
class TrainFlags(OutputFlags):
    """What `train` understands. None: not said."""

    own: ClassVar = frozenset({"alpha"})
    """The strength to train at; the setting is the one to answer at."""

    out: Annotated[str | None, OutOption(rich_help_panel=RESULT, help="Where the result goes.")] = None
    model: Annotated[
        str | None,
        ModelOption(
            show_default=False,  # none: that of other commands has LoRA of its own
            help="The base to train from: an image model, or one merged by `pllava models merge`.",
        ),
    ] = None
    frames: Annotated[str | None, in_frames(metavar="N", help="Frames of a clip, evenly spaced.")] = None
    pooling_shape: Annotated[
        str | None,
        in_frames(metavar="T,H,W", help="Visual tokens of a clip after pooling; none: all of them."),
    ] = None
    system: Annotated[
        str | None,
        in_text(metavar="TEXT", help="System text of conversations that give none; '' for none."),
    ] = None
    system_file: SystemFile = None
    rank: Annotated[str | None, _in_lora(metavar="N", help="Rank of LoRA (128).")] = None
    alpha: Annotated[
        str | None, _in_lora(metavar="X", help="Strength of LoRA: its update counts alpha / rank (32).")
    ] = None
    dropout: Annotated[str | None, _in_lora(metavar="X", help="Dropout on the input of LoRA (0.05).")] = None
    targets: Annotated[
        str | None,
        _in_lora(
            metavar="NAMES",
            help="Layers that get LoRA, with commas between; all: every linear one (q_proj,v_proj).",
        ),
    ] = None
    epochs: Annotated[str | None, _in_training(metavar="X", help="Passes over the data (3).")] = None
    steps: Annotated[
        str | None, _in_training(metavar="N", help="Updates of the weights, in place of epochs.")
    ] = None
    batch_size: Annotated[str | None, _in_training(metavar="N", help="Conversations of one pass (1).")] = None
    gradient_accumulation: Annotated[
        str | None, _in_training(metavar="N", help="Passes of one update (16).")
    ] = None
    learning_rate: Annotated[
        str | None,
        _in_training(metavar="X", help="Highest learning rate (2e-5); a cosine leads down from it."),
    ] = None
    warmup: Annotated[
        str | None,
        _in_training(metavar="X", help="Share of the steps in which the learning rate rises (0.2)."),
    ] = None
    optimizer: Annotated[
        str | None,
        _in_training(
            metavar="NAME",
            autocompletion=complete_from("adamw", "muon"),
            help="adamw; or muon: Muon for LoRA, AdamW for the projector (adamw).",
        ),
    ] = None
    weight_decay: Annotated[str | None, _in_training(metavar="X", help="Weight decay (0.02).")] = None
    max_grad_norm: Annotated[
        str | None, _in_training(metavar="X", help="Scale gradients down to this norm; 0: never (0).")
    ] = None
    seed: Annotated[
        str | None,
        _in_training(metavar="N", help="Seed of the order, of dropout and of LoRA's first values (0)."),
    ] = None
    validation: Annotated[
        str | None, _in_data(metavar="FILE", help="Data to tell the loss on now and then.")
    ] = None
    skip_bad: Annotated[
        bool, _in_data("--skip-bad", help="Leave bad lines out, and list them in OUT/skipped.jsonl.")
    ] = False
    check_only: Annotated[
        bool,
        _in_data(
            "--check-only",
            help="Look at the data and train nothing; with --json, list all that is bad.",
        ),
    ] = False
    cache_gb: Annotated[
        str | None,
        _in_data(metavar="GB", help="Disk that decoded clips may take in OUT while it trains (16)."),
    ] = None
    workers: Annotated[
        str | None,
        _in_data(metavar="N", help="Processes that prepare batches; 0: the training process itself."),
    ] = None
    decode_timeout: Annotated[str | None, DecodeTimeoutOption(rich_help_panel=DATA)] = None
    save_every: Annotated[str | None, _in_result(metavar="N", help="Steps between checkpoints (200).")] = None
    keep_checkpoints: Annotated[
        str | None, _in_result(metavar="N", help="Checkpoints to keep until the end (2).")
    ] = None
    log_every: Annotated[
        str | None, _in_result(metavar="N", help="Steps between lines of OUT/log.jsonl (10).")
    ] = None
    eval_every: Annotated[
        str | None, _in_result(metavar="N", help="Steps between looks at the validation data (200).")
    ] = None
    resume: Annotated[
        bool | None,
        _in_result("--resume/--no-resume", help="Go on with an unfinished run in OUT, or throw it away."),
    ] = None
    device: Annotated[str | None, DeviceOption(rich_help_panel=RUN, help="auto, cpu or cuda.")] = None
    dtype: Annotated[
        str | None,
        DtypeOption(
            rich_help_panel=RUN,
            help="Precision of what is frozen and of the arithmetic; what is trained is kept in fp32.",
        ),
    ] = None
    quantize: Annotated[
        str | None,
        QuantizeOption(
            rich_help_panel=RUN,
            help="Quantisation of the frozen language model: " + ", ".join(QUANTIZATIONS) + ".",
        ),
    ] = None
    gradient_checkpointing: Annotated[
        bool | None,
        in_run(
            "--gradient-checkpointing/--no-gradient-checkpointing",
            help="Recompute activations rather than keep them: less memory, more time.",
        ),
    ] = None
