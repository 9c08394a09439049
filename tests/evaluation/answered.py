"""Small benchmarks with answers to them, made without files."""

from collections.abc import Sequence
from pathlib import Path

from pllava_cli.evaluation.benchmarks.vcgbench import MANNER
from pllava_cli.evaluation.benchmarks.videoqa import MANNER as SHORT
from pllava_cli.evaluation.items import Benchmark, Item, Said


def item(name: str, group: str, question: str = "What is it?", answer: str = "A dog.") -> Item:
    return Item(name, group, Path("clip.mp4"), question, answer, question)


def vcgbench(texts: Sequence[str | None] = ("g", "t", "c1", "c2")) -> tuple[Benchmark, list[Said]]:
    """One entry of each part, and what was said to it: generic, temporal, and both of consistency."""
    items = [
        item("generic/1", "generic", "What happens?", "A dog barks."),
        item("temporal/1", "temporal", "What comes first?", "The bark."),
        item("consistency/1/1", "consistency", "Which animal is it?"),
        item("consistency/1/2", "consistency", "What animal is shown?"),
    ]
    said = [
        Said(each, text, "the clip is broken" if text is None else None)
        for each, text in zip(items, texts, strict=True)
    ]
    return Benchmark("vcgbench", items, MANNER), said


def videoqa(texts: Sequence[str | None] = ("a dog", "two")) -> tuple[Benchmark, list[Said]]:
    """Two questions of MSVD-QA, and what was said to them."""
    items = [item("msvd/1", "msvd", "what barks?", "dog"), item("msvd/2", "msvd", "how many?", "2")]
    said = [
        Said(each, text, "the clip is broken" if text is None else None)
        for each, text in zip(items, texts, strict=True)
    ]
    return Benchmark("videoqa-msvd", items, SHORT), said
