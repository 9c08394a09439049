"""result.json: all that is known, as JSON that any program reads."""

import json
import math
from dataclasses import replace

import pytest

from pllava_cli.evaluation.items import Average, Group, Result
from pllava_cli.evaluation.report.stored import to_json
from tests.evaluation.results import HOSTILE, hostile, percent, verdict


def test_whatever_is_in_a_text_comes_back() -> None:
    result = hostile()
    plain = json.loads(to_json(result))
    assert (plain["benchmark"], plain["scoring"], plain["notes"]) == (HOSTILE, HOSTILE, [HOSTILE])
    assert plain["settings"] == {HOSTILE: HOSTILE} and plain["groups"][0]["counts"] == result.groups[0].counts
    assert [each["kind"] for each in plain["verdicts"]] == [each.kind for each in result.verdicts]
    for each in plain["verdicts"]:
        assert (each["question"], each["said"], each["note"]) == (HOSTILE,) * 3


@pytest.mark.parametrize(
    "result", [percent([]), Result("mc", "strict", "", [Group("none", 0, None)], [Average("mean", None)], [])]
)
def test_where_there_is_nothing_nothing_is_written(result: Result) -> None:
    plain = json.loads(to_json(result))
    assert plain["verdicts"] == [] and all(each["value"] is None for each in plain["averages"])


def test_the_file_has_a_verdict_a_line_with_all_that_is_known() -> None:
    text = to_json(percent([verdict(1), verdict(2, "wrong", note="read as (B)")]))
    plain = json.loads(text)
    assert list(plain)[:5] == ["schema", "benchmark", "scoring", "unit", "settings"]
    assert plain["schema"] == "pllava.eval/1"
    assert plain["verdicts"][1] == {
        "id": "action_sequence/2",
        "group": "action_sequence",
        "clip": "clips/a.mp4",
        "question": "What happens in number 2?",
        "answer": "runs",
        "candidates": ["runs", "sleeps", "eats"],
        "references": [],
        "start_s": 1.5,
        "end_s": 4.25,
        "said": "A) runs",
        "error": None,
        "timestamps_s": [1.5, 2.4, 3.3, 4.2],
        "kind": "wrong",
        "score": 0.0,
        "note": "read as (B)",
    }
    assert sum(line.lstrip().startswith('{"id"') for line in text.splitlines()) == 2


def test_numbers_are_rounded_and_always_json() -> None:
    groups = [Group("a", 3, 100 / 3), Group("b", 1, math.nan)]
    result = replace(percent([verdict(1)]), groups=groups)
    plain = json.loads(to_json(result), parse_constant=lambda name: pytest.fail(name))
    assert [each["value"] for each in plain["groups"]] == [33.333333, None]


def test_a_score_that_is_no_number_does_not_spoil_the_file() -> None:
    plain = json.loads(to_json(percent([verdict(1), replace(verdict(2), score=math.nan)])))
    assert [each["score"] for each in plain["verdicts"]] == [1.0, None]
