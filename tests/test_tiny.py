"""The built-in checkpoint on the example clips, through the command and through Python: true captions."""

import json
import os
import subprocess
import sys
from math import prod
from pathlib import Path

import pytest

from pllava_cli import Captioner, multiple_choice, registry
from pllava_cli.loader import check_checkpoint
from pllava_cli.model.empty import shapes_of
from pllava_cli.model.footprint import footprint
from pllava_cli.model.quantization import quantizable
from pllava_cli.shapes.captions import facts, read
from pllava_cli.shapes.casting import cast

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
TOLD = [json.loads(line) for line in (EXAMPLES / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
CLIPS = [EXAMPLES / each["video"] for each in TOLD]
TRUTH = [facts(cast(each["seed"])) for each in TOLD]


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner("tiny", dtype="fp32")


def pllava(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the command, where no request to any network can be answered."""
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    return subprocess.run(
        [sys.executable, "-m", "pllava_cli", *map(str, words)],
        cwd=ROOT,
        env=os.environ | nowhere | {"PLLAVA_MODEL": "tiny"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_figures_of_the_registry_are_those_of_its_files() -> None:
    entry = registry.find("tiny")
    checked = check_checkpoint("tiny", alpha=None, base=None, num_frames=None, pooling_shape=None)
    model = checked.prepared.model
    shapes = shapes_of(model)
    packable = {f"{name}.weight" for name in quantizable(model)}
    need = footprint(model.config, shapes, packable)
    assert entry.parameters == sum(prod(shape) for shape in shapes.values())
    assert (entry.num_frames, entry.pooling_shape) == (model.config.num_frames, model.config.pooling_shape)
    weights = sum(file.stat().st_size for file in checked.folder.glob("*.safetensors"))
    assert entry.size_gb == round(weights / 1e9, 3)
    for column, quantize in (("bf16", "none"), ("int8", "8bit"), ("nf4", "4bit")):
        assert entry.memory_gb[column] == round(need.bytes("bf16", quantize) / 1e9, 3)


def test_the_examples_are_what_their_captions_say() -> None:
    assert [read(each["caption"]) for each in TOLD] == TRUTH


@pytest.mark.parametrize(("clip", "truth"), zip(CLIPS, TRUTH, strict=True), ids=[each.stem for each in CLIPS])
def test_captions_are_true(captioner: Captioner, clip: Path, truth: object) -> None:
    assert read(captioner.caption(clip).text) == truth


def test_questions_are_answered_rightly(captioner: Captioner) -> None:
    clip = captioner.encode(EXAMPLES / "red-circle.mp4")
    asked = {
        "Which way does the red circle move?": "To the right.",
        "What shape is the red object?": "A circle.",
        "Is the red circle small or large?": "Small.",
        "Which object moves?": "The red circle.",
        "What does the cyan star do?": "It shrinks.",
        "How many objects are there?": "Two.",
        "What colour is the background?": "White.",
        "Is there a yellow star?": "No.",
    }
    assert {question: captioner.answer(clip, question).text for question in asked} == asked


@pytest.mark.parametrize("first", range(4))
def test_the_right_option_is_chosen_wherever_it_stands(captioner: Captioner, first: int) -> None:
    clip = captioner.encode(EXAMPLES / "red-circle.mp4")
    ways = ("To the left.", "To the right.", "Up.", "Down.")
    options = ways[first:] + ways[:first]
    question = multiple_choice.as_prompt("Which way does the red circle move?", options)
    assert captioner.answer(clip, question).text == multiple_choice.as_reply(options, "To the right.")


@pytest.mark.parametrize("quantize", ["4bit", "8bit"])
def test_quantised_captions_are_true(quantize: str) -> None:
    captioner = Captioner("tiny", quantize=quantize)
    said = [read(captioner.caption(clip).text) for clip in CLIPS[:2]]
    assert said == TRUTH[:2]


def test_without_lora_the_model_says_something_else(captioner: Captioner) -> None:
    assert captioner.alpha == 64
    image_model = Captioner("tiny", dtype="fp32", alpha=0)
    without = [image_model.caption(clip).text for clip in CLIPS]
    assert without != [captioner.caption(clip).text for clip in CLIPS]


def test_pieces_joined_are_the_answer(captioner: Captioner) -> None:
    clip = captioner.encode(CLIPS[0])
    stream = captioner.stream(clip)
    pieces = list(stream)
    assert len(pieces) > 5 and "".join(pieces) == stream.answer.text == captioner.answer(clip).text


def test_the_command_captions_all_examples_and_says_what_tiny_knows() -> None:
    done = pllava("caption", *CLIPS, "--dtype", "fp32")
    assert done.returncode == 0, done.stderr
    assert [read(line) for line in done.stdout.splitlines()] == TRUTH
    assert "knows only the built-in world of coloured shapes" in done.stderr
    assert "coloured shapes" not in done.stdout


def test_records_hold_the_text_that_is_shown() -> None:
    shown = pllava("ask", CLIPS[0], "Which way does the red circle move?", "--dtype", "fp32", "--quiet")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "To the right.\n", "")
    record = json.loads(pllava("caption", CLIPS[0], "--json", "--dtype", "fp32").stdout)
    assert read(record["text"]) == TRUTH[0]
    assert record["model"]["name"] == "tiny" and record["model"]["alpha"] == 64
