"""The projector's start: what a head reads in a patch is said by the word's own embedding."""

import pytest
import torch
from tokenizers import Tokenizer

from pllava_cli.model.pooling import PooledProjector
from pllava_cli.shapes.scene import COLOURS, SHAPES
from recipes.tiny.sizes import TOWER
from recipes.tiny.start import start_from_heads
from recipes.tiny.tokens import id_of
from recipes.tiny.tower import Described

WIDTH = 192


@pytest.mark.parametrize(("head", "names"), [("colour", COLOURS), ("shape", SHAPES)])
def test_a_token_is_most_like_the_word_for_what_the_patch_shows(
    tokenizer: Tokenizer, head: str, names: tuple[str, ...]
) -> None:
    torch.manual_seed(0)
    heads = Described().state_dict()
    words = torch.randn(tokenizer.get_vocab_size(), WIDTH)
    projector = PooledProjector(TOWER.hidden_size, WIDTH, "gelu", (1, 1, 1))
    start_from_heads(projector, heads, words, tokenizer)
    named = words[[id_of(tokenizer, f"▁{name}") for name in names]]
    for number in range(len(names)):
        # A patch in which the head reads this one loudly: 0 stands for nothing, so one further.
        patch = torch.nn.functional.normalize(heads[f"{head}.weight"][number + 1], dim=0) * 60
        with torch.no_grad():
            token = projector(patch.expand(1, 1, 1, 1, -1)).flatten()
        likeness = torch.nn.functional.cosine_similarity(token, named)
        assert int(likeness.argmax()) == number
