"""transformers' Trainer, told how our loss is computed, in which order clips come and what is saved.

The loop, gradient accumulation, precision, several devices and checkpoints are the library's.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor
from torch.nn import functional
from transformers import EvalPrediction, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from pllava_cli.errors import UsageError
from pllava_cli.model.plan import RuntimePlan
from pllava_cli.training.dataset import ROUND, Collator, Examples, Order
from pllava_cli.training.lora import save_adapter
from pllava_cli.training.optimizer import muon_and_adamw
from pllava_cli.training.settings import Recipe, TrainSettings
from pllava_cli.training.tokens import IGNORED


class PllavaTrainer(Trainer):  # type: ignore[misc]
    """Trains what `add_lora` has made trainable.

    Args:
        model: With LoRA.
        settings: The run's.
        plan: Where and how the base was loaded.
        examples: To train on.
        validation: To look at now and then.
        collator: Makes batches.
        folder: Where checkpoints are written.
        workers: Processes that prepare batches.
        callbacks: Told how it goes.
    """

    def __init__(
        self,
        *,
        model: PeftModel,
        settings: TrainSettings,
        plan: RuntimePlan,
        examples: Examples,
        validation: Examples | None,
        collator: Collator,
        folder: str,
        workers: int,
        callbacks: list[TrainerCallback],
    ) -> None:
        self._recipe = settings.recipe
        self._order = Order(len(examples), settings.recipe.seed)
        super().__init__(
            model=model,
            args=arguments(settings, plan, folder, workers, evaluates=validation is not None),
            data_collator=collator,
            train_dataset=examples,
            eval_dataset=validation,
            compute_metrics=_mean_loss,
            callbacks=[*callbacks, _Epochs(self._order)],
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = True  # so that the answers' tokens of a whole update are counted
        self.loss_is_scaled_for_ga = True

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Mean cross entropy of the answers' tokens."""
        logits, wanted = _answers(model, inputs)
        total = functional.cross_entropy(logits, wanted, ignore_index=IGNORED, reduction="sum")
        count = num_items_in_batch if num_items_in_batch is not None else (wanted != IGNORED).sum()
        loss = total / count
        if num_items_in_batch is not None:  # which counts all devices' tokens, whose gradients are averaged
            loss = loss * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """The recipe's optimizer; AdamW is the library's own."""
        if self._recipe.optimizer == "muon":
            rate, decay = self._recipe.learning_rate, self._recipe.weight_decay
            self.optimizer = muon_and_adamw(model or self.model, rate, decay)
        made: torch.optim.Optimizer = super().create_optimizer(model)  # which keeps the one that is there
        return made

    def training_step(self, *inputs: Any, **more: Any) -> Tensor:
        """One forward and backward pass.

        Raises:
            UsageError: The loss is no number any more; what is trained from here on is lost.
        """
        loss: Tensor = super().training_step(*inputs, **more)
        if not torch.isfinite(loss):
            raise UsageError(
                f"the loss is no longer a number after step {self.state.global_step}",
                "train with a lower --learning-rate, with --max-grad-norm 1, or in --dtype fp32",
            )
        return loss

    def prediction_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[None, Tensor, Tensor]:
        """What `_mean_loss` needs of each row: its answers' cross entropy, and their tokens, [B, 1] each."""
        inputs = self._prepare_inputs(inputs)
        rows = len(inputs["labels"])
        with torch.no_grad(), self.compute_loss_context_manager():
            logits, wanted = _answers(model, inputs)
        losses = functional.cross_entropy(logits, wanted, ignore_index=IGNORED, reduction="none")
        counts = (wanted != IGNORED).long()
        return None, losses.view(rows, -1).sum(1, keepdim=True), counts.view(rows, -1).sum(1, keepdim=True)

    def get_batch_samples(self, *arguments: Any) -> tuple[list[Any], Any]:
        """The batches of an update; none where the last update was made before the run was interrupted.

        The library asks only after an update whether it was the last.
        """
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return [], None
        batches: tuple[list[Any], Any] = super().get_batch_samples(*arguments)
        return batches

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Nothing: the library's estimate counts every parameter anew at each step."""
        return 0

    def _get_train_sampler(self, train_dataset: Any = None) -> Order:
        return self._order

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        if not isinstance(self.model, PeftModel):  # sharded over devices: the library unwraps it
            super()._save(output_dir, state_dict)
        elif self.args.should_save:
            save_adapter(self.model, Path(output_dir or self.args.output_dir), state_dict)


def _answers(model: torch.nn.Module, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Logits [N, V] of the answers' positions, and the ids [N] that belong there, or `IGNORED`.

    Logits are made only for positions at which some row of the batch answers: a clip's visual tokens are
    most of a row, and the vocabulary is wide. Their number is rounded up for the same reason as the rows'
    length.
    """
    targets = inputs.pop("labels")[:, 1:]
    asked = (targets != IGNORED).any(0).nonzero().flatten()
    asked = functional.pad(asked, (0, -len(asked) % ROUND))  # by position 0, which is never an answer's
    logits = model(**inputs, logits_to_keep=asked, use_cache=False).logits
    return logits.flatten(0, 1).float(), targets[:, asked].flatten()


def _mean_loss(found: EvalPrediction) -> dict[str, float]:
    """Mean cross entropy of all the answers' tokens of the validation data, however they are batched."""
    return {"loss": float(found.predictions.sum(dtype=np.float64) / found.label_ids.sum())}


class _Epochs(TrainerCallback):  # type: ignore[misc]
    """Tells the order of examples which epoch begins."""

    def __init__(self, order: Order) -> None:
        self._order = order

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._order.set_epoch(int((state.epoch or 0) + 1e-6))


def arguments(
    settings: TrainSettings, plan: RuntimePlan, folder: str, workers: int, *, evaluates: bool
) -> TrainingArguments:
    """The library's own settings of a run.

    Args:
        settings: The run's.
        plan: Where and how the base was loaded.
        folder: Where checkpoints are written.
        workers: Processes that prepare batches.
        evaluates: Whether there is validation data.
    """
    on_cpu = plan.device == "cpu"
    made = TrainingArguments(
        output_dir=folder,
        **_optimisation(settings.recipe),
        use_cpu=on_cpu,
        bf16=plan.dtype == "bf16",
        fp16=plan.dtype == "fp16",  # with the loss scaled; what is trained is float32 (see `add_lora`)
        logging_first_step=True,
        logging_steps=settings.log_every,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=settings.save_every,
        eval_strategy="steps" if evaluates else "no",
        eval_steps=settings.eval_every,
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_num_workers=workers,
        dataloader_persistent_workers=workers > 0,
        dataloader_pin_memory=not on_cpu,
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        log_level="error",
        report_to="none",
    )
    if made.n_gpu > 1:  # several devices take several processes, by accelerate; not the library's threads
        made._n_gpu = 1
    return made


def _optimisation(recipe: Recipe) -> dict[str, Any]:
    """The library's names for a recipe's numbers."""
    return {
        "num_train_epochs": recipe.epochs,
        "max_steps": -1 if recipe.steps is None else recipe.steps,
        "per_device_train_batch_size": recipe.batch_size,
        "per_device_eval_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.gradient_accumulation,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": recipe.warmup,
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.max_grad_norm,
        "seed": recipe.seed,
    }
