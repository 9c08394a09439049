"""Cutting captions into words, with Java and without."""

import shutil
from pathlib import Path

import pytest

from pllava_cli.evaluation.scoring import java, tokenising
from pllava_cli.evaluation.scoring.java import JavaError
from pllava_cli.evaluation.scoring.tokenising import tokenise
from tests.evaluation import fakejava


def plain(text: str) -> str:
    return tokenise([text], "plain").texts[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A man rides a Horse.", "a man rides a horse"),
        ("He doesn't; it's the man’s t-shirt!", "he does n't it 's the man 's t-shirt"),
        ("3.5 of 1,000 at 10:30, isn't it?", "3.5 of 1,000 at 10:30 is n't it"),
        ("white,black (grey)", "white black grey"),
        ("the U.S. flag", "the u.s. flag"),
        ("café — naïve", "café naïve"),
        ("cafe\u0301 noir", "cafe\u0301 noir"),
        ("एक कुत्ता दौड़ता है", "एक कुत्ता दौड़ता है"),
        ("I ❤️ dogs", "i dogs"),
        ("", ""),
        (" \n\t", ""),
        ("...!", ""),
        ("one\ntwo\r\nthree four\x00five", "one two three four five"),
        ("\ud800 lone", "lone"),
    ],
)
def test_without_java(text: str, expected: str) -> None:
    assert plain(text) == expected


needs_java = pytest.mark.skipif(
    shutil.which("java") is None, reason="no Java to run the Penn Treebank tokeniser with"
)


@needs_java
def test_both_ways_agree_on_what_captions_are_made_of() -> None:
    pytest.importorskip("pycocoevalcap", reason="pycocoevalcap (extra: eval) is not installed")
    texts = [
        "A man rides a brown horse.",
        "He doesn't look; it's the man's T-shirt!",
        "Two well-known dogs, one white, one black: they run.",
        "",
        "At 10:30 there are 1,000 people, or 3.5 times more?",
        'In the U.S. someone says "go", e.g. to a dog...',
        "They're here, we'll go, I've seen. You'd say I'm late.",
        "... ",
        "A café in the rain\nand\u2028the street",
    ]
    by_java = tokenise(texts, "ptb")
    assert by_java.way == tokenising.PTB
    assert by_java.texts == tokenise(texts, "plain").texts


def test_java_is_asked_once_for_all_and_told_one_encoding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arguments = fakejava.put(monkeypatch, tmp_path, fakejava.TOKENISE)
    found = tokenise(["A Ball.", "", "ÄTHER ball\nand Dog"], "auto")
    assert found.way == tokenising.PTB
    assert found.texts[:2] == ["a ball", ""]
    assert found.texts[2].endswith("ball and dog")
    assert "-Dfile.encoding=UTF-8" in arguments.read_text()
    assert "edu.stanford.nlp.process.PTBTokenizer -preserveLines -lowerCase" in arguments.read_text()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "no Java was found"),
        ("echo one line; cat > /dev/null", "returned 1 line for 2"),
        ("cat > /dev/null; echo no memory >&2; exit 3", "Java ended with status 3: no memory"),
        ("exec sleep 60", "Java took longer"),
    ],
)
def test_java_that_does_not_do_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str | None, reason: str
) -> None:
    fakejava.put(monkeypatch, tmp_path, script)
    monkeypatch.setattr(java, "TIMEOUT_S", 0.3 if script and "sleep" in script else 60.0)
    found = tokenise(["One.", "Two."], "auto")
    assert found.texts == ["one", "two"]
    assert found.way.startswith(tokenising.PLAIN)
    assert reason in found.way
    with pytest.raises(JavaError, match=reason):
        tokenise(["One.", "Two."], "ptb")


def test_a_library_without_its_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fakejava.put(monkeypatch, tmp_path, fakejava.TOKENISE)
    monkeypatch.setattr(java, "library_folder", lambda: tmp_path)
    with pytest.raises(JavaError, match="is not there"):
        tokenise(["One."], "ptb")
