"""Muon for LoRA's matrices and AdamW for the rest, as one optimizer.

Muon (https://kellerjordan.github.io/posts/muon/) makes each update of a matrix orthogonal, which
suits LoRA's thin ones; biases and the projector stay with AdamW. Its step is scaled to AdamW's size
(https://arxiv.org/abs/2502.16982), so that one learning rate serves both.
"""

from typing import Any

from torch import nn
from torch.optim import AdamW, Muon, Optimizer


def muon_and_adamw(model: nn.Module, learning_rate: float, weight_decay: float) -> "Together":
    """Muon for LoRA's matrices of `model`, AdamW for whatever else is trained; no bias decays."""
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    lora = [weight for name, weight in trained if ".lora_" in name]
    rest = [weight for name, weight in trained if ".lora_" not in name]
    groups = [
        {"params": [weight for weight in rest if weight.ndim > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in rest if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    muon = Muon(lora, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
    return Together([AdamW(groups, lr=learning_rate), muon])


class Together(Optimizer):
    """Several optimizers, each of parameters of its own, as one.

    Args:
        parts: The optimizers; their groups are this one's, so a schedule reaches them all.
    """

    def __init__(self, parts: list[Optimizer]) -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.param_groups = [group for part in parts for group in part.param_groups]

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move all weights; there is no closure."""
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The states of the parts, in order."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]
