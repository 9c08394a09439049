"""result.json: what comes back is what was written, and what is no result is refused in one line."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.evaluation.items import Average, Group, Result
from pllava_cli.evaluation.report.stored import NAME, read, to_json
from tests.evaluation.results import hostile, percent, verdict


def store(folder: Path, result: Result) -> Path:
    (folder / NAME).write_text(to_json(result), encoding="utf-8")
    return folder


def bare(result: Result) -> Result:
    """A result as it is kept: without prompts, and with lists as lists."""
    verdicts = [
        replace(each, said=replace(each.said, item=replace(each.said.item, prompt="")))
        for each in result.verdicts
    ]
    lists = {name: list(getattr(result, name)) for name in ("groups", "averages", "faults", "notes")}
    return replace(result, verdicts=verdicts, settings=dict(result.settings), **lists)


@pytest.mark.parametrize(
    "result",
    [
        percent(
            [verdict(1), verdict(2, "wrong", note="read as (B)"), verdict(3, "failed"), verdict(4, "empty")]
        ),
        percent([]),
        hostile(),
        Result("mc", "strict", "", [Group("none", 0, None)], [Average("mean", None)], []),
    ],
    ids=["ordinary", "empty", "hostile", "bare"],
)
def test_what_was_written_comes_back(tmp_path: Path, result: Result) -> None:
    again = read(store(tmp_path, result))
    expected = bare(result)
    for name in ("benchmark", "scoring", "unit", "settings", "notes", "faults", "averages"):
        assert list(getattr(again, name)) == list(getattr(expected, name)), name
    assert [(each.name, each.of, each.counts) for each in again.groups] == [
        (each.name, each.of, each.counts) for each in expected.groups
    ]
    assert [each.value for each in again.groups] == pytest.approx([each.value for each in expected.groups])
    assert again.verdicts == expected.verdicts
    assert to_json(again) == to_json(result)


def test_the_file_has_a_verdict_a_line_with_all_that_is_known(tmp_path: Path) -> None:
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


def test_a_score_that_is_no_number_does_not_spoil_the_file(tmp_path: Path) -> None:
    result = percent([verdict(1), replace(verdict(2), score=math.nan)])
    assert [math.isnan(each.score) for each in read(store(tmp_path, result)).verdicts] == [False, True]


def test_later_versions_may_add_fields(tmp_path: Path) -> None:
    result = percent([verdict(1)])
    plain = json.loads(to_json(result))
    plain["added"] = plain["verdicts"][0]["added"] = plain["groups"][0]["added"] = [1]
    (tmp_path / NAME).write_text(json.dumps(plain))
    assert read(tmp_path) == bare(result)


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    plain = json.loads(to_json(percent([verdict(1)])))
    change(plain)
    return json.dumps(plain)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not JSON"),
        ("[]", "is no result of an evaluation; expected pllava.eval/1"),
        ('{"schema": "pllava.eval/2"}', "of the schema 'pllava.eval/2'; expected pllava.eval/1"),
        ('{"schema": "pllava.eval/1"}', "benchmark is missing"),
        (changed(lambda plain: plain.update(benchmark=7)), "benchmark cannot be 7"),
        (changed(lambda plain: plain.update(groups={})), "groups cannot be {}"),
        (changed(lambda plain: plain.update(settings={"a": 1})), "settings cannot be 1"),
        (changed(lambda plain: plain["groups"].append(3)), "groups cannot be 3"),
        (changed(lambda plain: plain["groups"][0].update(of=True)), "groups: of cannot be True"),
        (changed(lambda plain: plain["groups"][0].update(counts={"odd": 1})), "cannot be 'odd'"),
        (changed(lambda plain: plain.pop("verdicts")), "verdicts are missing"),
        (changed(lambda plain: plain["verdicts"].append(None)), "verdict 2: cannot be None"),
        (changed(lambda plain: plain["verdicts"][0].update(kind="good")), "verdict 1: kind cannot be 'good'"),
        (changed(lambda plain: plain["verdicts"][0].update(score="1")), "verdict 1: score cannot be '1'"),
        (changed(lambda plain: plain["verdicts"][0].update(clip="a\0b")), "verdict 1: clip cannot be"),
        (changed(lambda plain: plain["verdicts"][0].update(candidates=["a", 2])), "candidates cannot be 2"),
        (changed(lambda plain: plain["verdicts"][0].pop("id")), "verdict 1: id is missing"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / NAME).write_text(content)
    with pytest.raises(UsageError) as caught:
        read(tmp_path)
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert caught.value.status == ExitStatus.USAGE


def test_a_folder_without_a_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=NAME):
        read(tmp_path)
