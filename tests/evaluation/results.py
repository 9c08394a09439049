"""Results that tests report: made by hand, as small or as hostile as a test needs them."""

from collections.abc import Sequence
from pathlib import Path

from pllava_cli.evaluation.items import Average, Fault, Group, Item, Kind, Result, Said, Verdict

HOSTILE = (
    '<script>alert("1")</script>|`x`\n# [a](b) ![c](https://example.org/d.png) &amp; '
    "\x1b[31m\x00\u202e$x$ *b* \udcff"
)
"""What a name or an answer may be at its worst."""


def verdict(
    number: int,
    kind: Kind = "right",
    group: str = "action_sequence",
    *,
    text: str | None = "A) runs",
    clip: str = "clips/a.mp4",
    note: str = "",
) -> Verdict:
    """A verdict on a question with three candidates."""
    item = Item(
        f"{group}/{number}",
        group,
        Path(clip),
        f"What happens in number {number}?",
        "runs",
        "a prompt",
        ("runs", "sleeps", "eats"),
        1.5,
        4.25,
    )
    error = "cannot be decoded" if kind == "failed" else None
    said = Said(item, None if kind == "failed" else text, error, (1.5, 2.4, 3.3, 4.2))
    return Verdict(said, kind, float(kind == "right"), note)


def percent(
    verdicts: Sequence[Verdict],
    benchmark: str = "mvbench",
    settings: dict[str, str] | None = None,
    scoring: str = "strict",
) -> Result:
    """The result of right and wrong answers, counted honestly."""
    names = list(dict.fromkeys(each.said.item.group for each in verdicts))
    groups = []
    for name in names:
        kinds = [each.kind for each in verdicts if each.said.item.group == name]
        counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
        groups.append(Group(name, len(kinds), 100 * kinds.count("right") / len(kinds), counts))
    over_items = 100 * sum(each.kind == "right" for each in verdicts) / len(verdicts) if verdicts else None
    values = [each.value for each in groups if each.value is not None]
    return Result(
        benchmark,
        scoring,
        "%",
        groups,
        [
            Average("mean over tasks", sum(values) / len(values) if values else None, "guessing: 33.3 %"),
            Average("mean over items", over_items),
        ],
        list(verdicts),
        [Fault("json/action_count.json, entry 7", "has no answer")],
        settings or {"checkpoint": "tiny", "alpha": "4", "frames": "16"},
        ["Whatever was asked is counted."],
    )


def of_share(right: int, of: int, benchmark: str = "mvbench") -> Result:
    """A result of one group in which so many of so many are right."""
    verdicts = [verdict(number, "right" if number < right else "wrong") for number in range(of)]
    return percent(verdicts, benchmark, {"checkpoint": "pllava-7b"})


def hostile() -> Result:
    """A result whose every text is hostile."""
    item = Item(
        HOSTILE, HOSTILE, Path("/clips/" + HOSTILE.replace("\x00", "")), HOSTILE, HOSTILE, HOSTILE, (HOSTILE,)
    )
    kinds: tuple[Kind, ...] = ("right", "wrong", "unparsed", "empty", "failed", "measured", "unjudged")
    verdicts = [Verdict(Said(item, HOSTILE, HOSTILE, (0.5,)), kind, 0.0, HOSTILE) for kind in kinds]
    return Result(
        HOSTILE,
        HOSTILE,
        "%",
        [Group(HOSTILE, 7, 100 / 7, dict.fromkeys(kinds, 1))],
        [Average(HOSTILE, 50.0, HOSTILE)],
        verdicts,
        [Fault(HOSTILE, HOSTILE)],
        {HOSTILE: HOSTILE},
        [HOSTILE],
    )
