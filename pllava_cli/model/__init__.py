"""The network: vision tower, pooled projector, language model. Knows no terminal."""
