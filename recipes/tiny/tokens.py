"""The tokenizer: byte-pair encoding of the world's own texts, with the special tokens of Llama's.

Words that the world knows are one token each; anything else falls back to pieces and bytes, so that
no text is refused.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

BOS, EOS, IMAGE, PAD = "<s>", "</s>", "<image>", "<pad>"
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
_WORDS = r"▁?[A-Za-z]+|▁?[0-9]|▁?[^A-Za-z0-9▁]|▁"
"""What a token may span: a word or a sign, with the space before it."""


def train_tokenizer(texts: Iterator[str], vocabulary: int) -> Tokenizer:
    """Train on texts; no more than so many tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_WORDS), "isolated")
    special = ["<unk>", BOS, EOS, *_BYTES]
    trainer = trainers.BpeTrainer(vocab_size=vocabulary - 2, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return _with_special(tokenizer)


def _with_special(trained: Tokenizer) -> Tokenizer:
    """Give a trained tokenizer its special tokens, what it puts before a text, and its decoder."""
    state = json.loads(trained.to_str())
    # The trainer calls the bytes special; to the decoder they must be plain.
    state["added_tokens"] = [each for each in state["added_tokens"] if each["content"] not in _BYTES]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in (IMAGE, PAD)])
    bos = tokenizer.token_to_id(BOS)
    tokenizer.post_processor = processors.TemplateProcessing(f"{BOS} $A", special_tokens=[(BOS, bos)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def id_of(tokenizer: Tokenizer, token: str) -> int:
    """Id of a token.

    Raises:
        ValueError: The tokenizer has no such token.
    """
    found = tokenizer.token_to_id(token)
    if found is None:
        raise ValueError(f"the tokenizer has no token {token}")
    return found


def special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """Ids of the special tokens, under the names that a language model's configuration gives them."""
    tokens = {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}
    return {name: id_of(tokenizer, token) for name, token in tokens.items()}


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json."""
    tokenizer.save(str(folder / "tokenizer.json"))
