"""Answers to what a benchmark asks: from a checkpoint, or from a file that was made before."""
