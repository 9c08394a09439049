"""Captions against those that people wrote: scoring what was said, and saying how."""

import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.evaluation.asked import Asked
from pllava_cli.evaluation.benchmarks.captions import read
from pllava_cli.evaluation.items import Benchmark, Result, Said
from pllava_cli.evaluation.scoring import captions, java, metrics, tokenising
from tests.evaluation import fakejava
from tests.evaluation.threeclips import THREE, file_of, folder_of

needs_library = pytest.mark.skipif(
    metrics.find_spec("pycocoevalcap") is None, reason="pycocoevalcap (extra: eval) is not installed"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return folder_of(tmp_path)


@pytest.fixture
def three(tmp_path: Path, data: Path) -> Benchmark:
    return read(file_of(tmp_path, THREE), data)


def answered(benchmark: Benchmark, *texts: str | None) -> list[Said]:
    return [
        Said(item, text, None if text is not None else "it cannot be decoded")
        for item, text in zip(benchmark.items, texts, strict=True)
    ]


def values(result: Result) -> dict[str, float | None]:
    return {group.name: group.value for group in result.groups}


def test_the_library_is_missed_before_a_caption_is_made(
    tmp_path: Path, data: Path, three: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "find_spec", lambda name: None)
    for call in (
        Asked("captions", file_of(tmp_path, THREE), data).read,
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
    assert {verdict.kind for verdict in right.verdicts} == {"measured"}
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
    assert [verdict.kind for verdict in result.verdicts] == ["measured", "failed", "empty"]
    assert [verdict.score > 0 for verdict in result.verdicts] == [True, False, False]
    assert "it cannot be decoded" in result.verdicts[1].note
    assert values(result)["ROUGE-L"] == pytest.approx(100 / 3)
    assert all(group.of == 3 for group in result.groups)
    assert all(group.counts == {"measured": 1, "failed": 1, "empty": 1} for group in result.groups)
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
    assert tokenising.PLAIN in notes
    assert "1 to 3, 2.0 on average" in notes
    assert "3 clips: figures of fewer than 50 mean little" in notes
    assert "METEOR is left out: no Java was found" in notes
    assert tokenising.PLAIN in result.scoring


@needs_library
def test_with_java_the_tokeniser_is_its_and_meteor_is_there(
    three: Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    by_verb = f'case "$*" in *PTBTokenizer*) {fakejava.TOKENISE};; *) {fakejava.METEOR};; esac'
    fakejava.put(monkeypatch, tmp_path, by_verb)
    result = captions.score(three, answered(three, "Two dogs.", None, "An onion."))
    assert result.groups[-1].name == "METEOR"
    assert result.groups[-1].value == pytest.approx(50.0)
    assert tokenising.PTB in result.scoring
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
def test_captions_of_parts_of_clips_are_counted_for_the_reader(
    three: Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fakejava.put(monkeypatch, tmp_path, None)
    whole = answered(three, "x", "y", "z")
    parts = [replace(each, is_of_part=True) for each in whole[:2]]
    told = "2 captions are said to be of a part of the clip, and compared with what people say of all of it."
    assert told in captions.score(three, [*parts, *whole[2:]], "plain").notes
    assert not any("to be of a part" in each for each in captions.score(three, whole, "plain").notes)


@needs_library
def test_references_that_lose_their_words_leave_their_clip_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those in scripts that Java's tokeniser does not know."""
    gone = "sed 's/.*onion.*/./; s/.*cooks.*/./'"
    fakejava.put(monkeypatch, tmp_path, f'case "$*" in *PTBTokenizer*) {gone};; *) exit 1;; esac')
    three = read(file_of(tmp_path, THREE), None)
    result = captions.score(three, answered(three, "a ball", "two dogs", ""))
    assert [group.of for group in result.groups] == [2] * 6
    assert len(result.verdicts) == 3
    assert "left out" in result.verdicts[2].note
    assert any(note.startswith("1 clip left out") for note in result.notes)
