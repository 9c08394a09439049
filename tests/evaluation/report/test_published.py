"""Printed figures: complete, consistent among themselves, and never comparable where they are not."""

import math
from dataclasses import replace

import pytest

from pllava_cli.evaluation.benchmarks import choices, vcgbench
from pllava_cli.evaluation.benchmarks.mvbench import TASKS
from pllava_cli.evaluation.report import published
from pllava_cli.evaluation.report.published import Published
from tests.evaluation.results import percent, verdict

NAMES = ("mvbench", "vcgbench", "videoqa-msvd", "videoqa-msrvtt", "videoqa-activitynet", "videoqa-tgif")


def printed(name: str) -> Published:
    found = published.of(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_row_has_a_figure_for_each_model(name: str) -> None:
    found = printed(name)
    rows = [*found.groups.values(), *(each.values for each in found.averages)]
    assert rows
    assert {len(row) for row in rows} == {len(found.models)} == {len(found.checkpoints)}
    assert found.source.startswith("arXiv 2404.16994v2, table")


@pytest.mark.parametrize("name", NAMES)
def test_every_curve_is_as_long_as_its_axis(name: str) -> None:
    for sweep in printed(name).sweeps:
        assert "figure" in sweep.source
        assert {len(curve) for curve in sweep.curves.values()} == {len(sweep.x)}


def test_no_figures_of_an_unknown_benchmark() -> None:
    assert [published.of(name) for name in ("mc", "paper", "models", "")] == [None] * 4


def test_the_averages_of_mvbench_are_the_means_of_its_twenty_tasks() -> None:
    found = printed("mvbench")
    assert len(found.groups) == 20
    means = [sum(column) / 20 for column in zip(*found.groups.values(), strict=True)]
    assert means == pytest.approx(found.averages[0].values, abs=0.05)


def test_every_group_of_a_run_has_its_figures() -> None:
    assert set(printed("mvbench").groups) == {published.plain(task.name) for task in TASKS}
    assert list(printed("vcgbench").sizes) == [each.name for each in vcgbench.DIMENSIONS]


def test_both_averages_of_the_video_chatgpt_benchmark_follow_from_its_dimensions() -> None:
    found = printed("vcgbench")
    dimensions = [each.name for each in vcgbench.DIMENSIONS]
    rows = {name: found.group(name) for name in dimensions}
    columns = list(zip(*rows.values(), strict=True))
    plain = found.average("mean of the five dimensions")
    weighted = found.average("mean over judged answers")
    assert plain is not None
    assert weighted is not None
    assert [sum(column) / 5 for column in columns] == pytest.approx(plain.values, abs=0.006)
    sizes = [found.sizes[name] for name in dimensions]
    sums = [sum(size * value for size, value in zip(sizes, column, strict=True)) for column in columns]
    assert [each / sum(sizes) for each in sums] == pytest.approx(weighted.values, abs=0.006)
    assert weighted.values != next(each for each in found.averages if "printed" in each.label).values


def test_names_are_found_however_they_are_written() -> None:
    found = printed("mvbench")
    assert found.group("action_sequence") == found.group("Action Sequence") == [58.0, 66.0, 67.5]
    assert found.group("fine_grained_pose") == [42.0, 49.5, 50.0]
    assert found.group("something else") == [None, None, None]
    assert printed("vcgbench").group("contextual understanding")[0] == 3.62
    sweep = found.sweep("pooling_shape")
    assert sweep is not None
    assert sweep == found.sweep("pooling shape")
    assert found.sweep("seed") is None


def test_the_curve_of_a_released_checkpoint_stands_alone() -> None:
    sweep = printed("mvbench").sweep("alpha")
    assert sweep is not None
    assert list(sweep.curves_of("pllava-13b")) == ["PLLaVA 13B"]
    assert len(sweep.curves_of("tiny")) == len(sweep.curves_of(None)) == 3
    assert not any(math.isnan(value) for curve in sweep.curves.values() for value in curve)


WHOLE = [verdict(number, "right", task) for task in list(printed("mvbench").groups) for number in range(200)]
AS_PUBLISHED = {
    "checkpoint": "pllava-7b",
    "alpha": "4",
    "frames": "16",
    "pooling shape": "16x12x12",
    "encoding": "exact",
    "decoding": "greedy, 100 tokens at most",
    "system text": choices.SYSTEM,
}
WORDS = "its system text is our own words, not the reference's"


def test_a_run_like_the_papers_differs_in_our_words() -> None:
    result = replace(percent(WHOLE, settings=AS_PUBLISHED, scoring="reference"), faults=())
    assert printed("mvbench").differences(result) == [WORDS]


def test_whose_words_the_users_are_is_not_known() -> None:
    settings = AS_PUBLISHED | {"system text": "Watch closely."}
    result = replace(percent(WHOLE, settings=settings, scoring="reference"), faults=())
    assert printed("mvbench").differences(result) == [
        "whether its system text is the reference's is not known"
    ]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"checkpoint": "tiny"}, "the checkpoint is tiny"),
        ({"frames": "4"}, "frames 4 instead of 16"),
        ({"pooling shape": "4x12x12"}, "pooling shape 4x12x12 instead of 16x12x12"),
        ({"quantisation": "4bit"}, "its weights are quantised: 4bit"),
        ({"alpha": "0"}, "alpha 0, published at 4"),
        ({"visual tokens kept": "0.1"}, "visual tokens kept 0.1 instead of 1"),
        ({"encoding": "int8"}, "encoding int8 instead of exact"),
        (
            {"decoding": "greedy, 1 tokens at most"},
            "decoding greedy, 1 tokens at most instead of greedy, 100 tokens at most",
        ),
        (
            {"sample": "10 of each group at most, seed 0"},
            "only a sample was asked: 10 of each group at most, seed 0",
        ),
    ],
)
def test_other_settings_are_named(settings: dict[str, str], said: str) -> None:
    result = replace(percent(WHOLE, settings=AS_PUBLISHED | settings, scoring="reference"), faults=())
    assert printed("mvbench").differences(result) == [said, WORDS]


def test_samples_other_rules_faults_and_missing_verdicts_are_named() -> None:
    some = [*WHOLE[:40], verdict(41, "unjudged")]
    found = printed("mvbench").differences(percent(some, settings={"alpha": "4"}))
    assert found == [
        "it does not say which checkpoint was asked",
        "it counts 41 answers, the paper 4,000",
        "it was scored by “strict”, not by the reference's rules",
        "entries of the benchmark that could not be asked: 1",
        "answers not judged yet: 1",
        "whether its system text is the reference's is not known",
    ]


@pytest.mark.parametrize("name", ["videoqa-msrvtt", "videoqa-tgif"])
def test_a_sample_is_named_where_nobody_knows_how_many_there_are(name: str) -> None:
    result = percent([verdict(1)], name, AS_PUBLISHED | {"sample": "1 of each group at most, seed 0"})
    assert any("only a sample was asked" in each for each in printed(name).differences(result))


def test_whose_words_open_questions_were_put_and_judged_in() -> None:
    told = {
        "system text": "none",
        "question's instruction": "our own (abc)",
        "judge's instructions": "our own (abc)",
    }
    result = percent([verdict(1)], "videoqa-msvd", AS_PUBLISHED | told, "judge: gpt-3.5-turbo-0125 at x")
    assert printed("videoqa-msvd").differences(result)[-2:] == [
        "its instruction is our own words, not the reference's",
        "the judge was asked in our own words, not in the reference's",
    ]
    others = (
        AS_PUBLISHED
        | told
        | {"question's instruction": "of a file (abc)", "judge's instructions": "/texts (abc)"}
    )
    assert printed("videoqa-msvd").differences(replace(result, settings=others))[-2:] == [
        "whether its instruction is the reference's is not known",
        "whether the judge's texts are the reference's is not known",
    ]
    unjudged = replace(result, scoring="word match, no judge")
    assert not any("the judge was" in each for each in printed("videoqa-msvd").differences(unjudged))


def test_consistency_is_not_judged_as_the_reference_does() -> None:
    told = AS_PUBLISHED | {"system text": vcgbench.SYSTEM}
    result = percent([verdict(1)], "vcgbench", told, "judge: gpt-3.5-turbo-0125 at x")
    found = printed("vcgbench").differences(result)
    assert WORDS in found and "of consistency it saw each answer beside its own question" in found[-1]
    unjudged = printed("vcgbench").differences(replace(result, scoring="judge: none yet"))
    assert not any("it saw" in each or "was asked" in each for each in unjudged)


def test_another_judge_is_named() -> None:
    result = percent([verdict(1)], "videoqa-msvd", AS_PUBLISHED, "judge: llama-3.1-8b")
    assert "it was scored by “judge: llama-3.1-8b”, not by gpt-3.5-turbo-0125" in printed(
        "videoqa-msvd"
    ).differences(result)
    same = replace(result, scoring="judge: gpt-3.5-turbo-0125 at http://localhost")
    assert not any("scored" in each for each in printed("videoqa-msvd").differences(same))


@pytest.mark.parametrize(
    ("judges", "is_the_papers"),
    [
        ("gpt-3.5-turbo (gpt-3.5-turbo-0125) at h", True),
        ("gpt-3.5-turbo-0125 at h:1, gpt-3.5-turbo (gpt-3.5-turbo-0125) at h:2", True),
        ("gpt-3.5-turbo-0125 (llama-3.1-8b) at h", False),
        ("not-gpt-3.5-turbo-0125 at h", False),
        ("gpt-3.5-turbo-0125 at h, llama-3.1-8b at h", False),
    ],
)
def test_a_judge_is_who_replied_whoever_was_asked_for(judges: str, is_the_papers: bool) -> None:
    result = percent([verdict(1)], "videoqa-msvd", AS_PUBLISHED, f"judge: {judges}")
    found = printed("videoqa-msvd").differences(result)
    assert any("it was scored by" in each for each in found) != is_the_papers
