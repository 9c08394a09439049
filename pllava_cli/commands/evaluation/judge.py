"""`pllava eval judge`: have a language model score the answers that a run has collected."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer
from typer import Option

from pllava_cli import inputs, settings
from pllava_cli.commands.evaluation.given import absolute
from pllava_cli.commands.options import RUN, OfflineOption, OutputFlags, in_run, takes
from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.evaluation.judging.patience import AT_ONCE, MAX_TOKENS, RETRIES, TIMEOUT_S
from pllava_cli.phrases import share
from pllava_cli.terminal import Terminal

if TYPE_CHECKING:
    from pllava_cli.evaluation.asked import Asked
    from pllava_cli.evaluation.items import Result
    from pllava_cli.evaluation.judging.judge import Judge
    from pllava_cli.evaluation.judging.session import Outcome
    from pllava_cli.evaluation.rundir import RunFolder
    from pllava_cli.recording import Recording

EXAMPLES = """
# a model on this machine, behind vLLM, llama-server, ollama or anything that speaks OpenAI's protocol
pllava eval judge vcg-7b --judge-url http://localhost:8000/v1 --judge-model llama-3.1-8b
# a served one; its key is in PLLAVA_JUDGE_KEY
pllava eval judge vcg-7b --judge-url https://example.org/v1 --judge-model some-model --at-once 16
"""

JUDGE = "Judge"
_in_judge = partial(Option, rich_help_panel=JUDGE)
MOST_SHOWN = 3
"""Reasons of a judge that does not reply which are told one by one."""
_NUMBERS: tuple[tuple[str, str, Callable[[str], float]], ...] = (
    ("at_once", "at_once", settings.integer_text),
    ("retries", "retries", settings.integer_text),
    ("max_tokens", "max_tokens", settings.integer_text),
    ("timeout_s", "timeout", settings.number_text),
)
"""Of the judge: their names, their flags, and how these are read; the judge itself knows the ranges."""


@dataclass(frozen=True)
class JudgeFlags(OutputFlags):
    """What `judge` understands."""

    variables: ClassVar[Mapping[str, str]] = {
        "PLLAVA_JUDGE_KEY": "The key for the judge.",
        "OPENAI_API_KEY": "The same, if that is not set: it goes out only over https or to this machine.",
    }

    judge_url: Annotated[
        str | None,
        _in_judge(
            metavar="URL",
            help="Where it is: an OpenAI-compatible server. Its key comes from PLLAVA_JUDGE_KEY.",
        ),
    ] = None
    judge_model: Annotated[str | None, _in_judge(metavar="NAME", help="The model's name there.")] = None
    instructions: Annotated[
        str | None,
        _in_judge(
            metavar="DIR",
            help="A folder of texts by which it is asked, in place of our own of the same names.",
        ),
    ] = None
    max_tokens: Annotated[
        str | None,
        _in_judge(
            metavar="N",
            help=f"Longest reply ({MAX_TOKENS}); one that reasons before it replies needs some hundreds.",
        ),
    ] = None
    at_once: Annotated[
        str | None, in_run(metavar="N", help=f"Answers judged at the same time ({AT_ONCE}).")
    ] = None
    timeout: Annotated[
        str | None, in_run(metavar="SECONDS", help=f"Give one up after this ({TIMEOUT_S:g}).")
    ] = None
    retries: Annotated[
        str | None,
        in_run(metavar="N", help=f"Ask so often again where line or server fail ({RETRIES})."),
    ] = None
    offline: Annotated[
        bool | None,
        OfflineOption(rich_help_panel=RUN, help="Ask nobody but a judge on this machine."),
    ] = None


@takes(JudgeFlags)
def judge(
    terminal: Terminal,
    flags: JudgeFlags,
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="Of a run of `pllava eval vcgbench` or `videoqa`.")
    ],
) -> int:
    """Have a language model score a run's answers.

    Questions, right answers and the checkpoint's answers go to URL, and nowhere else. Verdicts are kept in
    the folder as they come: the same command goes on, and what is judged is not asked again. Scores depend
    on the judge: compare only those of the same one.
    """
    path = inputs.named(folder, "the folder of a run", "name one that `pllava eval` has written")
    chosen = _judge(flags)
    from pllava_cli.batch.disk import advising

    with advising(None):
        return _have_judged(terminal, flags, path, chosen)


def _have_judged(terminal: Terminal, flags: JudgeFlags, path: Path, chosen: "Judge") -> int:
    """Ask a judge what is not judged yet, and score the run anew; returns the exit status."""
    from pllava_cli.commands.evaluation.display import status
    from pllava_cli.commands.evaluation.results import finish, show
    from pllava_cli.evaluation.answering import pipeline
    from pllava_cli.evaluation.items import NOT_ANSWERED
    from pllava_cli.evaluation.judging import session
    from pllava_cli.evaluation.judging.instructions import load_instructions
    from pllava_cli.evaluation.judging.judged_by import JudgedBy
    from pllava_cli.evaluation.judging.store import Store
    from pllava_cli.evaluation.rundir import RunFolder

    run = RunFolder(path)
    asked, recording = _answered(run)
    own = None
    if flags.instructions is not None:
        own = absolute(flags.instructions, "the folder of texts", "name one, or give none")
    instructions = load_instructions(own)
    benchmark = asked.read()
    said = pipeline.collect(benchmark, run.answers, recording)
    waiting = sum(each.error == NOT_ANSWERED for each in said)
    if waiting:
        state = "is not answered yet, and counts", "are not answered yet, and count"
        terminal.warn(f"{share(waiting, len(said), 'question', *state)} as nothing")
    with Store.open(run.verdicts) as store:
        if store.cut_bytes:
            terminal.warn(f"the last line of {run.verdicts} was torn by a kill, and is cut away")
        outcome = session.judge_all(
            asked.judge_tasks(said, instructions),
            chosen,
            store,
            lambda done, total: terminal.progress.update("judging", done, total),
        )
    terminal.pause()
    texts = {name: each.text for name, each in instructions.items()}
    run.note_judge(JudgedBy(chosen.model, chosen.max_tokens, own, texts))
    _tell(terminal, chosen.endpoint.host, outcome, run.verdicts)
    result = finish(terminal, run, asked, benchmark, said, recording, outcome.judgements)
    _tell_lost(terminal, result)
    show(terminal, run, result, as_json=flags.json)
    found = status(said, benchmark)
    return ExitStatus.SOME_FAILED if outcome.unanswered and not found else found


def _answered(run: "RunFolder") -> "tuple[Asked, Recording]":
    """Return what a run is of, and with what settings its answers were made.

    Raises:
        UsageError: It has no answers, or they need no judge.
    """
    held = run.notes()
    if held.recording is None:
        raise UsageError(
            f"{run.path} holds no answers", "run its `pllava eval` first; of a sweep, name one of its folders"
        )
    if not held.asked.is_judged:
        raise UsageError(
            f"{run.path} holds answers to {held.asked.benchmark}, which needs no judge", "see its report.html"
        )
    return held.asked, held.recording


def _tell(terminal: Terminal, host: str, outcome: "Outcome", verdicts: Path) -> None:
    """Say how the judging went, and what a reader of the scores would want to know of it."""
    terminal.note(f"{outcome.asked} judged, {outcome.known} judged before, {len(outcome.unanswered)} not")
    for reason in list(dict.fromkeys(outcome.unanswered.values()))[:MOST_SHOWN]:
        terminal.warn(f"the judge at {host} {reason}")
    elsewhere = [each.endpoint for each in outcome.judgements.values() if each.endpoint != host]
    if elsewhere:
        others = ", ".join(list(dict.fromkeys(elsewhere))[:MOST_SHOWN])
        were = share(len(elsewhere), len(outcome.judgements), "verdict", "was", "were")
        terminal.warn(
            f"{were} given before, at {others}, and not at {host}; to have all from there,"
            f" move {verdicts} away"
        )


def _tell_lost(terminal: Terminal, result: "Result") -> None:
    """Say how many answers are worth nothing for what the judge said, and not for what they say."""
    lost = sum(verdict.kind == "unparsed" for verdict in result.verdicts)
    if lost:
        count = share(lost, len(result.verdicts), "verdict", "counts", "count")
        terminal.warn(
            f"{count} as 0, as the judge's reply was not understood;"
            " a judge that reasons before it replies needs a larger --max-tokens"
        )


def _judge(flags: JudgeFlags) -> "Judge":
    """Make the judge that the flags name.

    Raises:
        UsageError: They name none, or cannot be meant.
    """
    if not flags.judge_url:
        raise UsageError("no judge is named", "say with --judge-url where it is: http://localhost:8000/v1")
    if not flags.judge_model:
        raise UsageError("the judge's model is not named", "name it with --judge-model")
    from pllava_cli.evaluation.judging.judge import Judge, key_for

    given: dict[str, Any] = {}
    for name, flag, read in _NUMBERS:
        text = getattr(flags, flag)
        try:
            given |= {} if text is None else {name: read(text)}
        except ValueError as error:
            raise UsageError(f"--{flag.replace('_', '-')}: {error}", settings.ANOTHER_VALUE) from None
    offline = settings.resolve({"offline": flags.offline}).offline
    return Judge(
        flags.judge_url, flags.judge_model, api_key=key_for(flags.judge_url), offline=offline, **given
    )
