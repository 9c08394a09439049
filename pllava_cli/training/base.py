"""The checkpoint that a run trains from: what it must not be, and where and in which precision it runs."""

import torch

from pllava_cli import registry
from pllava_cli.errors import CheckpointError, DeviceError, UsageError
from pllava_cli.loader import Checked, check_checkpoint
from pllava_cli.model.layout import canonical
from pllava_cli.model.record import is_save
from pllava_cli.model.tensors import list_tensors
from pllava_cli.training import processes
from pllava_cli.training.output import taken_over
from pllava_cli.training.settings import TrainSettings

NAMED = frozenset({"device", "frames", "pooling_shape", "quantize"})
"""The options of `pllava train` that an error may name where the memory does not suffice. --model is none of
them: the checkpoints that could be named hold LoRA weights of their own."""


def find_base(settings: TrainSettings) -> Checked:
    """Find and check the base.

    Raises:
        CheckpointError: It is no base, because it holds LoRA weights itself; or it cannot be read.
        DeviceError: The device cannot train in the precision.
        UsageError: A device that training cannot choose.
    """
    checkpoint = registry.find(settings.model)
    folder = registry.locate(checkpoint, offline=settings.offline)
    if is_save(folder):
        raise CheckpointError(
            f"{settings.model} is packed already", "train from what it was made from, with --quantize 4bit"
        )
    if any(canonical(tensor.key)[1] != "weight" for tensor in list_tensors(folder)):
        raise CheckpointError(
            f"{settings.model} holds LoRA weights of its own",
            f"fold them in first: pllava models merge {settings.model} -o FOLDER, then --model FOLDER",
        )
    checked = check_checkpoint(
        settings.model,
        num_frames=settings.num_frames,
        pooling_shape=settings.pooling_shape,
        offline=settings.offline,
        named=NAMED,
        device=device(settings.device),
        dtype=settings.dtype,
        quantize=settings.quantize,
    )
    plan = checked.prepared.plan
    if plan.device == "cpu" and plan.dtype == "fp16":  # whose small gradients need a GPU's loss scaling
        raise DeviceError("training in fp16 needs a CUDA device", "use --dtype bf16 or --dtype fp32")
    taken_over(checked)  # what hinders that is told before the training, not after it
    return checked


def device(asked: str) -> str:
    """The device of this process: accelerate's choice among several, else the first.

    Raises:
        UsageError: Another was asked for.
    """
    local = processes.local_number()
    if asked.startswith("cuda:") and asked != f"cuda:{local}":
        number = asked.partition(":")[2]
        raise UsageError(
            f"training takes the first device there is, not {asked}",
            f"run CUDA_VISIBLE_DEVICES={number} pllava train … --device cuda",
        )
    if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()):
        return asked
    return f"cuda:{local}"


def name_of(base: Checked) -> str:
    """What adapter_config.json is to call the base: its name, or its folder."""
    return str(base.folder) if base.checkpoint.origin == registry.GIVEN else base.checkpoint.name
