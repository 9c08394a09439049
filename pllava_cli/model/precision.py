"""The precisions that users can name, as torch names them."""

import torch

TORCH_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Precisions by the names that users give them; `footprint.PRECISION_BYTES` has their bytes."""
