"""The sizes of the checkpoint."""

from transformers import CLIPVisionConfig, LlamaConfig

FRAMES = 8
POOLING_SHAPE = (8, 4, 4)
"""Half as many rows and columns as the vision tower's, as in the paper."""
LORA_RANK = 64

TOWER = CLIPVisionConfig(
    hidden_size=160,
    intermediate_size=640,
    num_hidden_layers=4,
    num_attention_heads=5,
    image_size=112,
    patch_size=14,
    projection_dim=160,
)
VISION_FEATURE_LAYER = -1
"""The last layer: no other task than describing patches pulls at it, as CLIP's does in the paper."""


def language_model(vocabulary: int, **ids: int) -> LlamaConfig:
    """The language model's configuration for a vocabulary of so many tokens."""
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        **ids,
    )
