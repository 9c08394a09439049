"""Captions as a benchmark: reading it, scoring what was said, and saying how."""

import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from pllava_cli import prompts
from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.evaluation import captions, java, metrics, words
from pllava_cli.evaluation.items import Benchmark, Result, Said
from tests.evaluation import fakejava

needs_library = pytest.mark.skipif(
    metrics.find_spec("pycocoevalcap") is None, reason="pycocoevalcap (extra: eval) is not installed"
)
THREE = [
    {"video": "ball.mp4", "captions": ["a red ball rolls over the grass", "a ball on the grass"]},
    {"video": "dogs.mp4", "captions": ["two dogs run after a ball"]},
    {"video": "kitchen.mp4", "captions": ["a woman cuts an onion", "someone cooks", "an onion is cut up"]},
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for each in THREE:
        file = folder / "clips" / str(each["video"])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return folder


def file_of(tmp_path: Path, value: Any) -> Path:
    file = tmp_path / "references.json"
    file.write_text(json.dumps(value))
    return file


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is there, for what only asks whether it is."""
    monkeypatch.setattr(metrics, "find_spec", lambda name: object())


@pytest.fixture
def three(tmp_path: Path, data: Path, library: None) -> Benchmark:
    return captions.read(file_of(tmp_path, THREE), data)


def answered(benchmark: Benchmark, *texts: str | None) -> list[Said]:
    return [
        Said(item, text, None if text is not None else "it cannot be decoded")
        for item, text in zip(benchmark.items, texts, strict=True)
    ]


def values(result: Result) -> dict[str, float | None]:
    return {group.name: group.value for group in result.groups}


def test_items_ask_for_a_caption_as_pllava_does(three: Benchmark, data: Path) -> None:
    assert three.name == "captions"
    assert [item.id for item in three.items] == ["ball.mp4", "dogs.mp4", "kitchen.mp4"]
    assert [item.clip for item in three.items] == [data / "clips" / str(each["video"]) for each in THREE]
    assert [item.references for item in three.items] == [tuple(each["captions"]) for each in THREE]
    assert {item.prompt for item in three.items} == {prompts.CAPTION}
    assert three.manner.system == prompts.SYSTEM
    assert three.manner.max_new_tokens == 256
    assert not three.manner.is_inline
    assert three.faults == []


def test_a_clip_that_is_not_there_stays(tmp_path: Path, data: Path, library: None) -> None:
    file = file_of(tmp_path, [*THREE, {"video": "gone.mp4", "caption": "x"}])
    benchmark = captions.read(file, data)
    assert benchmark.items[-1].clip == data / "gone.mp4"
    assert benchmark.faults == []


def test_a_clip_that_may_be_either_of_two_is_a_fault(tmp_path: Path, data: Path, library: None) -> None:
    (data / "again").mkdir()
    (data / "again" / "dogs.mp4").touch()
    benchmark = captions.read(file_of(tmp_path, THREE), data)
    assert [item.id for item in benchmark.items] == ["ball.mp4", "kitchen.mp4"]
    assert [fault.where for fault in benchmark.faults] == ["references.json, item 2"]
    with pytest.raises(UsageError, match="2 files bear its name"):
        captions.read(file_of(tmp_path, THREE[1:2]), data)


def test_without_a_folder_the_clips_are_taken_as_named(tmp_path: Path, library: None) -> None:
    benchmark = captions.read(file_of(tmp_path, THREE), None)
    assert benchmark.items[0].clip == Path("ball.mp4")


def test_a_folder_that_holds_none_of_the_clips(tmp_path: Path, library: None) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError) as raised:
            captions.read(file_of(tmp_path, THREE), folder)
        assert str(folder) in raised.value.message


def test_the_library_is_missed_before_a_caption_is_made(
    tmp_path: Path, data: Path, three: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "find_spec", lambda name: None)
    for call in (
        lambda: captions.read(file_of(tmp_path, THREE), data),
        lambda: captions.score(three, answered(three, "x", "y", "z")),
    ):
        with pytest.raises(UsageError, match="not installed") as raised:
            call()
        assert raised.value.status == ExitStatus.USAGE
        assert "pip install 'pllava[eval]'" in raised.value.hint


@needs_library
def test_scores_of_all_clips(three: Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakejava.put(monkeypatch, tmp_path, None)
    right = captions.score(
        three,
        answered(
            three, "A red ball rolls over the grass.", "Two dogs run after a ball!", "An onion is cut up."
        ),
    )
    assert list(values(right)) == ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D"]
    assert values(right)["BLEU-4"] == pytest.approx(100.0, abs=1e-3)
    assert values(right)["ROUGE-L"] == pytest.approx(100.0)
    assert [group.of for group in right.groups] == [3] * 6
    assert {verdict.kind for verdict in right.verdicts} == {"unjudged"}
    assert right.verdicts[1].score == pytest.approx(1000.0)
    assert right.averages == ()
    assert right.unit == ""
    wrong = captions.score(three, answered(three, "An onion is cut up.", "A ball on the grass.", "Two dogs."))
    for name, value in values(wrong).items():
        assert value is not None
        assert value < (values(right)[name] or 0.0)


@needs_library
def test_what_was_not_said_counts_and_is_told(
    three: Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fakejava.put(monkeypatch, tmp_path, None)
    result = captions.score(three, answered(three, "A red ball rolls over the grass.", None, " "))
    assert [verdict.kind for verdict in result.verdicts] == ["unjudged", "failed", "empty"]
    assert [verdict.score > 0 for verdict in result.verdicts] == [True, False, False]
    assert "it cannot be decoded" in result.verdicts[1].note
    assert values(result)["ROUGE-L"] == pytest.approx(100 / 3)
    assert all(group.of == 3 for group in result.groups)
    assert all(group.counts == {"unjudged": 1, "failed": 1, "empty": 1} for group in result.groups)
    assert any(note.startswith("1 clip without a caption") for note in result.notes)
    assert any(note.startswith("1 clip with an empty caption") for note in result.notes)


@needs_library
def test_notes_say_what_the_figures_hang_on(
    three: Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fakejava.put(monkeypatch, tmp_path, None)
    result = captions.score(three, answered(three, "x", "y", "z"))
    notes = "\n".join(result.notes)
    assert metrics.library() in notes
    assert words.PLAIN in notes
    assert "1 to 3, 2.0 on average" in notes
    assert "3 clips: figures of fewer than 50 mean little" in notes
    assert "METEOR is left out: no Java was found" in notes
    assert words.PLAIN in result.scoring


@needs_library
def test_with_java_the_tokeniser_is_its_and_meteor_is_there(
    three: Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    by_verb = f'case "$*" in *PTBTokenizer*) {fakejava.TOKENISE};; *) {fakejava.METEOR};; esac'
    fakejava.put(monkeypatch, tmp_path, by_verb)
    result = captions.score(three, answered(three, "Two dogs.", None, "An onion."))
    assert result.groups[-1].name == "METEOR"
    assert result.groups[-1].value == pytest.approx(50.0)
    assert words.PTB in result.scoring
    assert "METEOR" not in "\n".join(result.notes)


@needs_library
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo out of memory >&2; exit 1", "out of memory"),
        ("read -r line; echo 1 2; exit 0", "status 0"),
        ("while read -r line; do echo nonsense; done", "nonsense"),
        ("while read -r line; do echo; done", "where numbers belong"),
        ("exec sleep 60", "longer than"),
    ],
)
def test_meteor_that_fails_is_left_out(
    three: Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, reason: str
) -> None:
    fakejava.put(monkeypatch, tmp_path, script)
    monkeypatch.setattr(java, "TIMEOUT_S", 0.3 if "sleep" in script else 60.0)
    result = captions.score(three, answered(three, "x", "y", "z"), "plain")
    assert "METEOR" not in values(result)
    (note,) = (note for note in result.notes if "METEOR is left out" in note)
    assert reason in note


@needs_library
@pytest.mark.skipif(
    shutil.which("java") is None or not os.environ.get("PLLAVA_TEST_METEOR"),
    reason="METEOR's start takes seconds: set PLLAVA_TEST_METEOR, and have Java",
)
def test_meteor_itself(three: Benchmark) -> None:
    said = answered(three, "a red ball rolls over the grass", None, "somebody is cooking")
    meteor = values(captions.score(three, said)).get("METEOR")
    assert meteor is not None
    assert 20 < meteor < 80


@needs_library
def test_no_network(three: Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakejava.put(monkeypatch, tmp_path, None)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert captions.score(three, answered(three, "x", "y", "z"), "plain").groups


@needs_library
def test_nothing_and_next_to_nothing(
    three: Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fakejava.put(monkeypatch, tmp_path, None)
    nothing = captions.score(three, [])
    assert {group.value for group in nothing.groups} == {None}
    assert {group.of for group in nothing.groups} == {0}
    assert "Only 0 of 3 clips were asked about." in nothing.notes
    one = captions.score(three, answered(three, "Two dogs.", "x", "y")[:1])
    assert values(one)["CIDEr-D"] is None
    assert values(one)["BLEU-1"] is not None
    assert any("CIDEr-D of a single clip" in note for note in one.notes)


@needs_library
def test_references_that_lose_their_words_leave_their_clip_out(
    tmp_path: Path, library: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those in scripts that Java's tokeniser does not know."""
    gone = "sed 's/.*onion.*/./; s/.*cooks.*/./'"
    fakejava.put(monkeypatch, tmp_path, f'case "$*" in *PTBTokenizer*) {gone};; *) exit 1;; esac')
    three = captions.read(file_of(tmp_path, THREE), None)
    result = captions.score(three, answered(three, "a ball", "two dogs", ""))
    assert [group.of for group in result.groups] == [2] * 6
    assert len(result.verdicts) == 3
    assert "left out" in result.verdicts[2].note
    assert any(note.startswith("1 clip left out") for note in result.notes)
