"""The checkpoint `tiny`, from nothing but the world of shapes: `python -m recipes.tiny OUT`."""
