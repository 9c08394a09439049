"""Captions as rows of words, for metrics that count words.

What counts as a word moves every figure, so the way is named beside them. The field's is the Penn
Treebank tokeniser in Java, in lower case and without punctuation; without Java the same rules are
followed here for what captions are mostly made of.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pllava_cli.evaluation.scoring import java, letters
from pllava_cli.evaluation.scoring.java import JavaError
from pllava_cli.phrases import counted

Way = Literal["auto", "ptb", "plain"]
"""`ptb`: Java's; `plain`: ours; `auto`: Java's if it works, else ours."""

PTB = "Penn Treebank tokeniser of Stanford CoreNLP 3.4.1 (Java), lower case, without punctuation"
PLAIN = "pllava's own tokeniser after the Penn Treebank's rules, lower case, without punctuation"

PUNCTUATION = frozenset(
    "'' ' `` ` -LRB- -RRB- -LCB- -RCB- . ? ! , : - -- ... ;".split()  # noqa: SIM905 (a list is hard to read)
)
"""What is dropped after Java.

Kept verbatim: tylin/coco-caption, pycocoevalcap/tokenizer/ptbtokenizer.py. Brackets stand there in
capitals and come out of the tokeniser in lower case, so they stay, in every figure of the field.
"""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN = re.compile(
    r"\d+(?:[.,:/]\d+)+"  # 3.5, 1,000, 10:30
    r"|(?<!\w)(?:[^\W\d_]\.){2,}"  # u.s.
    r"|[^\W_]+?(?=n't(?!\w))|n't(?!\w)"  # do|n't
    r"|'(?:s|re|ve|ll|d|m)(?!\w)"  # man|'s
    r"|\w+(?:-\w+)*"  # t-shirt
)


@dataclass(frozen=True)
class Tokenised:
    """Texts as words."""

    way: str
    """What made them so, in words for a report."""
    texts: list[str]
    """Words with a space between them; empty if a text holds none."""


def tokenise(texts: Sequence[str], way: Way = "auto") -> Tokenised:
    """Cut texts into words, all in the same way.

    Raises:
        JavaError: The way is `ptb`, and Java or the library is not there or fails.
    """
    lines = [_one_line(text) for text in texts]
    if way != "plain":
        try:
            return Tokenised(PTB, _by_java(lines))
        except JavaError as error:
            if way == "ptb":
                raise
            return Tokenised(f"{PLAIN}, because {error}", [_plain(line) for line in lines])
    return Tokenised(PLAIN, [_plain(line) for line in lines])


def _one_line(text: str) -> str:
    """Leave nothing that ends a line or cannot be written."""
    return " ".join(_CONTROL.sub(" ", text.encode("utf-8", "replace").decode()).split())


def _plain(line: str) -> str:
    return " ".join(letters.find(_PLAIN, line.lower().replace("’", "'")))


def _by_java(lines: Sequence[str]) -> list[str]:
    """Tokenise lines; those without text are kept from Java, and stay so."""
    said = [line for line in lines if line]
    words = java.command(
        java.TOKENIZER_JAR, ["-cp"], ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    )
    if not said:
        return [""] * len(lines)
    rows = java.run(words, "\n".join(said) + "\n").removesuffix("\n").split("\n")
    if len(rows) != len(said):
        raise JavaError(f"the tokeniser returned {counted(len(rows), 'line')} for {len(said)}")
    found = iter(rows)
    return [_without_punctuation(next(found)) if line else "" for line in lines]


def _without_punctuation(row: str) -> str:
    # A number like 1 1/2 is one word, with a space of its own kind in it.
    return " ".join(word for word in row.split(" ") if word and word not in PUNCTUATION)
