"""A tokenizer of the world's own texts, trained once for all tests of a run."""

from collections.abc import Iterator

import pytest
from tokenizers import Tokenizer

from recipes.tiny.texts import corpus
from recipes.tiny.tokens import train_tokenizer
from tests.shapes.scenes import scene


@pytest.fixture(scope="session")
def tokenizer(one_thread: None) -> Iterator[Tokenizer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKENIZERS_PARALLELISM", "false")  # one core is enough for so little text
        yield train_tokenizer(corpus(map(scene, range(150))), 1000)
