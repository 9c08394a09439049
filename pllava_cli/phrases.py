"""Phrases that depend on how many there are of something."""

from collections.abc import Sequence


def counted(count: int | str, one: str, many: str = "") -> str:
    """Return a number with what is counted: `1 clip`, `0 clips`, `2 answers are`.

    Args:
        count: How many; a text is the number as it is to be shown.
        one: The words behind a 1.
        many: The words behind any other number; "" adds an s to the former.
    """
    return f"{count} {one if str(count) == '1' else many or one + 's'}"


def figure(value: float) -> str:
    """Return a measured number, 0 or greater, in three digits, never as a power of ten: `2610`, `0.52`."""
    return f"{value:.0f}" if value >= 99.5 else f"{value:.3g}"


def share(part: int, whole: int, what: str, one: str, many: str) -> str:
    """Return how many of how many do something: `1 of 2 clips is missing`, `0 of 1 clip are missing`.

    Args:
        part: How many do.
        whole: Of how many.
        what: One of them.
        one: What it does, if one alone does it.
        many: What any other number does.
    """
    of = f"of {counted(whole, what)}"
    return counted(part, f"{of} {one}", f"{of} {many}")


def either(choices: Sequence[str]) -> str:
    """Return choices, at least one, as a phrase: `a`, `a or b`, `a, b, or c`."""
    if len(choices) < 3:
        return " or ".join(choices)
    return f"{', '.join(choices[:-1])}, or {choices[-1]}"
