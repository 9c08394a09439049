"""The Video-ChatGPT benchmark: what a judge is asked of the answers, and what its figures are."""

from dataclasses import replace
from pathlib import Path

import pytest

from pllava_cli.evaluation.benchmarks.vcgbench import MANNER, read
from pllava_cli.evaluation.items import NOT_ANSWERED, Benchmark, Group, Item, Said
from pllava_cli.evaluation.judging.instructions import load_instructions
from pllava_cli.evaluation.judging.judgements import Judgement
from pllava_cli.evaluation.judging.replies import Meaning
from pllava_cli.evaluation.scoring import vcgbench
from tests.evaluation import answered, miniature


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature.vcgbench(tmp_path_factory.mktemp("vcgbench"), clips=2)


def judged(score: float | None, reply: str = "?", model: str = "m", replied: str = "m-1") -> Judgement:
    return Judgement("i", "d", model, replied, "h:1", reply, Meaning(score))


def groups(benchmark: Benchmark, said: list[Said], verdicts: dict[str, Judgement]) -> dict[str, Group]:
    return {group.name: group for group in vcgbench.score(benchmark, said, verdicts).groups}


IDS = [
    "correctness:generic/1",
    "detail:generic/1",
    "context:generic/1",
    "temporal:temporal/1",
    "consistency:consistency/1",
]


def test_what_a_judge_is_asked() -> None:
    _, said = answered.vcgbench()
    tasks = vcgbench.tasks(said, load_instructions())
    assert [task.id for task in tasks] == IDS
    assert [task.dimension for task in tasks] == [
        "correctness",
        "detail",
        "context",
        "temporal",
        "consistency",
    ]
    for task in tasks[:3]:
        text = task.messages[0]["content"]
        assert "<question>\nWhat happens?\n" in text and "<answer>\nA dog barks.\n" in text
        assert "<prediction>\ng\n" in text
    assert len({task.messages[0]["content"] for task in tasks[:3]}) == 3


def test_each_answer_of_a_pair_stands_by_its_own_question() -> None:
    _, said = answered.vcgbench()
    text = vcgbench.tasks(said, load_instructions())[-1].messages[0]["content"]
    assert "<question>\nWhich animal is it?\n</question>\n\n<prediction>\nc1\n" in text
    assert "<question_2>\nWhat animal is shown?\n</question_2>\n\n<prediction_2>\nc2\n" in text


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_nobody_judges_an_answer_without_words(text: str | None) -> None:
    benchmark, said = answered.vcgbench([text, "t", "c1", text])
    assert [task.id for task in vcgbench.tasks(said, load_instructions())] == ["temporal:temporal/1"]
    kind = "failed" if text is None else "empty"
    result = vcgbench.score(benchmark, said, {"temporal:temporal/1": judged(3.0)})
    assert [(group.of, group.value, group.counts) for group in result.groups] == [
        (1, 0.0, {kind: 1}),
        (1, 0.0, {kind: 1}),
        (1, 0.0, {kind: 1}),
        (1, 3.0, {"wrong": 1}),
        (1, 0.0, {kind: 1}),
    ]
    lacking = result.verdicts[-1]
    assert lacking.said.item.id == "consistency/1/2"
    assert lacking.note == ("consistency: the clip is broken" if text is None else "consistency")


def test_a_question_that_was_not_reached_counts_as_nothing() -> None:
    benchmark, said = answered.vcgbench(["g", None, "c1", None])
    said = [each if each.text else replace(each, error=NOT_ANSWERED) for each in said]
    result = vcgbench.score(
        benchmark, said, {each.id: judged(4.0) for each in vcgbench.tasks(said, load_instructions())}
    )
    assert [(group.of, group.value) for group in result.groups] == [(1, 4.0)] * 3 + [(0, None)] * 2
    assert [verdict.kind for verdict in result.verdicts] == ["right"] * 3 + ["unjudged"] * 2
    assert result.verdicts[-1].note == "consistency: not answered yet"
    assert any(note.startswith("2 answers are not judged yet") for note in result.notes)


def test_the_two_averages_are_not_the_same_thing() -> None:
    items = [answered.item(f"generic/{number}", "generic") for number in range(1, 5)]
    items += [answered.item("temporal/1", "temporal")]
    items += [answered.item(f"consistency/1/{number}", "consistency") for number in (1, 2)]
    said = [Said(item, "words") for item in items]
    tasks = vcgbench.tasks(said, load_instructions())
    scores = {"correctness": 4.0, "detail": 3.0, "context": 5.0, "temporal": 2.0, "consistency": 1.0}
    verdicts = {task.id: judged(scores[task.dimension]) for task in tasks}
    result = vcgbench.score(Benchmark("vcgbench", items, MANNER), said, verdicts)
    assert [(group.name, group.of, group.value) for group in result.groups] == [
        ("correctness of information", 4, 4.0),
        ("detail orientation", 4, 3.0),
        ("contextual understanding", 4, 5.0),
        ("temporal understanding", 1, 2.0),
        ("consistency", 1, 1.0),
    ]
    plain, weighted = result.averages
    assert (plain.label, plain.value) == ("mean of the five dimensions", 3.0)
    assert weighted.label == "mean over judged answers"
    assert weighted.value == pytest.approx((4 * 4 + 4 * 3 + 4 * 5 + 2 + 1) / 14)
    assert "4, 4, 4, 1, 1" in weighted.note
    assert (result.unit, result.scoring) == ("of 5", "judge: m (m-1) at h:1")
    assert any("3.12" in note and "2404.16994" in note and "issue 55" in note for note in result.notes)
    assert any("which model judges" in note for note in result.notes)


def test_of_the_papers_own_cells_the_weighted_mean_is_the_printed_average() -> None:
    """34B, table 2: 3.60 3.20 3.90 2.67 3.25, printed average 3.48."""
    sizes = {"generic": 1996, "temporal": 499, "consistency": 499}
    cells = {"correctness": 3.60, "detail": 3.20, "context": 3.90, "temporal": 2.67, "consistency": 3.25}
    said = [
        Said(answered.item(f"{part}/{number}{ending}", part), "words")
        for part, size in sizes.items()
        for number in range(1, size + 1)
        for ending in (("/1", "/2") if part == "consistency" else ("",))
    ]
    verdicts = {task.id: judged(cells[task.dimension]) for task in vcgbench.tasks(said, load_instructions())}
    assert len(verdicts) == 6986
    result = vcgbench.score(Benchmark("vcgbench", [], MANNER), said, verdicts)
    values = [round(average.value or 0, 2) for average in result.averages]
    assert values == [3.32, 3.48]


def test_what_is_not_judged_counts_as_nothing_and_what_is_not_understood_as_0() -> None:
    benchmark, said = answered.vcgbench()
    found = groups(benchmark, said, {IDS[0]: judged(None, "I like it,\nrather."), IDS[1]: judged(3.5)})
    assert (found["correctness of information"].of, found["correctness of information"].value) == (1, 0.0)
    assert found["correctness of information"].counts == {"unparsed": 1}
    assert found["detail orientation"].counts == {"right": 1}
    assert (found["consistency"].of, found["consistency"].value) == (0, None)
    assert found["consistency"].counts == {"unjudged": 1}
    result = vcgbench.score(benchmark, said, {IDS[0]: judged(None, "I like it,\nrather.")})
    assert result.verdicts[0].note.endswith("not understood: I like it, rather.")
    assert [average.value for average in result.averages] == [None, None]
    assert "temporal understanding" in result.averages[0].note
    assert any(note.startswith("4 answers are not judged yet") for note in result.notes)


def test_without_any_verdict_there_is_no_judge() -> None:
    benchmark, said = answered.vcgbench()
    result = vcgbench.score(benchmark, said, {})
    assert result.scoring == "judge: none yet"
    assert {each.note for each in result.averages} == {"nothing is judged yet"}


def test_answers_that_need_no_judge_are_no_figure_by_themselves() -> None:
    benchmark, said = answered.vcgbench()
    more = Said(replace(said[0].item, id="generic/2"), None, "cannot be decoded")
    result = vcgbench.score(benchmark, [*said, more], {})
    assert result.groups[0].counts == {"unjudged": 1, "failed": 1}
    assert (result.groups[0].of, result.groups[0].value) == (0, None)
    assert {(each.value, each.note) for each in result.averages} == {(None, "nothing is judged yet")}


def test_two_judges_are_named() -> None:
    benchmark, said = answered.vcgbench()
    result = vcgbench.score(
        benchmark, said, {IDS[0]: judged(1.0), IDS[1]: judged(1.0, model="n", replied="")}
    )
    assert result.scoring == "judge: m (m-1) at h:1, n at h:1"
    assert any("more than one judge" in note for note in result.notes)


@pytest.mark.parametrize("verdict", [{}, {"consistency:consistency/1": judged(4.0)}], ids=["none", "judged"])
def test_a_verdict_on_a_pair_shows_both_answers(verdict: dict[str, Judgement]) -> None:
    benchmark, said = answered.vcgbench()
    *others, pair = vcgbench.score(benchmark, said, verdict).verdicts
    assert (pair.said.item.question, pair.said.text) == ("Which animal is it?", "c1")
    assert pair.note == "consistency; asked also “What animal is shown?”, said “c2”"
    assert not any("asked also" in each.note for each in others)


def test_half_a_pair_is_not_judged() -> None:
    benchmark, said = answered.vcgbench()
    assert [task.id for task in vcgbench.tasks(said[:3], load_instructions())] == IDS[:4]
    assert groups(benchmark, said[:3], {})["consistency"].counts == {}


def test_the_answers_made_for_the_miniature_are_all_judged(small: Path) -> None:
    items: list[Item] = list(read(small).items)
    tasks = vcgbench.tasks([Said(item, item.answer) for item in items], load_instructions())
    assert len(tasks) == 3 * 6 + 2 + 2 and len({task.id for task in tasks}) == len(tasks)
