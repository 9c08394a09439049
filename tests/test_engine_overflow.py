"""Numbers that leave the range of the precision: an error that says so, and of a batch only that clip's."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pllava_cli import Answer, Captioner
from pllava_cli.encoded import DecodedClip, EncodedClips
from pllava_cli.engine import Decoding
from pllava_cli.errors import CheckpointError, DeviceError
from pllava_cli.model import overflow
from pllava_cli.model.generation import LOST, choose, generator_of, warpers_of
from pllava_cli.model.visual import VisualTokens
from tests.checkpoints import Tensors, edit_weights, write_plain
from tests.clips import write_clip
from tests.engine_checks import SHORT, told

DRAWN = Decoding(max_new_tokens=8, temperature=1.2, top_p=0.9, seed=5)
HOT = Decoding(max_new_tokens=8, temperature=1.2, seed=5)


@pytest.fixture(scope="module")
def decoded(captioner: Captioner, tmp_path_factory: pytest.TempPathFactory) -> list[DecodedClip]:
    """Three clips, of which the second is seen as numbers that are none."""
    folder = tmp_path_factory.mktemp("overflow")
    found = [captioner.decode(write_clip(folder / f"{seed}.mp4", seed)) for seed in range(3)]
    width = captioner.model.config.text_config.hidden_size
    infinite = torch.full((captioner.processor.visual_tokens, width), torch.inf)
    found[1] = replace(found[1], pictures=None, visual=VisualTokens(infinite))
    return found


@pytest.fixture
def together(captioner: Captioner, decoded: list[DecodedClip]) -> EncodedClips:
    return captioner.encode_many(decoded)


@pytest.mark.parametrize("decoding", [SHORT, DRAWN, HOT], ids=["greedy", "drawn", "drawn from all"])
def test_costs_no_other_clip(
    captioner: Captioner, decoded: list[DecodedClip], together: EncodedClips, decoding: Decoding
) -> None:
    for _ in range(2):  # rows have changed places after the first time
        found = captioner.answer_each(together, dict.fromkeys(range(3)), decoding=decoding)
        assert isinstance(found[1], CheckpointError) and "overflowed" in found[1].message
        for clip in (0, 2):
            answer = found[clip]
            alone = captioner.answer(captioner.remember(decoded[clip]), decoding=decoding)
            assert isinstance(answer, Answer) and told(answer) == told(alone)


@pytest.mark.parametrize("decoding", [SHORT, DRAWN], ids=["greedy", "drawn"])
def test_is_an_error_where_an_answer_is_wanted(
    captioner: Captioner, decoded: list[DecodedClip], together: EncodedClips, decoding: Decoding
) -> None:
    with pytest.raises(CheckpointError, match="the model's numbers overflowed"):
        captioner.answer_many(together, decoding=decoding)
    encoded = captioner.remember(decoded[1])
    for _ in range(2):  # the clip is given back
        with pytest.raises(CheckpointError, match="the model's numbers overflowed"):
            captioner.answer(encoded, decoding=decoding)


def test_in_fp16_a_precision_of_longer_range_is_named(
    tmp_path: Path, decoded: list[DecodedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights are within fp16's range, and what they come to is not."""

    def enlarge(weights: Tensors) -> None:
        weights["language_model.lm_head.weight"] *= 60_000 / weights["language_model.lm_head.weight"].max()

    folder = edit_weights(write_plain(tmp_path / "large"), enlarge)
    short = Captioner(folder, dtype="fp16", device="cpu")
    with pytest.raises(DeviceError, match="overflowed in fp16") as caught:
        short.answer(short.remember(decoded[0]))
    assert caught.value.hint == "use --dtype bf16" and caught.value.status == 6
    wide = Captioner(folder, dtype="bf16", device="cpu")
    assert wide.answer(wide.remember(decoded[0]), decoding=SHORT).new_tokens
    monkeypatch.setattr(overflow, "precisions", lambda kind: ("fp16",))
    with pytest.raises(DeviceError) as caught:
        short.answer(short.remember(decoded[0]))
    assert caught.value.hint == "use --dtype fp32"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("decoding", [SHORT, DRAWN, HOT], ids=["greedy", "drawn", "drawn from all"])
def test_what_is_lost(dtype: torch.dtype, decoding: Decoding) -> None:
    logits_BV = torch.randn(6, 300, generator=torch.Generator().manual_seed(0)).to(dtype)
    logits_BV[1, 77], logits_BV[2, 77], logits_BV[3], logits_BV[4, 77] = torch.nan, torch.inf, -torch.inf, 0
    logits_BV[5] = -torch.inf
    logits_BV[5, 123] = 4  # what is ruled out is no fault
    randoms = [generator_of(decoding, torch.device("cpu")) for _ in logits_BV]
    tokens = choose(logits_BV, randoms, decoding, warpers_of(decoding))
    assert tokens[1:4] == [LOST] * 3 and tokens[5] == 123
    assert 0 <= tokens[0] < 300 and 0 <= tokens[4] < 300


def test_of_equals_the_first_is_taken() -> None:
    logits_BV = torch.zeros(2, 40_000, dtype=torch.bfloat16)
    logits_BV[0, 20_000:] = logits_BV[1, 39_000:] = 3
    assert choose(logits_BV, [], SHORT, warpers_of(SHORT)) == [20_000, 39_000]
