"""The sets of open questions: both ways of scoring what was said."""

from pathlib import Path

import pytest

from pllava_cli.evaluation.benchmarks.questionsets import SETS
from pllava_cli.evaluation.benchmarks.videoqa import read
from pllava_cli.evaluation.items import Item, Said
from pllava_cli.evaluation.judging.instructions import load_instructions
from pllava_cli.evaluation.judging.judgements import Judgement
from pllava_cli.evaluation.judging.replies import Meaning, Pred
from pllava_cli.evaluation.scoring import videoqa
from tests.evaluation import answered, miniature


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature.videoqa(tmp_path_factory.mktemp("videoqa"), clips=1)


def judged(score: float | None, pred: Pred | None) -> Judgement:
    return Judgement("i", "videoqa", "m", "m", "h", "?", Meaning(score, pred))


def test_what_a_judge_is_asked() -> None:
    _, said = answered.videoqa(["a dog", " "])
    (task,) = videoqa.tasks(said, load_instructions())
    assert (task.id, task.item, task.dimension) == ("msvd/1", "msvd/1", "videoqa")
    text = task.messages[0]["content"]
    assert (
        "<question>\nwhat barks?\n" in text and "<answer>\ndog\n" in text and "<prediction>\na dog\n" in text
    )


def said_and_judged() -> tuple[list[Said], dict[str, Judgement]]:
    items = [answered.item(f"msvd/{number}", "msvd") for number in range(1, 9)]
    texts = ["right", "wrong", "no pred", "no score", "", None, "not judged", "right"]
    said = [Said(item, text) for item, text in zip(items, texts, strict=True)]
    verdicts = {
        "msvd/1": judged(5.0, "yes"),
        "msvd/2": judged(2.0, "no"),
        "msvd/3": judged(4.0, None),
        "msvd/4": judged(None, "yes"),
        "msvd/8": judged(4.0, "yes"),
    }
    return said, verdicts


def test_with_a_judge() -> None:
    benchmark, _ = answered.videoqa()
    said, verdicts = said_and_judged()
    result = videoqa.score(benchmark, said, verdicts)
    kinds = ["right", "wrong", "unparsed", "unparsed", "empty", "failed", "unjudged", "right"]
    assert [verdict.kind for verdict in result.verdicts] == kinds
    (group,) = result.groups
    assert (group.name, group.of, group.value) == ("msvd", 7, pytest.approx(100 * 2 / 7))
    assert group.counts == {"right": 2, "wrong": 1, "unparsed": 2, "empty": 1, "failed": 1, "unjudged": 1}
    assert [(each.label, each.value) for each in result.averages] == [
        ("accuracy", pytest.approx(100 * 2 / 7)),
        ("mean score", pytest.approx((5 + 2 + 4) / 7)),
    ]
    assert (result.unit, result.scoring) == ("%", "judge: m at h")
    assert any("1 answer is not judged yet, and counts as nothing." in note for note in result.notes)
    assert any(note.startswith("2 of the judge's replies were not understood") for note in result.notes)


def test_without_a_judge_words_are_matched() -> None:
    benchmark, said = answered.videoqa()
    result = videoqa.score(benchmark, said)
    assert [verdict.kind for verdict in result.verdicts] == ["right", "right"]
    (average,) = result.averages
    assert (average.label, average.value) == ("word match", 100.0)
    assert result.scoring == "word match, no judge"
    assert any("not comparable with published figures" in note for note in result.notes)
    _, worse = answered.videoqa([None, ""])
    result = videoqa.score(benchmark, worse)
    assert [(verdict.kind, verdict.score) for verdict in result.verdicts] == [("failed", 0.0), ("empty", 0.0)]
    assert result.averages[0].value == 0.0 and result.verdicts[0].note == "the clip is broken"


def test_of_nothing_there_is_no_figure() -> None:
    benchmark, _ = answered.videoqa()
    assert [average.value for average in videoqa.score(benchmark, [], {}).averages] == [None, None]
    assert videoqa.score(benchmark, []).averages[0].value is None


def test_answers_that_need_no_judge_are_no_figure_by_themselves() -> None:
    benchmark, said = answered.videoqa(["a dog", None])
    result = videoqa.score(benchmark, said, {})
    assert result.groups[0].counts == {"unjudged": 1, "failed": 1}
    assert (result.groups[0].of, result.groups[0].value) == (0, None)
    assert [average.value for average in result.averages] == [None, None]


@pytest.mark.parametrize("which", SETS)
def test_the_right_answers_of_the_miniature_are_right(which: str, small: Path) -> None:
    benchmark = read(small, which)
    items: list[Item] = list(benchmark.items)
    result = videoqa.score(benchmark, [Said(item, f"In it, the {item.answer.upper()}!") for item in items])
    assert result.averages[0].value == 100.0
    wrong = videoqa.score(benchmark, [Said(item, "nothing of the kind") for item in items])
    assert wrong.averages[0].value == 0.0
