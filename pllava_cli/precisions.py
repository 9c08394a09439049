"""What can be asked of how a checkpoint computes, by name; without torch, as help shows these names too."""

INT8 = "int8"
"""Many rows are multiplied in 8 bits, outliers apart: see `model.eight_bits`."""

DTYPES = ("auto", "fp16", "bf16", "fp32")
"""What a number takes in each is in `model.footprint.PRECISION_BYTES`."""
QUANTIZATIONS = ("auto", "none", "4bit", "8bit")
ENCODINGS = ("auto", "exact", INT8)
"""How a CPU multiplies many rows: in 8 bits where weights are packed and that is faster; never; always."""
