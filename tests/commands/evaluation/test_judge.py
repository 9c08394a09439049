"""`pllava eval judge` against a server of our own, on answers that the stand-in gave."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.results import Run
from tests.commands.standin import CLIPS, Stage, result, rows
from tests.evaluation.judge_server import Server, says, sends, serving

MODEL = "m"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(says("{'pred': 'yes', 'score': 4}", MODEL)) as server:
        yield server


@pytest.fixture
def questions(short_clips: Path, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The benchmark's folder: two clips, of each a question a file."""
    clips, files = (
        tmp_path / "vcg" / "Videos" / "Benchmarking",
        tmp_path / "vcg" / "Zero_Shot_QA" / "Benchmarking_QA",
    )
    shutil.copytree(short_clips, clips)
    files.mkdir(parents=True)
    for name in ("generic", "temporal", "consistency"):
        keys = ("Q1", "Q2") if name == "consistency" else ("Q",)
        entries = [
            {"video_name": f"clip{clip}", "A": "Blue."}
            | {key: f"{name} {key} of clip {clip}?" for key in keys}
            for clip in range(CLIPS)
        ]
        (files / f"{name}_qa.json").write_text(json.dumps(entries))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "vcg"


ANSWER = ("vcgbench", "--data", "vcg", "-o", "out")


def judged(server: Server, *more: str) -> tuple[str, ...]:
    return ("judge", "out", "--judge-url", server.url, "--judge-model", MODEL, *more)


def test_answers_are_judged_once_and_the_report_is_made_anew(
    run: Run,
    stage: Stage,
    server: Server,
) -> None:
    collected = run(*ANSWER)
    assert collected.status == 0, collected.err
    assert "pllava eval judge out" in collected.err and rows(collected.out)["GROUP"][-1] == "UNJUDGED"
    done = run(*judged(server))
    assert done.status == 0 and "count as 0" not in done.err, done.err
    assert "mean over judged answers     4.00" in done.out and len(server.asked) == 5 * CLIPS
    assert result()["settings"]["judge's instructions"].startswith("our own")
    assert "judge: m at 127.0.0.1" in result()["scoring"] and result()["settings"]["checkpoint"] == "stand-in"
    server.usual = says("{'score': 1}", MODEL)
    again = run(*judged(server))
    assert again.out == done.out and len(server.asked) == 5 * CLIPS and "10 judged before" in again.err
    assert len(stage.opened) == 1


def test_a_run_that_is_scored_anew_keeps_its_verdicts(run: Run, stage: Stage, server: Server) -> None:
    assert run(*ANSWER).status == 0
    first = run(*judged(server, "--max-tokens", "100"))
    assert first.status == 0 and server.asked[0]["max_tokens"] == 100
    again = run(*ANSWER)
    assert again.out == first.out and "judge: m" in result()["scoring"]
    assert "to have the answers judged" not in again.err, "they are"
    stage.engine.says = "Something else."
    redone = run(*ANSWER, "--redo", "--max-new-tokens", "9")
    assert redone.status == 0 and rows(redone.out)["GROUP"][-1] == "UNJUDGED", "those were of other answers"
    assert "to have the answers judged" in redone.err
    assert len(server.asked) == 5 * CLIPS


def test_of_a_run_that_was_stopped_what_is_answered_is_judged(run: Run, server: Server) -> None:
    assert run(*ANSWER).status == 0
    answers = Path("out/answers.jsonl")
    answers.write_text("".join(answers.read_text().splitlines(keepends=True)[:4]))
    done = run(*judged(server))
    assert done.status == 3 and "4 of 8 questions are not answered yet, and count as nothing" in done.err
    assert {each["value"] for each in result()["groups"]} == {4.0}
    assert sum(each["kind"] == "unjudged" for each in result()["verdicts"]) == 5


def test_every_score_tells_how_the_judge_was_asked(run: Run, server: Server) -> None:
    assert run(*ANSWER).status == 0
    server.usual = says("I cannot say.", MODEL)
    done = run(*judged(server))
    assert done.status == 0 and "10 of 10 verdicts count as 0" in done.err and "--max-tokens" in done.err
    kept = [json.loads(line) for line in Path("out/verdicts.jsonl").read_text().splitlines()]
    found = result()
    assert {each["kind"] for each in found["verdicts"]} == {"unparsed"}
    assert sorted(each["key"] for each in found["verdicts"]) == sorted(each["key"] for each in kept)
    told = found["settings"]
    assert told["judge"] == "m" and told["judge at"] == server.url[7:-3]
    assert told["judge's instructions"].startswith("our own (sha256 ")
    assert told["judge's decoding"] == "temperature 0, 64 tokens at most"
    assert run(*ANSWER).status == 0 and result() == found
    server.usual = says("{'score': 4}", MODEL)
    assert run(*judged(server, "--instructions", str(texts()), "--max-tokens", "9")).status == 0
    other = result()["settings"]
    assert other["judge's instructions"].startswith(str(Path("texts").absolute()))
    assert other["judge's instructions"][-25:] != told["judge's instructions"][-25:]
    assert "9 tokens" in other["judge's decoding"] and {each["score"] for each in result()["verdicts"]} == {
        4.0
    }


def texts(words: str = "") -> Path:
    """A folder with a text of one's own."""
    folder = Path("texts")
    folder.mkdir(exist_ok=True)
    (folder / "temporal.txt").write_text(f"{words}Judge {{prediction}}: {{question}} It is {{answer}}.")
    return folder


@pytest.mark.parametrize("becomes", ["gone", "edited", "spoilt"])
def test_verdicts_are_found_whatever_becomes_of_the_instructions(
    run: Run, server: Server, becomes: str
) -> None:
    assert run(*ANSWER).status == 0
    first = run(*judged(server, "--instructions", str(texts())))
    assert first.status == 0, first.err
    if becomes == "gone":
        shutil.rmtree("texts")
    elif becomes == "edited":
        texts("In other words. ")
    else:
        Path("texts/temporal.txt").write_bytes(b"\xff")
    again = run(*ANSWER)
    assert again.status == 0 and again.out == first.out, again.err
    assert len(server.asked) == 5 * CLIPS


@pytest.mark.parametrize("kept", [None, {}, {"temporal": "x"}])
def test_without_the_instructions_answers_are_scored_without_verdicts(
    run: Run, server: Server, kept: dict[str, str] | None
) -> None:
    """Of a folder that does not hold the texts."""
    assert run(*ANSWER).status == 0
    first = run(*judged(server, "--instructions", str(texts())))
    noted = json.loads(Path("out/asked.json").read_text())
    noted["judged_by"]["texts"] = kept
    Path("out/asked.json").write_text(json.dumps(noted))
    shutil.rmtree("texts")
    done = run(*ANSWER)
    assert done.status == 0 and rows(done.out)["GROUP"][-1] == "UNJUDGED", done.err
    assert "verdicts are left out" in done.err and "they are kept" in done.err
    again = run(*judged(server, "--instructions", str(texts())))
    assert again.status == 0 and again.out == first.out and len(server.asked) == 5 * CLIPS


def test_verdicts_of_another_server_are_told_once(run: Run, server: Server) -> None:
    assert run(*ANSWER).status == 0
    assert "were given before" not in run(*judged(server)).err
    kept = Path("out/verdicts.jsonl")
    port = server.url[7:-3]
    kept.write_text(kept.read_text().replace(port, "far.example:443", 3))
    again = run(*judged(server))
    assert again.status == 0 and again.err.count("were given before") == 1, again.err
    assert f"3 of 10 verdicts were given before, at far.example:443, and not at {port}" in again.err
    assert "more than one judge" in " ".join(result()["notes"])


def test_a_judge_that_refuses_some_prompts_does_so_again(run: Run, server: Server) -> None:
    assert run(*ANSWER).status == 0
    assert run(*judged(server)).status == 0
    kept = Path("out/verdicts.jsonl")
    kept.write_text("".join(kept.read_text().splitlines(keepends=True)[:6]))
    server.usual = sends(400)
    for _ in range(2):
        done = run(*judged(server))
        assert done.status == 3 and "0 judged, 6 judged before, 4 not" in done.err, done.err
        assert sum(each["kind"] == "unjudged" for each in result()["verdicts"]) == 4


@pytest.fixture
def open_questions(questions: Path) -> None:
    folder = Path("qa/MSVD_Zero_Shot_QA")
    shutil.copytree(questions / "Videos" / "Benchmarking", folder / "videos")
    for name, key in (("test_q", "question"), ("test_a", "answer")):
        entries = [{"video_name": f"clip{clip}", key: f"{key} {clip}"} for clip in range(CLIPS)]
        (folder / f"{name}.json").write_text(json.dumps(entries))


def test_open_questions_tell_scores_to_two_digits_and_how_they_are_put(
    run: Run, server: Server, open_questions: None
) -> None:
    words = ("videoqa", "--set", "msvd", "--data", "qa", "-o", "out")
    collected = run(*words)
    assert collected.status == 0, collected.err
    ours = result()["settings"]["question's instruction"]
    assert ours.startswith("our own (sha256 ") and "judge" not in result()["settings"]
    server.usual = says("{'pred': 'yes', 'score': 3.25}", MODEL)
    done = run(*judged(server))
    assert done.status == 0 and "mean score  3.25   from 0 to 5" in done.out, done.err
    assert "accuracy    100.0" in done.out and all(each["key"] for each in result()["verdicts"])
    Path("say.txt").write_text("Say it: {question}")
    other = run(*words[:-1], "other", "--instruction-file", "say.txt")
    assert other.status == 0
    theirs = result("other")["settings"]["question's instruction"]
    assert theirs.startswith("of a file (sha256 ") and theirs[-17:] != ours[-17:]


def test_a_pair_is_drawn_whole(run: Run, stage: Stage) -> None:
    assert run(*ANSWER, "--sample", "1").status == 0
    ids = {each["id"] for each in result()["verdicts"]}
    assert len(stage.engine.asked) == 4 and len(ids) == 3


def test_a_judge_that_does_not_reply_leaves_the_run_as_it_was(run: Run, server: Server) -> None:
    assert run(*ANSWER).status == 0
    before = Path("out/result.json").read_bytes()
    server.usual = sends(401)
    refused = run(*judged(server))
    assert refused.status == 2 and "asks for a key" in refused.err
    assert Path("out/result.json").read_bytes() == before


def test_what_is_in_the_way_is_told_without_options_that_there_are_not(run: Run, server: Server) -> None:
    assert run(*ANSWER).status == 0
    for name in ("verdicts.jsonl", "report.md", "answers.jsonl"):
        file, kept = Path("out", name), Path("kept")
        if file.exists():
            file.rename(kept)
        file.mkdir()
        refused = run(*judged(server))
        assert refused.status == 2 and f"out/{name} is a directory" in refused.err, refused.err
        hint = refused.err.partition("hint: ")[2]
        assert hint and " -o" not in hint and ".jsonl" not in hint
        file.rmdir()
        if kept.exists():
            kept.rename(file)


def test_settings_that_are_none_are_a_broken_note(run: Run, server: Server) -> None:
    assert run(*ANSWER).status == 0
    note = Path("out/asked.json")
    content = note.read_text()
    for part, name, value in (
        ("model", "alpha", "4"),
        ("model", "alpha", 10**400),
        ("model", "base", 7),
        ("model", "num_frames", True),
        ("model", "pooling_shape", [1, 2]),
        ("turn", "answer_start", ["x"]),
        ("decoding", "max_new_tokens", None),
    ):
        plain = json.loads(content)
        plain["recording"][part][name] = value
        note.write_text(json.dumps(plain))
        refused = run(*judged(server))
        assert refused.status == 2 and "has something else in them" in refused.err, (name, refused.err)
    assert not server.asked


def test_a_name_that_no_folder_can_have_is_told(run: Run, server: Server) -> None:
    refused = run("judge", "x" * 300, *judged(server)[2:])
    assert refused.status == 2 and "file name too long" in refused.err


def test_only_what_the_run_has_answered_is_judged(run: Run, server: Server) -> None:
    Path("vcg/Videos/Benchmarking/clip0.mp4").write_bytes(b"")
    assert run(*ANSWER).status == 3
    done = run(*judged(server))
    assert done.status == 3 and len(server.asked) == 5


def test_numbers_are_checked_before_anything_is_sent(run: Run, server: Server) -> None:
    assert run(*ANSWER).status == 0
    for flag, value in (
        ("--retries", "many"),
        ("--at-once", "0"),
        ("--timeout", "-1"),
        ("--max-tokens", "0"),
    ):
        refused = run(*judged(server, flag, value))
        assert refused.status == 2 and len(refused.err.splitlines()) == 2
    assert server.asked == []
