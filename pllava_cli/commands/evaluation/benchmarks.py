"""`pllava eval`: what a checkpoint comes to on a benchmark that lies on this machine.

Flags become a request here, and whatever can be refused is refused; `evaluating` does the work.
"""

from dataclasses import replace
from typing import Annotated

import typer

from pllava_cli import configfile, inputs
from pllava_cli.commands.evaluation.flags import (
    CaptionsFlags,
    ChoiceFlags,
    EvalFlags,
    FolderFlags,
    MvbenchFlags,
    VideoqaFlags,
)
from pllava_cli.commands.evaluation.given import absolute, check_idle, names, sampled, scoring
from pllava_cli.commands.options import takes
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.asked import VIDEOQA, Asked
from pllava_cli.terminal import Terminal

MVBENCH_EXAMPLES = """
# the whole of MVBench; stop it as you like, the same command goes on
pllava eval mvbench --data MVBench -o mvbench-7b
# scored as the published figures were; what is answered is not asked again
pllava eval mvbench --data MVBench -o mvbench-7b --scoring reference
# two tasks at several weights of the LoRA
pllava eval mvbench --data MVBench --tasks action_sequence,moving_direction --alpha 0,2,4,8,16,32 -o alphas
# a first look: ten questions of each task
pllava eval mvbench --data MVBench --sample 10
"""

MC_EXAMPLES = """
# questions of your own, an object a line: video, question, candidates, answer
pllava eval mc questions.jsonl -o mine
# what the checkpoint that comes with the tool knows of its own world
pllava shapes make shapes --count 100
pllava eval mc shapes/mvbench/json --model tiny
# frames against pooling: every combination in a folder of its own
pllava eval mc questions.jsonl --frames 8,16 --pooling-shape 8x12x12,8x6x6 -o sweep
"""

VCGBENCH_EXAMPLES = """
# the answers; a judge then scores them
pllava eval vcgbench --data VCGBench -o vcg-7b
pllava eval judge vcg-7b --judge-url http://localhost:8000/v1 --judge-model llama
"""

VIDEOQA_EXAMPLES = """
# open questions of MSVD, their words matched; a judge then scores them
pllava eval videoqa --set msvd --data VideoQA -o msvd-7b
pllava eval judge msvd-7b --judge-url http://localhost:8000/v1 --judge-model llama
"""

CAPTIONS_EXAMPLES = """
# captions of clips against those that people wrote
pllava eval captions references.json --data clips -o captions-7b
# of a file that has all splits, as MSR-VTT's, the clips of one
pllava eval captions MSRVTT_data.json --split test --data videos -o msrvtt-7b
# every segment that ActivityNet Captions describes, by itself
pllava eval captions val_1.json --data ActivityNet -o activitynet-7b
# captions that were made before
pllava eval captions references.json --captions captions.jsonl -o captions-made
"""

EXAMPLES = MVBENCH_EXAMPLES + "".join(
    each.lstrip() for each in (MC_EXAMPLES, VCGBENCH_EXAMPLES, VIDEOQA_EXAMPLES, CAPTIONS_EXAMPLES)
)


@takes(MvbenchFlags)
def mvbench(terminal: Terminal, flags: MvbenchFlags) -> int:
    """Put MVBench's multiple-choice questions to a checkpoint.

    DIR holds json/ and video/ as published; nothing is fetched. A question whose video is missing counts as
    wrong; a missing file of questions, and an entry that lacks something, is left out; both are named. The
    folder gets the answers as records, and report.md, report.html and result.json; the same command goes on
    with what is not answered yet. Exit status 3: some questions have no answer.
    """
    sample = sampled(flags)
    asked = Asked(
        "mvbench",
        absolute(flags.data, "MVBench's folder", "name it with --data"),
        tasks=tuple(names("--tasks", flags.tasks)),
        scoring=scoring(flags.scoring),
        sample=sample,
    )
    return _put(terminal, flags, asked)


@takes(ChoiceFlags)
def mc(
    terminal: Terminal,
    flags: ChoiceFlags,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Questions as .jsonl or .json, or a folder.")],
) -> int:
    """Put multiple-choice questions of your own to a checkpoint.

    A line of FILE is an object: video, question, candidates, answer (one of these, or its place from 0),
    and if need be start, end (seconds), task and id. Videos are sought from the file's own folder.
    """
    sample = sampled(flags)
    data = absolute(file, "the file of questions", "name a .jsonl or .json file")
    asked = Asked("mc", data, scoring=scoring(flags.scoring), sample=sample)
    return _put(terminal, flags, asked)


@takes(FolderFlags)
def vcgbench(terminal: Terminal, flags: FolderFlags) -> int:
    """Put Video-ChatGPT's open questions to a checkpoint.

    DIR holds Zero_Shot_QA/ and Videos/ as published. The answers are only collected here: a judge says
    what they are worth, with `pllava eval judge FOLDER`.
    """
    sample = sampled(flags)
    data = absolute(flags.data, "the benchmark's folder", "name it with --data")
    return _put(terminal, flags, Asked("vcgbench", data, sample=sample))


@takes(VideoqaFlags)
def videoqa(terminal: Terminal, flags: VideoqaFlags) -> int:
    """Put open questions about videos to a checkpoint.

    They are answered in a word or two; DIR holds the set under its published name. Without a judge words
    are matched, a figure of its own; `pllava eval judge FOLDER` asks one.
    """
    sample = sampled(flags)
    if flags.set is None:
        raise UsageError("no set of questions is named", "say --set msvd, msrvtt, activitynet or tgif")
    instruction = None
    if flags.instruction_file is not None:
        path = inputs.named(flags.instruction_file, "the instruction's file", "name one, or give none")
        instruction = configfile.read_text(path)
    asked = Asked(
        VIDEOQA + flags.set,
        absolute(flags.data, "the set's folder", "name it with --data"),
        sample=sample,
        instruction=instruction,
    )
    return _put(terminal, flags, asked)


@takes(CaptionsFlags)
def captions(
    terminal: Terminal,
    flags: CaptionsFlags,
    references: Annotated[
        str, typer.Argument(metavar="REFERENCES", help="What people say of the clips: .json, .jsonl or .txt.")
    ],
) -> int:
    """Compare captions with those that people wrote.

    REFERENCES is a list of objects, or one a line: video, captions (or caption), and if need be split; or
    the file of COCO, MSR-VTT, VATEX (its English captions), MSVD, ActivityNet Captions or Karpathy's
    splits, as published. Of ActivityNet Captions each segment is captioned by itself and compared with its
    own sentence. The clips below DIR are captioned; with --captions no checkpoint is run, and captions are
    taken from a file of records or any other that names the clips. BLEU, ROUGE-L and CIDEr-D need the extra
    `eval`.
    """
    sample = sampled(flags)
    clips = None
    if flags.data is not None or flags.captions is None:
        clips = absolute(flags.data, "the folder of the clips", "name it with --data")
    data = absolute(references, "the file of references", "name a .json, .jsonl or .txt file")
    asked = Asked("captions", data, clips, sample=sample, split=flags.split)
    if flags.captions is None:
        return _put(terminal, flags, asked)
    made = absolute(flags.captions, "the file of captions", "name a .jsonl or .json file")
    check_idle(flags)
    return _put(terminal, flags, replace(asked, made=made))


def _put(terminal: Terminal, flags: EvalFlags, asked: Asked) -> int:
    """Have it answered and scored, or answers scored that were made before; returns the exit status."""
    from pllava_cli.batch.disk import advising  # none of these for --help
    from pllava_cli.commands.evaluation import evaluating, results
    from pllava_cli.evaluation.rundir import ELSEWHERE

    with advising(ELSEWHERE):
        if asked.made is not None:
            return results.score_made(terminal, flags, asked, asked.made)
        return evaluating.run(terminal, flags, asked)
