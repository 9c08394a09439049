"""Text to token ids and back, by the checkpoint's tokenizer.json alone.

transformers 5 rebuilds the normaliser of Llama-class tokenizers from tokenizer_config.json and so
changes their ids (35 of 39 recorded prompts); the file that the checkpoint was trained with rules.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenizers import AddedToken
from tokenizers import Tokenizer as FastTokenizer

from pllava_cli.errors import CheckpointError
from pllava_cli.model.jsonfile import check_small, read_json

_BYTE_TOKEN = re.compile(r"<0x[0-9A-Fa-f]{2}>")
"""How a tokenizer with byte fallback names the token of a byte."""
_REPLACEMENT = "\ufffd"
"""What stands for bytes that are no character, or not yet."""


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn whatever the library raises into one error: bare exceptions, and panics of Rust, which are none.

    Raises:
        CheckpointError: It has raised something.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise CheckpointError(f"{what}: {error!s:.300}", "the file is damaged; get it again") from error


class Tokenizer:
    """A checkpoint's tokenizer.

    Args:
        folder: The checkpoint's folder.
        placeholder: Text that stands for a clip; it must be one token.

    Raises:
        CheckpointError: There is no tokenizer.json, it is damaged, or it lacks the placeholder.
    """

    def __init__(self, folder: Path, placeholder: str) -> None:
        file = folder / "tokenizer.json"
        if not file.exists():
            raise CheckpointError(
                f"{folder} has no tokenizer.json",
                "get the checkpoint's tokenizer.json; tokenizer.model alone is not read",
            )
        check_small(file)
        self._file = file
        with _told(f"{file} cannot be read"):
            self._tokenizer = FastTokenizer.from_file(str(file))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._add_stored_tokens(folder)
        found = self.id_of(placeholder)
        if found is None:
            raise CheckpointError(
                f"the tokenizer in {folder} does not know {placeholder}",
                "its tokenizer belongs to a language model alone; get the files of the PLLaVA checkpoint",
            )
        self.placeholder_id = found

    def _add_stored_tokens(self, folder: Path) -> None:
        """Add the tokens that only added_tokens.json knows, if they take the ids it gives them."""
        file = folder / "added_tokens.json"
        if not file.exists():
            return
        stored = read_json(file)
        for text, number in stored.items():
            if not isinstance(number, int):
                raise CheckpointError(
                    f"{file} gives {text:.60} {number!r:.40} for an id", "the file is damaged; get it again"
                )
        with _told(f"{file} cannot be used"):  # JSON knows texts that are none, as half of a surrogate pair
            new = [text for text in sorted(stored, key=stored.__getitem__) if self.id_of(text) is None]
            # At once: with each call the library goes over all that were added before.
            self._tokenizer.add_special_tokens(
                [AddedToken(text, special=True, normalized=False) for text in new]
            )
        for text in new:
            if self.id_of(text) != stored[text]:
                raise CheckpointError(
                    f"{file} gives {text:.60} the id {stored[text]!s:.40}, the tokenizer {self.id_of(text)}",
                    "tokenizer.json and added_tokens.json belong to different checkpoints",
                )

    @property
    def size(self) -> int:
        """One more than the largest id, added tokens included; ids may leave gaps."""
        ids = self._tokenizer.get_vocab(with_added_tokens=True).values()
        return 1 + max(ids, default=-1)

    def id_of(self, token: str) -> int | None:
        """The id of a token, or `None`."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def encode(self, text: str) -> list[int]:
        """Token ids of a prompt, with the start-of-text token where the tokenizer adds one."""
        with _told(f"{self._file} makes no tokens of a prompt"):
            ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def decode(self, ids: list[int]) -> str:
        """The text of token ids, without special tokens.

        Raises:
            CheckpointError: The library fails at what the file says of it.
        """
        with _told(f"{self._file} makes no text of tokens"):
            text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def is_byte(self, token_id: int) -> bool:
        """Whether a token stands for one byte, which may be no whole character."""
        return _BYTE_TOKEN.fullmatch(self._tokenizer.id_to_token(token_id) or "") is not None

    def stream(self) -> "TextStream":
        """A new incremental decoder."""
        return TextStream(self)


class TextStream:
    """Decodes ids as they come; the pieces joined are what decoding them at once gives.

    A run of byte tokens is shown once other text has ended it: one byte that does not fit turns the
    whole run into replacement characters. The library's own stream shows part of the run before
    that, and raises where the two then disagree.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._shown = ""

    def feed(self, token_id: int) -> str:
        """The text that this id completes; "" if none yet."""
        self._ids.append(token_id)
        if self._tokenizer.is_byte(token_id) or not self._tokenizer.decode([token_id]):
            return ""
        text = self._tokenizer.decode(self._ids)
        return "" if text.endswith(_REPLACEMENT) else self._news(text)

    def rest(self) -> str:
        """What was held back to the end: bytes that may never have become a character."""
        return self._news(self._tokenizer.decode(self._ids))

    def _news(self, text: str) -> str:
        news = text[len(self._shown) :]
        self._shown = text
        return news
