"""A share of the visual tokens: the engine's promises hold for it as they do for all of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pllava_cli import Captioner, EncodedClip
from pllava_cli.encoded import DecodedClip
from pllava_cli.errors import UsageError
from tests.checkpoints import adapter_tensors, write_adapter, write_plain
from tests.clips import write_clip
from tests.engine_checks import EXACT, QUESTIONS, SHORT, same, state, told


@pytest.fixture(scope="module")
def half(checkpoint: Path) -> Captioner:
    """The checkpoint with half of its 4 x 2 x 2 tokens; nothing of it may be changed."""
    return Captioner(checkpoint, keep_tokens=0.5, **EXACT)


@pytest.fixture(scope="module")
def decoded(half: Captioner, tmp_path_factory: pytest.TempPathFactory) -> list[DecodedClip]:
    folder = tmp_path_factory.mktemp("kept")
    return [half.decode(write_clip(folder / f"{seed}.mp4", seed)) for seed in range(3)]


class TestShare:
    def test_of_all_changes_nothing(self, checkpoint: Path, clip: Path, encoded: EncodedClip) -> None:
        found = Captioner(checkpoint, keep_tokens=1, **EXACT).encode(clip)
        assert found.prefix_ids == encoded.prefix_ids
        assert same(state(found), state(encoded))

    @pytest.mark.parametrize(("share", "left"), [(0.5, 8), (0.3, 5), (0.25, 4), (0.99, 16)])
    def test_leaves_as_many_tokens(self, share: float, left: int, checkpoint: Path, clip: Path) -> None:
        captioner = Captioner(checkpoint, keep_tokens=share, **EXACT)
        encoded = captioner.encode(clip)
        assert (captioner.keep_tokens, captioner.pooling_shape) == (share, (4, 2, 2))
        assert encoded.visual_tokens == encoded.prefix_ids.count(400) == left
        assert encoded.cache.length == len(encoded.prefix_ids)
        assert captioner.answer(encoded, decoding=SHORT).new_tokens > 0

    def test_makes_room_for_more_clips(self, half: Captioner, captioner: Captioner) -> None:
        assert half.kv_bytes_per_clip() < captioner.kv_bytes_per_clip()

    @pytest.mark.parametrize("share", [0, -0.5, 1.5, float("nan")])
    def test_that_is_none(self, share: float, checkpoint: Path) -> None:
        with pytest.raises(UsageError, match="visual tokens cannot be left") as caught:
            Captioner(checkpoint, keep_tokens=share, **EXACT)
        assert "--keep-tokens above 0" in caught.value.hint

    def test_that_is_less_than_a_frame(self, checkpoint: Path) -> None:
        with pytest.raises(UsageError, match="is 3, fewer than the 2x2 of one frame") as caught:
            Captioner(checkpoint, keep_tokens=0.2, **EXACT)
        assert "--keep-tokens 0.25 or more" in caught.value.hint
        assert Captioner(checkpoint, keep_tokens=0.25, **EXACT).processor.visual_tokens == 4

    def test_takes_the_positions_of_all(self, checkpoint: Path, half: Captioner) -> None:
        with pytest.raises(UsageError, match="4100 visual tokens"):
            Captioner(checkpoint, pooling_shape=(4, 25, 41), keep_tokens=0.3, **EXACT)
        limit = r"need \d+ \+ 16 positions of 4096"
        room = 4096 - len(half._prompts.check("", "", 16)) - 8 - 16
        half.check_question("a" * (room - 1), decoding=SHORT)
        with pytest.raises(UsageError, match=limit):
            half.check_question("a" * (room + 2), decoding=SHORT)


class TestAnswers:
    def test_depend_on_the_share(
        self, captioner: Captioner, half: Captioner, encoded: EncodedClip, clip: Path
    ) -> None:
        fewer = half.encode(clip)
        assert [half.answer(fewer, q, decoding=SHORT).text for q in QUESTIONS] != [
            captioner.answer(encoded, q, decoding=SHORT).text for q in QUESTIONS
        ]

    def test_encode_once_ask_often(self, half: Captioner, clip: Path) -> None:
        encoded = half.encode(clip)
        before = state(encoded)
        once = [told(half.answer(encoded, q, decoding=SHORT)) for q in QUESTIONS]
        assert same(state(encoded), before)
        assert once == [told(half.answer(half.encode(clip), q, decoding=SHORT)) for q in QUESTIONS]

    @torch.inference_mode()
    def test_are_those_of_the_whole_prompt_without_a_cache(
        self, half: Captioner, decoded: list[DecodedClip]
    ) -> None:
        """Numbered from 0, as the prompt with all tokens would be."""
        question, model = "What moves?", half.model
        visual, widths = model.model.encode_clips(half.processor.preprocess.normalise(decoded[0].pictures))
        assert widths is not None
        ids = half._prompts.check(question, "", 16)
        head = ids.index(400)
        starts = (widths[0].cumsum(0) - widths[0]).tolist()
        length, new = len(ids), []
        while len(new) < 16:
            after = range(head + 16, head + 16 + len(ids) - head - 8)
            hidden = model.model.language_model(
                inputs_embeds=model.embed(torch.tensor([ids]), visual.flatten(0, 1)),
                position_ids=torch.tensor([[*range(head), *(head + each for each in starts), *after]]),
                attention_mask=torch.ones(1, len(ids), dtype=torch.int64),
            ).last_hidden_state
            new.append(int(model.lm_head(hidden[0, -1]).argmax()))
            ids = [*ids, new[-1]]
        assert len(ids) == length + 16
        new = new[: new.index(2)] if 2 in new else new
        answer = half.answer(half.remember(decoded[0]), question, decoding=SHORT)
        assert answer.text == half.processor.tokenizer.decode(new).strip()
        assert answer.new_tokens == len(new)

    def test_of_a_batch_are_those_of_one_at_a_time(self, half: Captioner, decoded: list[DecodedClip]) -> None:
        together = half.encode_many(decoded)
        apart = [half.remember(each) for each in decoded]
        for question in QUESTIONS:
            wanted = [told(half.answer(each, question, decoding=SHORT)) for each in apart]
            assert [told(a) for a in half.answer_many(together, question, decoding=SHORT)] == wanted
        assert len({told(half.answer(each, decoding=SHORT)) for each in apart}) > 1

    @pytest.mark.parametrize(
        "options", [{"quantize": "4bit", "dtype": "bf16"}, {"quantize": "8bit"}], ids=str
    )
    def test_of_quantised_weights(self, options: dict[str, Any], checkpoint: Path, clip: Path) -> None:
        captioner = Captioner(checkpoint, keep_tokens=0.5, **EXACT | options)
        encoded = captioner.encode(clip)
        assert encoded.visual_tokens == 8
        assert captioner.answer(encoded, decoding=SHORT).new_tokens > 0

    def test_of_an_adapter_over_its_base(self, tmp_path: Path, clip: Path) -> None:
        base = write_plain(tmp_path / "plain")
        adapter = write_adapter(tmp_path / "adapter", base, adapter_tensors(3))
        captioner = Captioner(adapter, base=base, keep_tokens=0.5, **EXACT)
        assert captioner.encode(clip).visual_tokens == 8


class TestPositions:
    """Where what is left stands: as far from each other and from the text as if nothing were merged."""

    @torch.inference_mode()
    def test_distances_stay(self, half: Captioner) -> None:
        ids = torch.tensor([[7, 400, 400, 400, 8, 9], [400, 400, 7, 8, 400, 9]])
        widths = torch.tensor([1, 4, 3, 2, 2, 4])
        assert half.model.positions(ids, widths).tolist() == [[-5, -4, -3, 1, 4, 5], [-5, -3, -1, 0, 1, 5]]

    def test_library_is_refused_what_it_would_number_wrongly(self, half: Captioner) -> None:
        inputs = half.processor(np.zeros((4, 48, 64, 3), np.uint8), "USER: <image> ASSISTANT:")
        with pytest.raises(ValueError, match="only Captioner"):
            half.model.generate(**inputs, max_new_tokens=2)

    def test_still_clip_is_remembered_as_its_first_frame(
        self, half: Captioner, decoded: list[DecodedClip]
    ) -> None:
        still = np.repeat(decoded[0].pictures[:1], 4, axis=0)
        network = half.model.model
        network.config.keep_tokens = 0.25
        try:
            tokens, widths = network.encode_clips(half.processor.preprocess.normalise(still))
            network.config.keep_tokens = 1.0
            whole, _ = network.encode_clips(half.processor.preprocess.normalise(still))
        finally:
            network.config.keep_tokens = 0.5
        assert widths is not None and widths.tolist() == [[1, 1, 1, 13]]
        assert torch.allclose(tokens, whole[:, :4], atol=1e-5)
