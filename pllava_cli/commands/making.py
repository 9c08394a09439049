"""The flags of the commands that make checkpoints: `train`, `models merge`, and in part `models quantize`."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from typer import Option

from pllava_cli import settings
from pllava_cli.commands.options import (
    CHECKPOINT,
    FRAMES,
    RUN,
    TEXT,
    OutputFlags,
    complete_from,
    complete_models,
)

DATA, LORA, TRAINING, RESULT = "Data", "LoRA", "Training", "Result"

Alpha = Annotated[
    str | None, Option(metavar="X", help="Weight of the LoRA; the checkpoint's own if not given.")
]
Base = Annotated[
    str | None,
    Option(
        metavar="NAME|PATH",
        autocompletion=complete_models,
        help="For an adapter: its base, if it is not where the adapter says.",
    ),
]
Offline = Annotated[bool | None, Option("--offline/--no-offline", help="Make no request to any network.")]
"""What the commands have in common that write a whole checkpoint; each places them in its own help."""


@dataclass(frozen=True)
class MergeFlags(OutputFlags):
    """What `models merge` understands. None: not said."""

    out: Annotated[str | None, Option("-o", "--out", metavar="FOLDER", help="The folder to write.")] = None
    alpha: Alpha = None
    base: Base = None
    dtype: Annotated[
        str | None,
        Option(
            metavar="NAME",
            autocompletion=complete_from(*settings.DTYPES),
            help="Precision of what is written; auto: as it is stored now.",
        ),
    ] = None
    offline: Offline = None


@dataclass(frozen=True)
class TrainFlags(OutputFlags):
    """What `train` understands. None: not said."""

    own: ClassVar = frozenset({"alpha"})
    """The strength to train at; the setting is the one to answer at."""

    out: Annotated[
        str | None,
        Option("-o", "--out", metavar="FOLDER", rich_help_panel=RESULT, help="Where the result goes."),
    ] = None
    model: Annotated[
        str | None,
        Option(
            "-m",
            "--model",
            metavar="NAME|PATH",
            rich_help_panel=CHECKPOINT,
            autocompletion=complete_models,
            help="The base to train from: an image model, or one merged by `pllava models merge`.",
        ),
    ] = None
    frames: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=FRAMES, help="Frames of a clip, evenly spaced."),
    ] = None
    pooling_shape: Annotated[
        str | None,
        Option(
            metavar="T,H,W",
            rich_help_panel=FRAMES,
            help="Visual tokens of a clip after pooling; none: all of them.",
        ),
    ] = None
    system: Annotated[
        str | None,
        Option(
            metavar="TEXT",
            rich_help_panel=TEXT,
            help="System text of conversations that give none; '' for none.",
        ),
    ] = None
    system_file: Annotated[
        str | None, Option(metavar="FILE", rich_help_panel=TEXT, help="Read the system text from a file.")
    ] = None
    rank: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=LORA, help="Rank of LoRA (128)."),
    ] = None
    alpha: Annotated[
        str | None,
        Option(
            metavar="X", rich_help_panel=LORA, help="Strength of LoRA: its update counts alpha / rank (32)."
        ),
    ] = None
    dropout: Annotated[
        str | None,
        Option(metavar="X", rich_help_panel=LORA, help="Dropout on the input of LoRA (0.05)."),
    ] = None
    targets: Annotated[
        str | None,
        Option(
            metavar="NAMES",
            rich_help_panel=LORA,
            help="Layers that get LoRA, with commas between; all: every linear one (q_proj,v_proj).",
        ),
    ] = None
    epochs: Annotated[
        str | None,
        Option(metavar="X", rich_help_panel=TRAINING, help="Passes over the data (3)."),
    ] = None
    steps: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=TRAINING, help="Updates of the weights, in place of epochs."),
    ] = None
    batch_size: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=TRAINING, help="Conversations of one pass (1)."),
    ] = None
    gradient_accumulation: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=TRAINING, help="Passes of one update (16)."),
    ] = None
    learning_rate: Annotated[
        str | None,
        Option(
            metavar="X",
            rich_help_panel=TRAINING,
            help="Highest learning rate (2e-5); a cosine leads down from it.",
        ),
    ] = None
    warmup: Annotated[
        str | None,
        Option(
            metavar="X",
            rich_help_panel=TRAINING,
            help="Share of the steps in which the learning rate rises (0.2).",
        ),
    ] = None
    optimizer: Annotated[
        str | None,
        Option(
            metavar="NAME",
            rich_help_panel=TRAINING,
            autocompletion=complete_from("adamw", "muon"),
            help="adamw; or muon: Muon for LoRA, AdamW for the projector (adamw).",
        ),
    ] = None
    weight_decay: Annotated[
        str | None,
        Option(metavar="X", rich_help_panel=TRAINING, help="Weight decay (0.02)."),
    ] = None
    max_grad_norm: Annotated[
        str | None,
        Option(
            metavar="X", rich_help_panel=TRAINING, help="Scale gradients down to this norm; 0: never (0)."
        ),
    ] = None
    seed: Annotated[
        str | None,
        Option(
            metavar="N",
            rich_help_panel=TRAINING,
            help="Seed of the order, of dropout and of LoRA's first values (0).",
        ),
    ] = None
    validation: Annotated[
        str | None,
        Option(metavar="FILE", rich_help_panel=DATA, help="Data to tell the loss on now and then."),
    ] = None
    skip_bad: Annotated[
        bool,
        Option(
            "--skip-bad",
            rich_help_panel=DATA,
            help="Leave bad lines out, and list them in OUT/skipped.jsonl.",
        ),
    ] = False
    check_only: Annotated[
        bool,
        Option(
            "--check-only",
            rich_help_panel=DATA,
            help="Look at the data and train nothing; with --json, list all that is bad.",
        ),
    ] = False
    cache_gb: Annotated[
        str | None,
        Option(
            metavar="GB",
            rich_help_panel=DATA,
            help="Disk that decoded clips may take in OUT while it trains (16).",
        ),
    ] = None
    workers: Annotated[
        str | None,
        Option(
            metavar="N",
            rich_help_panel=DATA,
            help="Processes that prepare batches; 0: the training process itself.",
        ),
    ] = None
    decode_timeout: Annotated[
        str | None,
        Option(
            metavar="SECONDS", rich_help_panel=DATA, help="Give up a decoder without progress after this."
        ),
    ] = None
    save_every: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=RESULT, help="Steps between checkpoints (200)."),
    ] = None
    keep_checkpoints: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=RESULT, help="Checkpoints to keep until the end (2)."),
    ] = None
    log_every: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=RESULT, help="Steps between lines of OUT/log.jsonl (10)."),
    ] = None
    eval_every: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=RESULT, help="Steps between looks at the validation data (200)."),
    ] = None
    resume: Annotated[
        bool | None,
        Option(
            "--resume/--no-resume",
            rich_help_panel=RESULT,
            help="Go on with an unfinished run in OUT, or throw it away.",
        ),
    ] = None
    device: Annotated[
        str | None,
        Option(
            metavar="NAME",
            rich_help_panel=RUN,
            autocompletion=complete_from("auto", "cpu", "cuda"),
            help="auto, cpu or cuda.",
        ),
    ] = None
    dtype: Annotated[
        str | None,
        Option(
            metavar="NAME",
            rich_help_panel=RUN,
            autocompletion=complete_from(*settings.DTYPES),
            help="Precision of what is frozen and of the arithmetic; what is trained is kept in fp32.",
        ),
    ] = None
    quantize: Annotated[
        str | None,
        Option(
            metavar="NAME",
            rich_help_panel=RUN,
            autocompletion=complete_from(*settings.QUANTIZATIONS),
            help="Quantisation of the frozen language model: " + ", ".join(settings.QUANTIZATIONS) + ".",
        ),
    ] = None
    gradient_checkpointing: Annotated[
        bool | None,
        Option(
            "--gradient-checkpointing/--no-gradient-checkpointing",
            rich_help_panel=RUN,
            help="Recompute activations rather than keep them: less memory, more time.",
        ),
    ] = None
