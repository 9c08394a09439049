"""Where a conversation offers options and where it replies with a letter, and what is said at each place.

Of a whole multiple-choice item a model that reads it learns but one letter. A small one finds the way to that
letter only if it is also to tell at the end of every option what it says and which letter it has, and before
the letter of the reply what the answer says, and to look from there to the option that says the same.
"""

from dataclasses import dataclass
from string import ascii_uppercase

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from pllava_cli.training.tokens import IGNORED
from recipes.tiny.conversation import Row
from recipes.tiny.tokens import EOS, id_of


@dataclass(frozen=True)
class Said:
    """What is said of, or behind, a token of a conversation."""

    at: int
    """The token: the last of an option, or the one before the letter of a reply."""
    letter: int
    words: list[int]
    looks_at: int
    """Of a reply: where the option ends that it chooses; an option looks at itself."""
    is_option: bool


class Reader:
    """Finds options and replies in conversations."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._open, self._end = id_of(tokenizer, "("), id_of(tokenizer, EOS)
        self._letters = {id_of(tokenizer, letter) for letter in ascii_uppercase[:4]}
        words = tokenizer.get_vocab()
        self._breaks = {number for text, number in words.items() if text.endswith("\n")} | {self._end}
        self._vocabulary = tokenizer.get_vocab_size()

    def __call__(self, row: Row) -> list[Said]:
        """Options and replies in order."""
        found: list[Said] = []
        ends = dict[int, int]()
        for at, (token, label) in enumerate(zip(row.ids, row.labels, strict=True)):
            if token in self._letters and row.ids[at - 1] == self._open:
                words = self._words(row.ids, at + 2)
                if label == IGNORED:
                    ends[token] = at + 1 + len(words)
                    found.append(Said(ends[token], token, words, ends[token], is_option=True))
                else:
                    found.append(Said(at - 1, token, words, ends[token], is_option=False))
        return found

    def _words(self, ids: list[int], start: int) -> list[int]:
        end = next(at for at in range(start, len(ids)) if ids[at] in self._breaks)
        return ids[start:end]

    def tensors(self, rows: list[Row]) -> dict[str, Tensor]:
        """All options and replies of several conversations, n of them.

        Row and place [n, 2], letters [n], words [n, vocabulary] as shares, where they look [n], and whether
        it is an option [n].
        """
        found = [(number, each) for number, row in enumerate(rows) for each in self(row)]
        words = torch.zeros(len(found), self._vocabulary)
        for line, (_, each) in zip(words, found, strict=True):
            line += torch.bincount(torch.tensor(each.words), minlength=self._vocabulary)
        return {
            "said_at": torch.tensor([(number, each.at) for number, each in found]).view(-1, 2),
            "said_letter": torch.tensor([each.letter for _, each in found], dtype=torch.long),
            "said_words": functional.normalize(words, p=1, dim=1),
            "looks_at": torch.tensor([each.looks_at for _, each in found], dtype=torch.long),
            "is_option": torch.tensor([each.is_option for _, each in found], dtype=torch.bool),
        }
