"""The paper's parameter-efficient training: LoRA on the language model, and the projector.

    data → clips → dataset → Trainer → adapter

Everything a line of data can have wrong is found before the first step; the training loop itself is
transformers' own.
"""

from pllava_cli.model.device import quantization_backend
from pllava_cli.model.quantization import bitsandbytes

if quantization_backend()[0]:
    bitsandbytes()  # now: transformers' trainer and PEFT would import it in the way that may fetch code
