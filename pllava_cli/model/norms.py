"""The language model's norms as one kernel each.

The library writes a norm as eight operations. For one token each of them is a kernel that takes longer to
start than to run: with them gone a layer of a Llama is 26 kernels, which were 40.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.llama.modeling_llama import LlamaRMSNorm


class FusedNorm(LlamaRMSNorm):  # type: ignore[misc]
    """Root mean square norm (arXiv 1910.07467), by torch's own kernel in inference.

    In float32 it gives what the library's does; in 16 bits it rounds once, where that rounds twice.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Scale [..., width] to a root mean square of 1, then by the weight."""
        if not torch.is_inference_mode_enabled() or x.dtype != self.weight.dtype:
            scaled: Tensor = super().forward(x)
            return scaled
        return functional.rms_norm(x, self.weight.shape, self.weight, self.variance_epsilon)


def fuse_norms(language_model: nn.Module) -> None:
    """Put such norms, with weights of one, in place of a language model's own."""
    for name, norm in list(language_model.named_modules()):
        if type(norm) is LlamaRMSNorm:
            language_model.set_submodule(name, FusedNorm(len(norm.weight), norm.variance_epsilon))
