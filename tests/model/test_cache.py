"""The key-value cache: what it holds, what it forgets, and that it changes nothing in the numbers."""

import pytest
import torch

from pllava_cli.model.cache import PrefixCache
from pllava_cli.model.generation import prefill, step
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.processing import Processor

Model = tuple[PllavaForConditionalGeneration, Processor]
IDS = [1, 270, 280, 290, 300, 310, 320, 330, 340]


def filled(model: PllavaForConditionalGeneration, ids: list[int]) -> PrefixCache:
    cache = PrefixCache(model.config.text_config.num_hidden_layers)
    with torch.inference_mode():
        prefill(model, cache, model.embed(torch.tensor([ids])))
    return cache


@torch.inference_mode()
def uncached(model: PllavaForConditionalGeneration, ids: list[int]) -> torch.Tensor:
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def contents(cache: PrefixCache, length: int) -> list[torch.Tensor]:
    return [part[:, :, :length].clone() for layer in cache.layers for part in (layer.keys, layer.values)]


@pytest.mark.parametrize("known", [1, 4, 8])
def test_cached_logits_equal_uncached_ones(known: int, tiny: Model) -> None:
    model, _ = tiny
    whole = uncached(model, IDS)
    cache = filled(model, IDS[:known])
    assert cache.length == known
    for position in range(known, len(IDS)):
        (logits,) = step(model, cache, [[IDS[position]]])
        assert torch.allclose(logits, whole[position], atol=1e-4)
    assert cache.length == len(IDS)


def test_several_ids_at_once_equal_one_after_another(tiny: Model) -> None:
    model, _ = tiny
    assert torch.allclose(step(model, filled(model, IDS[:4]), [IDS[4:]]), uncached(model, IDS)[-1], atol=1e-4)


def test_rewinding_forgets(tiny: Model) -> None:
    model, _ = tiny
    cache = filled(model, IDS[:4])
    before = contents(cache, 4)
    step(model, cache, [[400, 400, 401, 402]])
    cache.rewind(4)
    assert cache.length == 4
    assert all(torch.equal(a, b) for a, b in zip(before, contents(cache, 4), strict=True))
    assert torch.allclose(step(model, cache, [IDS[4:]]), uncached(model, IDS)[-1], atol=1e-4)


def test_copy_goes_its_own_way(tiny: Model) -> None:
    model, _ = tiny
    cache = filled(model, IDS[:6])
    twin = cache.copy(4)
    assert (twin.length, cache.length) == (4, 6)
    before = contents(cache, 6)
    assert torch.allclose(step(model, twin, [IDS[4:]]), uncached(model, IDS)[-1], atol=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(before, contents(cache, 6), strict=True))
    assert torch.allclose(step(model, cache, [IDS[6:]]), uncached(model, IDS)[-1], atol=1e-4)
    kept = contents(twin, 4)
    assert all(torch.equal(a[:, :, :4], b) for a, b in zip(before, kept, strict=True))


def test_reserved_room_is_used_and_no_more_is_taken(tiny: Model) -> None:
    model, _ = tiny
    cache = filled(model, IDS[:4])
    cache.reserve(600)
    size = cache.nbytes
    config = model.config.text_config
    width = config.hidden_size // config.num_attention_heads
    assert size == 2 * config.num_hidden_layers * 600 * config.num_key_value_heads * width * 4
    places = [layer.keys.data_ptr() for layer in cache.layers]
    for _ in range(20):
        step(model, cache, [[300]])
    assert cache.length == 24
    assert cache.nbytes == size
    assert [layer.keys.data_ptr() for layer in cache.layers] == places


def test_growing_past_the_room_keeps_what_was_there(tiny: Model) -> None:
    model, _ = tiny
    cache = filled(model, IDS[:4])
    before = contents(cache, 4)
    size = cache.nbytes
    many = IDS[4:] + [300] * 600
    assert torch.allclose(step(model, cache, [many]), uncached(model, IDS[:4] + many)[-1], atol=1e-4)
    assert cache.nbytes > size
    assert all(torch.equal(a, b) for a, b in zip(before, contents(cache, 4), strict=True))


def test_empty_cache_has_no_length_and_no_bytes() -> None:
    cache = PrefixCache(3)
    cache.reserve(100)
    assert (cache.length, cache.nbytes, cache.get_seq_length()) == (0, 0, 0)


def test_steps_use_no_attention_that_prepares_for_every_length(tiny: Model) -> None:
    model, _ = tiny
    found: list[bool] = []

    def look(*_: object) -> None:
        found.append(torch.backends.cuda.cudnn_sdp_enabled())

    handle = model.lm_head.register_forward_hook(look)
    before = torch.backends.cuda.cudnn_sdp_enabled()
    try:
        torch.backends.cuda.enable_cudnn_sdp(True)
        step(model, filled(model, IDS[:4]), [IDS[4:]])
        assert torch.backends.cuda.cudnn_sdp_enabled(), "it is the program's own setting"
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
        handle.remove()
    assert found == [False]
