"""Which tokens are chosen, when an answer ends, and what counts as a loop."""

import itertools
import random
from pathlib import Path

import pytest
import torch

from pllava_cli.engine import load_model
from pllava_cli.errors import UsageError
from pllava_cli.model.cache import PrefixCache
from pllava_cli.model.generation import Decoding, TokenRun, is_looping, prefill
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.processing import Processor
from tests.checkpoints import write_script

Model = tuple[PllavaForConditionalGeneration, Processor]
PROMPT = [1, 270, 280, 290]
NEVER: frozenset[int] = frozenset()


def run_after(
    model: Model, decoding: Decoding, stop_ids: frozenset[int] = NEVER, ids: list[int] = PROMPT
) -> TokenRun:
    cache = PrefixCache(model[0].config.text_config.num_hidden_layers)
    with torch.inference_mode():
        prefill(model[0], cache, model[0].embed(torch.tensor([ids[:-1]])))
    return TokenRun(model[0], cache, ids[-1:], decoding, stop_ids)


def drawn(model: Model, **options: float) -> list[int]:
    return list(run_after(model, Decoding(max_new_tokens=12, **options)))


class TestChoosing:
    def test_greedy_equals_the_librarys_generate(self, tiny: Model) -> None:
        model, _ = tiny
        run = run_after(tiny, Decoding(max_new_tokens=24))
        ours = list(run)
        theirs = model.generate(
            input_ids=torch.tensor([PROMPT]), max_new_tokens=24, do_sample=False, eos_token_id=None
        )
        assert ours == theirs[0, len(PROMPT) :].tolist()[: len(ours)]
        assert len(ours) == 24 or run.stopped == "repetition"

    def test_same_seed_same_answer(self, tiny: Model) -> None:
        assert drawn(tiny, temperature=1.5, seed=3) == drawn(tiny, temperature=1.5, seed=3)

    def test_seeds_and_no_seed_differ(self, tiny: Model) -> None:
        answers = {tuple(drawn(tiny, temperature=2.0, seed=seed)) for seed in range(6)}
        assert len(answers) > 1
        unseeded = {tuple(drawn(tiny, temperature=2.0)) for _ in range(6)}
        assert len(unseeded) > 1

    def test_drawing_leaves_the_programs_random_state_alone(self, tiny: Model) -> None:
        before = torch.get_rng_state()
        drawn(tiny, temperature=1.0, seed=1)
        drawn(tiny, temperature=1.0)
        assert torch.equal(torch.get_rng_state(), before)

    def test_low_temperature_and_small_top_p_come_to_greedy(self, tiny: Model) -> None:
        greedy = drawn(tiny)
        assert drawn(tiny, temperature=1e-4, seed=0) == greedy
        assert drawn(tiny, temperature=1e-300, seed=0) == greedy
        assert drawn(tiny, temperature=5.0, top_p=1e-6, seed=0) == greedy
        assert drawn(tiny, temperature=1e30, top_p=1.0, seed=0) != greedy

    def test_draws_follow_the_models_probabilities(self, tiny: Model) -> None:
        model, _ = tiny
        with torch.inference_mode():
            wanted = model(input_ids=torch.tensor([PROMPT])).logits[0, -1].softmax(-1)
        first = [
            next(iter(run_after(tiny, Decoding(max_new_tokens=1, temperature=1.0, seed=seed))))
            for seed in range(100)
        ]
        likeliest = int(wanted.argmax())
        # 100 draws: four standard deviations of the share of the likeliest token.
        spread = 4 * float((wanted[likeliest] * (1 - wanted[likeliest]) / 100) ** 0.5)
        assert abs(first.count(likeliest) / 100 - float(wanted[likeliest])) < spread


class TestEnding:
    def test_limit(self, tiny: Model) -> None:
        for limit in (1, 3):
            run = run_after(tiny, Decoding(max_new_tokens=limit))
            assert len(list(run)) == limit
            assert run.stopped == "length"

    def test_stop_id_ends_the_answer_and_is_no_part_of_it(self, tiny: Model) -> None:
        greedy = drawn(tiny)
        stop = next(token for token in greedy[2:] if token not in greedy[:2])
        run = run_after(tiny, Decoding(max_new_tokens=12), frozenset({stop}))
        assert list(run) == greedy[: greedy.index(stop)] == run.ids
        assert run.stopped == "eos"

    def test_any_of_several_stop_ids(self, tiny: Model) -> None:
        greedy = drawn(tiny)
        assert greedy[0] != 0
        run = run_after(tiny, Decoding(max_new_tokens=12), frozenset({0, greedy[0], 447}))
        assert list(run) == []
        assert run.stopped == "eos"

    def test_loop_is_cut_off(self, tmp_path: Path) -> None:
        loaded = load_model(write_script(tmp_path / "c", ["a", "b", "c", "a"]), dtype="fp32", device="cpu")
        colon = loaded[1].tokenizer.id_of(":")
        assert colon is not None
        run = run_after(loaded, Decoding(max_new_tokens=200), ids=[1, colon])
        said = loaded[1].tokenizer.decode(list(run))
        assert run.stopped == "repetition"
        assert said == ("abc" * 20)[: len(said)]
        assert 32 <= len(said) < 40

    def test_tokens_come_as_they_are_made(self, tiny: Model) -> None:
        run = run_after(tiny, Decoding(max_new_tokens=12))
        tokens = iter(run)
        assert run.ids == []
        first = next(tokens)
        assert run.ids == [first]


class TestDecodingOptions:
    @pytest.mark.parametrize(
        "options",
        [
            {"max_new_tokens": 0},
            {"max_new_tokens": -1},
            {"temperature": -0.1},
            {"temperature": float("nan")},
            {"temperature": float("inf")},
            {"top_p": 0.0},
            {"top_p": 1.1},
            {"top_p": float("nan")},
            {"seed": -1},
            {"seed": 1 << 64},
        ],
        ids=str,
    )
    def test_what_cannot_be_meant(self, options: dict[str, float]) -> None:
        with pytest.raises(UsageError) as caught:
            Decoding(**options)  # type: ignore[arg-type]
        assert caught.value.hint.startswith("give --")
        assert "\n" not in caught.value.message


class TestLooping:
    @pytest.mark.parametrize("period", range(1, 65))
    def test_phrase_said_again_and_again(self, period: int) -> None:
        phrase = list(range(100, 100 + period))
        start = [7, 8, 9]
        needed = max(4 * period, 32)
        said = start + list(itertools.islice(itertools.cycle(phrase), needed))
        assert is_looping(said)
        assert not is_looping(said[:-1])

    def test_loop_is_found_wherever_it_is_cut(self) -> None:
        phrase = [1, 2, 3, 4, 5]
        for extra in range(10):
            assert is_looping(list(itertools.islice(itertools.cycle(phrase), 40 + extra)))

    @pytest.mark.parametrize("length", range(5))
    def test_short_answers(self, length: int) -> None:
        assert not is_looping([5] * length)

    def test_phrase_longer_than_is_looked_for(self) -> None:
        assert not is_looping(list(range(65)) * 4)

    @pytest.mark.parametrize(
        "said",
        [
            [5] * 31,
            list(range(12)) * 3,
            [token for item in range(20) for token in (900, 50 + item, 901)],
            [token for item in range(20) for token in (900, item // 2, 901, item, 902)],
            [token for verse in range(3) for token in (*range(verse * 40, verse * 40 + 30), 7, 7, 7, 8)],
            [*([1, 2, 3, 4] * 7), 5],
            [token for count in range(12) for token in [6] * count + [count + 50]],
        ],
        ids=[
            "a word 31 times",
            "a refrain three times",
            "numbered list",
            "list with pairs",
            "verses with a refrain",
            "nearly a loop, then on",
            "growing runs",
        ],
    )
    def test_lists_and_refrains_pass(self, said: list[int]) -> None:
        assert not any(is_looping(said[:end]) for end in range(1, len(said) + 1))

    def test_random_text_is_no_loop(self) -> None:
        draw = random.Random(0)
        said = [draw.randrange(50) for _ in range(400)]
        assert not any(is_looping(said[:end]) for end in range(1, len(said) + 1))
