"""Lines of data: what is read of the good ones, and what is said of the bad ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.prompts import CAPTION, Message
from pllava_cli.training import data
from pllava_cli.training.lines import MAX_LINE_BYTES
from tests.training.conftest import conversation, write_lines


def read(tmp_path: Path, *lines: dict[str, Any] | str) -> data.Lines:
    return data.read((write_lines(tmp_path / "data.jsonl", lines),), "Be brief.")


def turns(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"video": "a.mp4", "conversations": [{"from": role, "value": text} for role, text in pairs]}


def test_a_conversation_is_read(tmp_path: Path) -> None:
    line = turns(
        ("human", "<video>\nWhat?"), ("gpt", " A bird."), ("human", "Where?"), ("gpt", "Best option:(A) left")
    )
    (found,) = read(tmp_path, line).conversations
    assert found.clip == data.ClipRef(tmp_path / "a.mp4")
    assert found.system == "Be brief."
    assert str(found.where) == f"{tmp_path / 'data.jsonl'}:1"
    assert found.turns == (
        Message("user", "What?"),
        Message("assistant", " A bird."),
        Message("user", "Where?"),
        Message("assistant", "Best option:(A) left"),
    )


def test_other_names_of_roles_a_picture_and_an_own_system_text(tmp_path: Path) -> None:
    line = {
        "image": "p.png",
        "system": "",
        "conversations": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "B"}],
    }
    (found,) = read(tmp_path, line).conversations
    assert found.clip.is_still and found.system == ""


def test_records_are_read(tmp_path: Path) -> None:
    caption = {
        "schema": "pllava.record/1",
        "status": "ok",
        "path": "a.mp4",
        "task": "caption",
        "text": "A bird.",
    }
    ask = caption | {
        "task": "ask",
        "question": "Where?",
        "text": "There.",
        "segment": {"index": 0, "start_s": 1, "end_s": 2.5},
    }
    failed = {"schema": "pllava.record/1", "status": "error", "path": "b.mp4", "text": None}
    lines = read(tmp_path, caption, ask, failed)
    first, second = lines.conversations
    assert first.turns[0].text == CAPTION
    assert second.turns[0].text == "Where?"
    assert second.clip == data.ClipRef(tmp_path / "a.mp4", 1.0, 2.5)
    assert (lines.error_records, lines.bad) == (1, [])


def test_a_json_list_is_read(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text(json.dumps([conversation("a.mp4"), {}]))
    lines = data.read((file,), "")
    assert len(lines.conversations) == 1
    assert [bad.where for bad in lines.bad] == [(file, 2)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "not a JSON object"),
        ("{}", "neither a record"),
        ("x" * (MAX_LINE_BYTES + 5), "longer than"),
        (turns(("human", "Q"), ("robot", "A")), "turn 2 has the unknown role 'robot'"),
        (turns(("gpt", "A"), ("human", "Q")), "the user first"),
        (turns(("human", "Q"), ("human", "Q")), "must take turns"),
        (turns(("human", "Q")), "no answer"),
        (turns(("human", "Q"), ("gpt", " \n")), "turn 2 (answer) is empty"),
        (turns(("human", "<image>\n"), ("gpt", "A")), "turn 1 (question) is empty"),
        (turns(("human", "Q"), ("gpt", "see <image>")), "holds <image>"),
        (turns(("human", "<image> and <image>"), ("gpt", "A")) | {"conversations": "no"}, "no list of turns"),
        (
            {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
            "names no clip",
        ),
        (conversation("a.mp4") | {"image": "b.png"}, "both a video and an image"),
        (conversation("a.mp4") | {"video": 3}, "path of the clip"),
        (conversation("a\0.mp4"), "NUL"),
        (conversation("a\ud800.mp4"), "none that a file can have"),
        (conversation("a.mp4") | {"segment": {"start_s": -1}}, "not a time"),
        (conversation("a.mp4") | {"segment": {"end_s": 10**400}}, "not a time"),
        (conversation("a.mp4") | {"segment": {"start_s": float("nan")}}, "not a time"),
        (conversation("a.mp4") | {"segment": {"start_s": 3, "end_s": 2}}, "before it starts"),
        (conversation("a.mp4") | {"system": None}, "the system text"),
        ({"path": "a.mp4", "text": ""}, "the text is empty"),
        ({"path": "a.mp4", "text": None}, "the text is missing"),
        ({"path": "a.mp4", "text": "A", "task": "ask"}, "the question is missing"),
        ({"path": "a.mp4", "text": "A", "task": "sing"}, "unknown task"),
        ({"path": "a.mp4", "text": "\ud800"}, "lone surrogate"),
    ],
)
def test_a_bad_line_is_told_with_its_number(tmp_path: Path, line: dict[str, Any] | str, reason: str) -> None:
    lines = read(tmp_path, conversation("a.mp4"), line, "", conversation("b.mp4"))
    assert len(lines.conversations) == 2
    (bad,) = lines.bad
    assert bad.where == (tmp_path / "data.jsonl", 2)
    assert reason in bad.reason
