"""The store of verdicts: what survives a kill, and what is refused."""

import json
import os
from pathlib import Path

import pytest

from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.evaluation.judging.judgements import Judgement
from pllava_cli.evaluation.judging.replies import Meaning
from pllava_cli.evaluation.judging.store import Store

FIRST = Judgement("generic/1", "correctness", "m", "m-1", "h:1", '{"score": 4}', Meaning(4.0), "2026-01-01")
ODD = Judgement(
    "generic/2", "detail", "m", "", "h:1", 'é\n\u2028\x1b[31m"🙂\ud83d', Meaning(0.5, "no"), "2026-01-02"
)


def filled(path: Path) -> bytes:
    with Store.open(path) as store:
        store.append("k1", FIRST)
        store.append("k2", ODD)
    return path.read_bytes()


def test_verdicts_come_back(tmp_path: Path) -> None:
    file = tmp_path / "v.jsonl"
    raw = filled(file)
    assert raw.isascii() and raw.count(b"\n") == 2
    with Store.open(file) as store:
        assert (store.get("k1"), store.get("k2"), store.get("k3"), len(store)) == (FIRST, ODD, None, 2)
    assert [Store.peek(file).get(key).key for key in ("k1", "k2")] == ["k1", "k2"]  # type: ignore[union-attr]
    assert Store.peek(file).has_reply_of("m") and not Store.peek(file).has_reply_of("m-1")
    assert Store.peek(file).get("k2") == ODD and len(Store.peek(tmp_path / "none.jsonl")) == 0
    assert not (tmp_path / "none.jsonl").exists()
    assert json.loads(raw.splitlines()[0]) == {
        "schema": "pllava.verdict/1",
        "key": "k1",
        "item": "generic/1",
        "dimension": "correctness",
        "model": "m",
        "replied_model": "m-1",
        "endpoint": "h:1",
        "reply": '{"score": 4}',
        "score": 4.0,
        "pred": None,
        "created": "2026-01-01",
    }


def test_torn_at_every_byte_of_the_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)
    raw = filled(tmp_path / "v.jsonl")
    first = raw.index(b"\n") + 1
    for end in range(first, len(raw)):
        file = tmp_path / f"{end}.jsonl"
        file.write_bytes(raw[:end])
        assert Store.peek(file).get("k1") == FIRST and file.read_bytes() == raw[:end]
        is_whole = end == len(raw) - 1
        with Store.open(file) as store:
            assert store.get("k2") == (ODD if is_whole else None)
            assert store.cut_bytes == (0 if is_whole else end - first)
            store.append("k2", ODD)
        assert file.read_bytes() == (raw if not is_whole else raw + raw[first:])


def test_the_zeros_of_a_power_cut_are_cut(tmp_path: Path) -> None:
    raw = filled(tmp_path / "v.jsonl")
    (tmp_path / "v.jsonl").write_bytes(raw + b"\0" * 512)
    with Store.open(tmp_path / "v.jsonl") as store:
        assert store.cut_bytes == 512 and len(store) == 2
    assert (tmp_path / "v.jsonl").read_bytes() == raw


@pytest.mark.parametrize(
    "line",
    [
        b"not json\n",
        b"[]\n",
        b'{"schema":"pllava.record/1","id":"a"}\n',
        b'{"schema":"pllava.verdict/2","key":"a"}\n',
        b'{"schema":"pllava.verdict/1","key":"a"}\n',
        b"\xff\xfe{\x00\n",
        b"{" * 20_000 + b"\n",
    ],
    ids=["text", "list", "record", "later", "lacking", "UTF-16", "deep"],
)
def test_a_file_of_something_else_is_refused_unchanged(line: bytes, tmp_path: Path) -> None:
    file = tmp_path / "v.jsonl"
    for raw in (line, filled(tmp_path / "whole.jsonl") + line, line + b"more\n"):
        file.write_bytes(raw)
        for way in (Store.open, Store.peek):
            with pytest.raises(UsageError, match="holds something else than verdicts") as caught:
                way(file)
            assert caught.value.status == ExitStatus.USAGE and caught.value.hint
            assert "\n" not in caught.value.message
        assert file.read_bytes() == raw


@pytest.mark.parametrize(
    ("field", "value"),
    [("score", "4"), ("score", 7), ("score", True), ("pred", "maybe"), ("reply", None), ("key", 3)],
)
def test_a_verdict_with_something_else_in_it_is_refused(field: str, value: object, tmp_path: Path) -> None:
    file = tmp_path / "v.jsonl"
    plain = json.loads(filled(file).splitlines()[0]) | {field: value}
    file.write_text(json.dumps(plain, separators=(",", ":")) + "\n")
    with pytest.raises(UsageError, match="line 1"):
        Store.open(file)


@pytest.mark.parametrize("kind", ["folder", "pipe", "nowhere"])
def test_where_nothing_can_be_written(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "v.jsonl"
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file = tmp_path / "none" / "v.jsonl"
    with pytest.raises(UsageError) as caught:
        Store.open(file)
    assert caught.value.hint and "-o" not in caught.value.hint


def test_a_file_that_is_taken_away_meanwhile_is_told(tmp_path: Path) -> None:
    with Store.open(tmp_path / "v.jsonl") as store:
        (tmp_path / "v.jsonl").unlink()
        with pytest.raises(UsageError, match="removed or replaced"):
            store.append("k1", FIRST)
