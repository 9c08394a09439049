"""On any device what a CUDA graph is on a GPU: a step's operations, taken down with the tensors they read."""

from collections.abc import Callable

from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from pllava_cli.model.recorded import Step


class Tracer:
    """Records steps; a replay runs the operations alone, no line of Python between them is run again."""

    def __init__(self) -> None:
        self.recorded = 0
        self.replayed = 0

    def __call__(self, step: Step) -> tuple[Callable[[], object], Tensor]:
        self.recorded += 1
        graph = make_fx(step)()
        logits = graph().clone()

        def replay() -> None:
            self.replayed += 1
            logits.copy_(graph())

        return replay, logits
