"""Captions that were made before: which belongs to which clip."""

import json
from pathlib import Path
from typing import Any

import pytest

from pllava_cli import inputs
from pllava_cli.errors import ClipError, UsageError
from pllava_cli.evaluation.answering.made_before import said_from
from pllava_cli.evaluation.items import Benchmark, Item, Manner
from pllava_cli.records import Decoding, Error, File, Frames, Model, Record, Segment, to_json_line


def benchmark(*named: tuple[str, str]) -> Benchmark:
    """A benchmark of clips, each an id and a path."""
    items = [Item(id, "captions", Path(path), "Say.", "x", "Say.", references=("x",)) for id, path in named]
    return Benchmark("captions", items, Manner(""))


TWO = benchmark(("video1", "data/video1.mp4"), ("video2", "data/video2.mp4"))


def texts(tmp_path: Path, entries: Any, of: Benchmark = TWO) -> list[str | None]:
    file = tmp_path / "captions.jsonl"
    as_lines = entries if isinstance(entries, str) else "".join(json.dumps(each) + "\n" for each in entries)
    file.write_text(as_lines)
    said = said_from(of, file)
    assert [each.item for each in said] == list(of.items)
    assert all((each.text is None) == (each.error is not None) for each in said)
    return [each.text for each in said]


def record(path: str, text: str | None, segment: Segment | None = None, **fields: Any) -> Record:
    model = Model("tiny", None, None, None, "fp32", "none", 16, (16, 12, 12))
    return Record(
        id=inputs.clip_id(Path(path)),
        path=path,
        task=fields.get("task", "caption"),
        question=fields.get("question", "Say."),
        system="",
        segment=segment or Segment(),
        model=model,
        decoding=Decoding(256, 0.0, 1.0, None),
        file=File(1, 1.0),
        text=text,
        frames=Frames([0, 8], [0.0, 1.5]),
        error=fields.get("error"),
    )


@pytest.mark.parametrize(
    ("segment", "is_of_part"),
    [(Segment(), False), (Segment(0, 1.0, None), True), (Segment(0, None, 2.5), True)],
)
def test_a_caption_of_a_part_is_known_for_one(tmp_path: Path, segment: Segment, is_of_part: bool) -> None:
    file = tmp_path / "captions.jsonl"
    file.write_text(to_json_line(record("data/video1.mp4", "A dog.", segment)) + "\n")
    first, second = said_from(TWO, file)
    assert (first.text, first.is_of_part) == ("A dog.", is_of_part)
    assert second.text is None and not second.is_of_part


@pytest.mark.parametrize(
    "naming",
    [
        lambda name: {"path": f"data/{name}.mp4"},
        lambda name: {"path": str(Path.cwd() / "data" / f"{name}.mp4")},
        lambda name: {"path": f"/elsewhere/{name}.mp4"},
        lambda name: {"video": f"{name}.webm"},
        lambda name: {"id": name},
        lambda name: {"image_id": name},
        lambda name: {"video_id": name},
        lambda name: {"id": f"{name}.mp4"},
    ],
    ids=["path", "whole path", "elsewhere", "stem", "id", "image id", "video id", "name"],
)
@pytest.mark.parametrize("key", ["text", "caption"])
def test_a_caption_names_its_clip_in_many_ways(tmp_path: Path, naming: Any, key: str) -> None:
    entries = [naming("video2") | {key: "Two."}, naming("video1") | {key: "One."}, naming("x") | {key: "X."}]
    assert texts(tmp_path, entries) == ["One.", "Two."]
    assert texts(tmp_path, json.dumps(entries)) == ["One.", "Two."]


def test_numbers_are_ids(tmp_path: Path) -> None:
    of = benchmark(("7", "a.mp4"), ("9", "b.mp4"))
    assert texts(tmp_path, [{"image_id": 9, "caption": "Nine."}], of) == [None, "Nine."]


def test_records_of_batch(tmp_path: Path) -> None:
    failed = Error.of(ClipError("it is torn"))
    lines = [
        record("data/video1.mp4", None, error=failed),
        record("data/video1.mp4", "One."),
        record("data/video1.mp4", "An answer.", task="ask", question="Who is it?"),
        record("data/video2.mp4", None, error=failed),
    ]
    file = tmp_path / "captions.jsonl"
    file.write_text("".join(to_json_line(each) + "\n" for each in lines))
    one, two = said_from(TWO, file)
    assert (one.text, one.timestamps_s) == ("One.", (0.0, 1.5))
    assert (two.text, two.error) == (None, "it is torn")


def test_answers_to_the_question_for_a_caption_are_captions(tmp_path: Path) -> None:
    """As `pllava eval captions` has them in its folder."""
    lines = [record("data/video1.mp4", "One.", task="ask"), record("data/video2.mp4", "Two.", task="ask")]
    odd = json.dumps({"path": "data/video2.mp4", "text": "No.", "task": "ask", "question": ["Say."]})
    assert texts(tmp_path, "".join(to_json_line(each) + "\n" for each in lines) + odd) == ["One.", "Two."]


def test_of_two_captions_the_later_counts(tmp_path: Path) -> None:
    entries = [{"id": "video1", "text": "Old."}, {"id": "video1", "text": "New."}]
    assert texts(tmp_path, entries) == ["New.", None]


def test_a_name_that_clips_share_tells_of_none(tmp_path: Path) -> None:
    of = benchmark(("a", "one/clip.mp4"), ("b", "two/clip.mp4"))
    with pytest.raises(UsageError, match="no caption of any clip"):
        texts(tmp_path, [{"path": "/elsewhere/clip.mp4", "text": "Which?"}], of)
    entries = [{"path": "/elsewhere/clip.mp4", "text": "Which?"}, {"path": "two/clip.mp4", "text": "Two."}]
    assert texts(tmp_path, entries, of) == [None, "Two."]


def test_two_captions_that_may_be_of_one_clip_are_neither(tmp_path: Path) -> None:
    entries = [
        {"path": "/here/video1.mp4", "text": "Here."},
        {"path": "/there/video1.mp4", "text": "There."},
        {"id": "video2", "text": "Two."},
    ]
    file = tmp_path / "captions.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in entries))
    one, two = said_from(TWO, file)
    assert one.text is None
    assert one.error == "two captions may be of it: captions.jsonl, line 1 and captions.jsonl, line 2"
    assert two.text == "Two."


def test_captions_of_parts_are_refused(tmp_path: Path) -> None:
    lines = [record("data/video1.mp4", "x", Segment(at, 5.0 * at, 5.0 * at + 5)) for at in range(2)]
    with pytest.raises(UsageError, match=r"several parts of 'data/video1\.mp4'"):
        texts(tmp_path, "".join(to_json_line(each) + "\n" for each in lines))


class TestParts:
    """Parts of clips are asked about."""

    OF = Benchmark(
        "captions",
        [
            Item(f"v_a/{at}", "captions", Path("data/v_a.mp4"), "Say.", "x", "Say.", (), start_s, end_s)
            for at, (start_s, end_s) in enumerate([(0.0, 5.0), (2.5, 5.0)], 1)
        ],
        Manner(""),
    )

    def test_each_has_the_caption_of_its_start_and_end(self, tmp_path: Path) -> None:
        lines = [
            record("/elsewhere/v_a.mp4", "Whole."),
            record("/elsewhere/v_a.mp4", "Second.", Segment(1, 2.5, 5.0)),
            record("/elsewhere/v_a.mp4", "Another.", Segment(2, 2.5, 5.5)),
            record("/elsewhere/v_a.mp4", "First.", Segment(0, 0, 5)),
        ]
        text = "".join(to_json_line(each) + "\n" for each in lines)
        assert texts(tmp_path, text, self.OF) == ["First.", "Second."]

    def test_of_two_captions_of_one_the_later_counts(self, tmp_path: Path) -> None:
        lines = [record("data/v_a.mp4", text, Segment(0, 2.5, 5.0)) for text in ("Old.", "New.")]
        text = "".join(to_json_line(each) + "\n" for each in lines)
        assert texts(tmp_path, text, self.OF) == [None, "New."]

    def test_an_id_is_enough(self, tmp_path: Path) -> None:
        entries = [{"id": "v_a/2", "caption": "Second."}, {"id": "v_a", "caption": "Whole."}]
        assert texts(tmp_path, entries, self.OF) == [None, "Second."]

    def test_ids_tell_captions_of_one_clip_apart(self, tmp_path: Path) -> None:
        entries = [
            {"video": "v_a.mp4", "id": "v_a/1", "caption": "Old."},
            {"video": "v_a.mp4", "id": "v_a/2", "caption": "Second."},
            {"video": "v_a.mp4", "id": "v_a/1", "caption": "First."},
        ]
        assert texts(tmp_path, entries, self.OF) == ["First.", "Second."]

    def test_an_id_may_name_its_part_too(self, tmp_path: Path) -> None:
        entries = [
            {"id": "v_a/1", "segment": {"start_s": 0, "end_s": 5}, "caption": "First."},
            {"id": "v_a/2", "segment": {"start_s": 0, "end_s": 5}, "caption": "Of the first."},
        ]
        assert texts(tmp_path, entries, self.OF) == ["First.", None]

    @pytest.mark.parametrize("odd", [[1], {"a": 1}, "2.5", None])
    def test_times_that_are_none_are_of_no_part(self, tmp_path: Path, odd: Any) -> None:
        odd = {"path": "data/v_a.mp4", "text": "Odd.", "segment": {"start_s": odd, "end_s": 5.0}}
        good = odd | {"text": "Good.", "segment": {"start_s": 2.5, "end_s": 5.0}}
        assert texts(tmp_path, [odd, good], self.OF) == [None, "Good."]

    def test_captions_of_whole_clips_are_no_captions_of_parts(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no caption of any clip") as raised:
            texts(tmp_path, [{"path": "data/v_a.mp4", "text": "Whole."}], self.OF)
        assert "and the part" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ({"text": None}, "there is no caption"),
        ({"text": 7}, "not text"),
        ({"text": "x" * 10_001}, "longer than"),
        ({"status": "error", "error": 7}, "there is no caption"),
        ({"text": "x", "status": "error", "error": {"message": "torn"}}, "torn"),
    ],
)
def test_entries_without_a_caption(tmp_path: Path, entry: dict[str, Any], error: str) -> None:
    file = tmp_path / "captions.json"
    file.write_text(json.dumps([{"id": "video1"} | entry]))
    assert error in (said_from(TWO, file)[0].error or "")


@pytest.mark.parametrize(
    "odd",
    [
        7,
        {"text": "Of what?"},
        {"path": 7, "text": "x"},
        {"path": "a\0\ud800", "text": "x"},
        {"id": "", "text": "x"},
        {"id": "y", "text": "x", "segment": [], "frames": {"timestamps_s": [None, 10**400]}},
    ],
)
def test_odd_entries_do_no_harm(tmp_path: Path, odd: Any) -> None:
    assert texts(tmp_path, [odd, {"id": "video1", "text": "One."}]) == ["One.", None]


@pytest.mark.parametrize("content", ["", "not json", "{}", "[]", "7", '{"id": "other", "text": "x"}'])
def test_a_file_without_a_caption_of_the_clips(tmp_path: Path, content: str) -> None:
    with pytest.raises(UsageError) as raised:
        texts(tmp_path, content)
    assert "captions.jsonl" in raised.value.message
    assert raised.value.hint
