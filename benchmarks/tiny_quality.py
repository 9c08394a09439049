"""How good the built-in checkpoint is, on clips of the world of shapes that training never saw.

Three parts: quality (captions, open questions, multiple choice), the same in other precisions, and the
paper's study in miniature: pooling, kept tokens, prompts, strength of LoRA. Each keeps its figures in a
file under benchmarks/results; the tables in RESULTS.md and the charts are made from these.

    python -m benchmarks.tiny_quality [--only quality] [--also n-frame=FOLDER]
"""

import argparse
import datetime
import json
import shlex
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.tiny_report import ALL, PARTS, Part, load_parts, write_report
from benchmarks.tiny_run import Clip, Setting, Workers, held_out, held_out_fours, workers
from benchmarks.tiny_scores import Said, figures_of
from benchmarks.tiny_study import Row, Study, compare_precisions, repeat_the_paper
from pllava_cli.errors import ExitStatus, PllavaError

HERE = Path(__file__).parent
PLACES = ("--clips-folder", "--answers", "--results", "--report")
"""Options that say where files go."""
NUMBERS = {1: "1 object", 2: "2 objects", 3: "3 objects", 4: "4 objects"}


def main() -> None:
    """Measure the parts asked for, and write tables of all parts there are."""
    options = _options()
    try:
        if options.only != "tables":
            with tempfile.TemporaryDirectory() as scratch, workers(options.jobs) as at_work:
                _measure(options, at_work, options.clips_folder or Path(scratch))
        parts = load_parts(options.results)
        write_report(parts, options.results, options.report)
    except PllavaError as error:
        print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)
        sys.exit(error.status)
    except KeyboardInterrupt:
        print("interrupted: the parts that were finished are kept", file=sys.stderr)
        sys.exit(ExitStatus.INTERRUPTED)


def _options() -> argparse.Namespace:
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--model", default="tiny", help="a name of weights.toml, or a folder")
    given.add_argument("--only", choices=(*PARTS, "tables"), help="one part, or just the tables anew")
    given.add_argument("--clips", type=_count, default=500, help="of the quality part, 1 to 3 objects")
    given.add_argument("--four-clips", type=_count, default=80, help="of the quality part, 4 objects")
    given.add_argument("--precision-clips", type=_count, default=150, help="of each precision")
    given.add_argument("--study-clips", type=_count, default=100, help="of each setting of the study")
    given.add_argument("--max-questions", type=int, default=6, help="open questions a clip")
    given.add_argument("--alpha", type=float, help="LoRA's strength, that of training; else weights.toml's")
    given.add_argument(
        "--also",
        action="append",
        default=[],
        type=_named,
        metavar="NAME=PATH",
        help="a further checkpoint for the prompts of the study, at the same alpha",
    )
    given.add_argument("--device", default="auto")
    given.add_argument("--jobs", type=_count, default=2, help="processes, of one thread each")
    given.add_argument("--clips-folder", type=Path, help="keep the clips here, written anew")
    given.add_argument("--answers", type=Path, help="folder for all that was said, as JSONL")
    given.add_argument("--results", type=Path, default=HERE / "results")
    given.add_argument("--report", type=Path, default=HERE / "RESULTS.md")
    return given.parse_args()


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _named(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not (name and equals and path) or "|" in name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, path


def _measure(options: argparse.Namespace, at_work: Workers, folder: Path) -> None:
    chosen = PARTS if options.only is None else (options.only,)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {"quality": options.clips, "precision": options.precision_clips, "study": options.study_clips}
    clips = held_out(folder, max(wanted[part] for part in chosen))
    base = Setting(options.model, device=options.device, alpha=options.alpha)
    at_work.write(clips[:1])
    at_work.probe(base, clips[0])  # a checkpoint that cannot be used is told now, not row by row
    at_work.write(clips[1:])
    asking = replace(base, max_questions=options.max_questions)
    for part in chosen:
        began, study = time.perf_counter(), Study(at_work, clips[: wanted[part]])
        if part == "quality":
            _measure_quality(study, asking, held_out_fours(folder, options.four_clips))
        elif part == "precision":
            compare_precisions(study, asking)
        else:
            repeat_the_paper(study, base, dict(options.also))
        _keep(part, study, time.perf_counter() - began, options)


def _measure_quality(study: Study, setting: Setting, fours: list[Clip]) -> None:
    study.workers.write(fours)
    loaded = study.workers.probe(setting, study.clips[0])
    study.said["quality"] = study.workers.ask(setting, [*study.clips, *fours], "quality")
    groups: dict[str, list[Said]] = {name: [] for name in NUMBERS.values()}
    for said in study.said["quality"]:
        groups[NUMBERS[len(said.truth.things)]].append(said)
    *few, (four, said_of_four) = groups.items()
    together = [said for _, group in few for said in group]
    for name, group in (*few, (ALL, together), (four, said_of_four)):
        if group:
            study.rows.append(Row("quality", name, loaded, figures_of(group)))


def _keep(part: str, study: Study, took_s: float, options: argparse.Namespace) -> None:
    machine = describe("torch", "transformers", "bitsandbytes", "opencv-python")
    today = datetime.date.today().isoformat()
    Part(part, _command(), machine, today, round(took_s, 1), study.rows, study.failed).save(options.results)
    if options.answers is not None:
        options.answers.mkdir(parents=True, exist_ok=True)
        with (options.answers / f"{part}.jsonl").open("w", encoding="utf-8") as lines:
            for setting, all_said in study.said.items():
                for said in sorted(all_said, key=lambda each: each.seed):
                    line = {"setting": setting, **asdict(said)}
                    lines.write(json.dumps(line, ensure_ascii=False) + "\n")


def _command() -> str:
    """The command that runs, without the user's folders: they change nothing of what is measured."""
    shown, given = ["python", "-m", "benchmarks.tiny_quality"], iter(sys.argv[1:])
    for argument in given:
        option, equals, _ = argument.partition("=")
        if option in PLACES:
            if not equals:
                next(given, "")
            continue
        name, equals, value = argument.rpartition("=")
        shown.append(f"{name}{equals}{Path(value).name if '/' in value else value}")
    return shlex.join(shown)


if __name__ == "__main__":
    main()
