"""The library's figures: by hand where a hand can, otherwise against the metrics written anew."""

import socket
from math import exp
from pathlib import Path
from random import Random

import pytest

from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.evaluation.scoring import metrics
from pllava_cli.evaluation.scoring.metrics import measure
from tests.evaluation import ngrams

pytest.importorskip("pycocoevalcap", reason="pycocoevalcap (extra: eval) is not installed")

CAPTIONS = [
    "a red ball rolls over the green grass",
    "two dogs run after a ball",
    "a woman cuts an onion in a kitchen",
]

VOCABULARY = ["a", "the", "red", "blue", "ball", "dog", "runs", "over", "under", "grass"]


def test_equal_captions_have_all_there_is() -> None:
    figures = measure([[each] for each in CAPTIONS], CAPTIONS)
    assert figures.bleu == pytest.approx((100.0,) * 4, abs=1e-4)
    assert figures.rouge_l == pytest.approx(100.0)
    assert figures.cider_d == pytest.approx(1000.0)
    assert figures.rouge_l_each == pytest.approx((100.0,) * 3)
    assert figures.cider_d_each == pytest.approx((1000.0,) * 3)


def test_captions_without_a_word_in_common_have_nothing() -> None:
    figures = measure([["one two three four"], ["five six seven eight"]], ["a b c d", "e f g h"])
    assert figures.bleu == pytest.approx((0.0,) * 4, abs=0.01)
    assert (figures.rouge_l, figures.cider_d) == (0.0, 0.0)


def test_brevity_by_hand() -> None:
    """Three words of three are right, where six were expected: exp(1 - 6/3)."""
    figures = measure([["the cat sat on the mat"]], ["the cat sat"])
    assert figures.bleu[0] == pytest.approx(100 * exp(-1), rel=1e-6)
    longer = measure([["the cat sat"]], ["the cat sat on the mat"])
    assert longer.bleu[0] == pytest.approx(50.0, rel=1e-6)  # no penalty: the precision is enough


def test_repetition_is_clipped_by_hand() -> None:
    """Of seven times `the`, two are in the reference (Papineni et al. 2002, section 2.1)."""
    figures = measure([["the cat is on the mat"]], ["the the the the the the the"])
    assert figures.bleu[0] == pytest.approx(100 * 2 / 7, rel=1e-6)


def test_rouge_l_by_hand() -> None:
    """`police the gunman`, in this order, are 3 of 4 words on the one side and of 3 on the other."""
    precision, recall, beta = 3 / 3, 3 / 4, 1.2
    expected = 100 * (1 + beta**2) * precision * recall / (recall + beta**2 * precision)
    figures = measure([["police killed the gunman"]], ["police the gunman"])
    assert figures.rouge_l == pytest.approx(expected)
    assert measure([["police the gunman"]], ["police killed the gunman"]).rouge_l != pytest.approx(expected)


def test_the_order_of_clips_and_of_references_plays_no_part() -> None:
    people = [[each, "a ball on grass"] for each in CAPTIONS]
    said = ["a ball rolls", "two dogs run", "a kitchen"]
    one = measure(people, said)
    other = measure([texts[::-1] for texts in people[::-1]], said[::-1])
    assert other.bleu == pytest.approx(one.bleu)
    assert other.cider_d_each == pytest.approx(one.cider_d_each[::-1])
    assert other.rouge_l_each == pytest.approx(one.rouge_l_each[::-1])


def test_right_captions_at_other_clips_are_worth_less() -> None:
    people = [[each] for each in CAPTIONS]
    right, wrong = measure(people, CAPTIONS), measure(people, CAPTIONS[1:] + CAPTIONS[:1])
    assert right.cider_d is not None
    assert wrong.cider_d is not None
    assert wrong.cider_d < 0.1 * right.cider_d
    assert wrong.rouge_l < right.rouge_l
    assert wrong.bleu[3] < right.bleu[3]


def test_nothing_said_costs_and_breaks_nothing() -> None:
    figures = measure([[each] for each in CAPTIONS], ["", *CAPTIONS[1:]])
    assert figures.rouge_l_each[0] == figures.cider_d_each[0] == 0.0
    assert figures.rouge_l == pytest.approx(200 / 3)
    assert figures.cider_d == pytest.approx(2000 / 3)
    assert figures.bleu[0] < 100.0  # by brevity
    assert measure([["a b"], ["c d"]], ["", ""]).bleu == pytest.approx((0.0,) * 4, abs=1e-6)


def test_a_single_clip_has_no_cider() -> None:
    assert measure([["the cat sat"]], ["the cat sat"]).cider_d is None


@pytest.mark.parametrize("seed", range(5))
def test_as_the_papers_have_it(seed: int) -> None:
    draw = Random(seed)

    def text() -> str:
        return " ".join(draw.choices(VOCABULARY, k=draw.randint(4, 14)))

    people = [[text() for _ in range(draw.randint(1, 5))] for _ in range(12)]
    captions = [text() for _ in people]
    figures = measure(people, captions)
    for n, value in enumerate(figures.bleu, 1):
        assert value == pytest.approx(100 * ngrams.bleu(people, captions, n), rel=1e-6, abs=0.01)
    expected = [100 * ngrams.rouge_l(*each) for each in zip(people, captions, strict=True)]
    assert figures.rouge_l_each == pytest.approx(expected)
    assert figures.rouge_l == pytest.approx(sum(expected) / len(expected))
    expected = [100 * each for each in ngrams.cider_d(people, captions)]
    assert figures.cider_d_each == pytest.approx(expected)
    assert figures.cider_d == pytest.approx(sum(expected) / len(expected))


def test_no_network_and_nothing_on_stdout(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    measure([[each] for each in CAPTIONS], CAPTIONS)
    assert capfd.readouterr() == ("", "")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(metrics, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="is not installed") as raised:
        metrics.check_library()
    assert raised.value.status == ExitStatus.USAGE
    assert "pip install 'pllava[eval]'" in raised.value.hint


def test_with_something_else_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pycocoevalcap.cider.cider", None)
    with pytest.raises(UsageError, match="cannot be imported") as raised:
        measure([["a"]], ["a"])
    assert "pip install 'pllava[eval]'" in raised.value.hint
