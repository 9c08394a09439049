"""Tests of the model: its files, its parts and its numbers."""
