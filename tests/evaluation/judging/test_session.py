"""Many answers before a judge: nothing lost, nothing judged twice, whatever comes in between."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.judging.instructions import load_instructions
from pllava_cli.evaluation.judging.session import judge_all
from pllava_cli.evaluation.judging.store import Store
from pllava_cli.evaluation.scoring import vcgbench, videoqa
from tests.evaluation import answered
from tests.evaluation.judge_server import (
    Act,
    Handler,
    Server,
    breaks_off,
    hangs,
    refuses,
    says,
    says_nothing,
    sends,
    serving,
    task,
)
from tests.processes import until

ROOT = Path(__file__).parents[3]
TASKS = [task(number) for number in range(20)]


def stored(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def run(server: Server, file: Path, tasks: list = TASKS, **options: object) -> dict[str, float | None]:
    with Store.open(file) as store:
        found = judge_all(tasks, server.judge(**options), store).judgements
    return {name: each.meaning.score for name, each in found.items()}


def test_all_are_judged_and_nothing_twice(tmp_path: Path) -> None:
    file = tmp_path / "verdicts.jsonl"
    seen = []
    with serving() as server:
        with Store.open(file) as store:
            outcome = judge_all(TASKS, server.judge(), store, lambda done, of: seen.append((done, of)))
        assert set(outcome.judgements) == {each.id for each in TASKS}
        assert (outcome.asked, outcome.known, outcome.unanswered) == (20, 0, {})
        assert seen == [(done, 20) for done in range(21)]
        one = outcome.judgements["task/3"]
        assert (one.item, one.model, one.replied_model) == ("item/3", "small-judge", "small-judge-2026")
        assert one.judge == f"small-judge (small-judge-2026) at 127.0.0.1:{server.port}"
        assert (one.meaning.score, one.meaning.pred) == (4.0, "yes")

        with Store.open(file) as store:
            again = judge_all(TASKS, server.judge(), store)
        assert again.judgements == outcome.judgements and (again.asked, again.known) == (0, 20)
    assert Counter(server.prompts) == Counter(f"prompt {number}" for number in range(20))
    assert len(stored(file)) == 20


def test_another_model_judges_anew(tmp_path: Path) -> None:
    with serving() as server, Store.open(tmp_path / "v.jsonl") as store:
        judge_all(TASKS[:3], server.judge(), store)
        judge = server.judge()
        judge.model = "other-judge"
        outcome = judge_all(TASKS[:3], judge, store)
    assert {each.model for each in outcome.judgements.values()} == {"other-judge"}
    assert len(server.asked) == 6


def test_a_prompt_that_several_share_is_asked_once(tmp_path: Path) -> None:
    same = [task(number, "the same") for number in range(5)]
    with serving() as server:
        assert run(server, tmp_path / "v.jsonl", same) == {each.id: 4.0 for each in same}
    assert len(server.asked) == 1 and len(stored(tmp_path / "v.jsonl")) == 1


def test_what_was_judged_and_what_was_not_is_counted_alike(tmp_path: Path) -> None:
    """In answers, however many of them share a prompt."""
    same, others = [task(number, "the same") for number in range(5)], [task(5), task(6)]
    with serving() as server, Store.open(tmp_path / "v.jsonl") as store:
        first = judge_all(same, server.judge(), store)
        assert (first.asked, first.known, len(first.unanswered)) == (5, 0, 0)
        server.usual = refuses(400, "too long")
        second = judge_all([*same, *others, task(7, others[0].messages[0]["content"])], server.judge(), store)
        assert (second.asked, second.known, len(second.unanswered)) == (0, 5, 3)


TROUBLES: list[Act] = [
    refuses(429, "slow down", Retry_After="0"),
    sends(500, b"oops"),
    breaks_off(),
    says_nothing,
    sends(200, b'{"choices": [{"mess'),
    refuses(503, "busy"),
]


def test_nothing_is_lost_to_a_bad_line(tmp_path: Path) -> None:
    with serving() as server:
        server.planned = TROUBLES * 3
        assert run(server, tmp_path / "v.jsonl", retries=20) == {each.id: 4.0 for each in TASKS}
    assert len(server.asked) == len(TASKS) + len(TROUBLES) * 3
    assert len(stored(tmp_path / "v.jsonl")) == len(TASKS)


@pytest.mark.parametrize("content", ["I would say four.", "", '{"score": 9}', None])
def test_a_reply_that_is_not_understood_is_kept_and_not_asked_for_again(
    content: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "v.jsonl"
    with serving(says(content)) as server:
        assert run(server, file, TASKS[:2]) == {"task/0": None, "task/1": None}
        run(server, file, TASKS[:2])
    assert len(server.asked) == 2
    assert [(each["reply"], each["score"], each["pred"]) for each in stored(file)] == [
        (content or "", None, None)
    ] * 2


def test_one_question_that_the_judge_does_not_take_ends_nothing(tmp_path: Path) -> None:
    file = tmp_path / "v.jsonl"
    with serving() as server:
        server.by_prompt["prompt 4"] = refuses(400, "the prompt is too long")
        for times in (1, 2):
            with Store.open(file) as store:
                outcome = judge_all(TASKS, server.judge(at_once=1), store)
            assert set(outcome.judgements) == {each.id for each in TASKS} - {"task/4"}
            assert list(outcome.unanswered) == ["task/4"] and "too long" in outcome.unanswered["task/4"]
            assert Counter(server.prompts)["prompt 4"] == times
    assert len(server.asked) == 21


REFUSALS = [
    refuses(400, "content filter"),
    refuses(413, "too long"),
    refuses(422, "not this one"),
    sends(200, b'{"error": "moderated"}'),
    says(7),
]


@pytest.mark.parametrize("at_once", [1, 4])
def test_refused_prompts_end_no_run_that_has_replies(at_once: int, tmp_path: Path) -> None:
    """However many there are, and though a second run asks nothing else."""
    file = tmp_path / "v.jsonl"
    with serving() as server:
        server.by_prompt = {f"prompt {number}": act for number, act in enumerate(REFUSALS, 5)}
        for asked in (20 - len(REFUSALS), 0):
            with Store.open(file) as store:
                outcome = judge_all(TASKS, server.judge(at_once=at_once), store)
            assert (outcome.asked, len(outcome.judgements)) == (asked, 15)
            assert set(outcome.unanswered) == {f"task/{number}" for number in range(5, 10)}
        with Store.open(file) as store:
            left = judge_all(TASKS[5:10], server.judge(at_once=at_once), store)
        assert not left.judgements and len(left.unanswered) == 5


def test_a_server_that_refuses_all_ends_the_run_though_another_model_has_replied(tmp_path: Path) -> None:
    with serving() as server, Store.open(tmp_path / "v.jsonl") as store:
        judge_all(TASKS[:3], server.judge(), store)
        server.usual, judge = refuses(400, "unknown parameter"), server.judge(at_once=1)
        judge.model = "other-judge"
        with pytest.raises(UsageError, match="unknown parameter"):
            judge_all(TASKS, judge, store)
    assert len(server.asked) == 6


@pytest.mark.parametrize("act", [refuses(401, "expired"), refuses(429, "slow down"), sends(500, b"")])
def test_what_is_no_refusal_of_a_prompt_ends_a_run_that_has_replies(act: Act, tmp_path: Path) -> None:
    with serving() as server, Store.open(tmp_path / "v.jsonl") as store:
        judge_all(TASKS[:3], server.judge(), store)
        server.usual = act
        with pytest.raises(UsageError):
            judge_all(TASKS, server.judge(at_once=1, retries=0), store)
    assert len(server.asked) <= 6


@pytest.mark.parametrize("at_once", [1, 8])
@pytest.mark.parametrize(
    ("act", "words"),
    [
        (refuses(401, "no such key"), "asks for a key"),
        (refuses(404, "no such model"), "no model small-judge"),
        (refuses(400, "unknown parameter"), "unknown parameter"),
        (sends(200, b"<html>Sign in</html>", "text/html"), "web page"),
        (sends(500, b""), "status 500"),
        (refuses(429, "quota used up"), "quota used up"),
        (breaks_off(), "broke off"),
    ],
)
def test_what_is_the_same_for_all_ends_the_run_soon(
    act: Act, words: str, at_once: int, tmp_path: Path
) -> None:
    with serving(act) as server, pytest.raises(UsageError, match=words) as caught:
        run(server, tmp_path / "v.jsonl", at_once=at_once, retries=1)
    assert caught.value.hint and len(server.asked) <= 2 * (at_once + 3)
    assert stored(tmp_path / "v.jsonl") == []


def test_a_single_question_that_cannot_be_put_is_an_error(tmp_path: Path) -> None:
    with serving(refuses(400, "bad")) as server, pytest.raises(UsageError, match="bad"):
        run(server, tmp_path / "v.jsonl", TASKS[:1])


def test_a_judge_that_goes_away_leaves_what_it_said(tmp_path: Path) -> None:
    file = tmp_path / "v.jsonl"
    with serving() as server:
        server.planned = [says('{"score": 4}')] * 6
        server.usual = sends(500, b"")
        with pytest.raises(UsageError, match="status 500"):
            run(server, file, at_once=2, retries=0)
        assert len(stored(file)) == 6
        server.usual, before = says('{"score": 4}'), len(server.asked)
        assert run(server, file) == {each.id: 4.0 for each in TASKS}
        assert len(server.asked) - before == 14


def test_replies_under_way_are_kept_when_another_question_ends_the_run(tmp_path: Path) -> None:
    file = tmp_path / "v.jsonl"

    def late(handler: Handler) -> None:
        until(lambda: "prompt 1" in server.prompts)
        server.end.wait(0.1)
        says('{"score": 4}')(handler)

    with serving() as server:
        server.by_prompt = {"prompt 0": late, "prompt 1": refuses(401, "expired")}
        with pytest.raises(UsageError, match="expired"):
            run(server, file, TASKS[:2], at_once=2)
    assert [each["item"] for each in stored(file)] == ["item/0"]


def test_ctrl_c_keeps_what_has_come_and_asks_only_for_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "v.jsonl"

    def interrupts(handler: Handler) -> None:
        until(lambda: len(stored(file)) == 7 and len(server.prompts) == 7 + 4)
        os.kill(os.getpid(), signal.SIGINT)
        hangs(handler)

    with serving() as server:
        server.planned = [says('{"score": 4}')] * 7 + [interrupts]
        server.usual = hangs
        with pytest.raises(KeyboardInterrupt):
            run(server, file, at_once=4)
        assert len(stored(file)) == 7
        server.usual = says('{"score": 4}')
        done = {each["item"] for each in stored(file)}
        before = len(server.prompts)
        assert run(server, file) == {each.id: 4.0 for each in TASKS}
        asked_again = server.prompts[before:]
    assert len(asked_again) == 13
    assert {f"item/{prompt.split()[1]}" for prompt in asked_again} == {each.item for each in TASKS} - done


KILLED = """
import sys
from pathlib import Path
from pllava_cli.evaluation.judging.judge import Judge
from pllava_cli.evaluation.judging.session import judge_all
from pllava_cli.evaluation.judging.store import Store
from tests.evaluation.judge_server import task

with Store.open(Path(sys.argv[2])) as store:
    judge_all([task(n) for n in range(60)], Judge(sys.argv[1], "small-judge", at_once=4), store)
"""


def test_killed_and_gone_on_with_nothing_is_lost_or_there_twice(tmp_path: Path) -> None:
    file = tmp_path / "v.jsonl"
    tasks = [task(number) for number in range(60)]

    def slowly(handler: Handler) -> None:
        server.end.wait(0.02)
        says('{"score": 4}')(handler)

    with serving(slowly) as server:
        for count in (5, 25):
            run_apart = subprocess.Popen([sys.executable, "-c", KILLED, server.url, str(file)], cwd=ROOT)
            until(lambda count=count: file.exists() and file.read_bytes().count(b"\n") >= count, run_apart)
            run_apart.kill()
            run_apart.wait()
        assert run(server, file, tasks) == {each.id: 4.0 for each in tasks}
    assert sorted(str(each["item"]) for each in stored(file)) == sorted(each.item for each in tasks)
    assert len(server.asked) <= len(tasks) + 2 * 4


def test_a_reply_that_comes_after_the_end_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "v.jsonl"

    def stops(done: int, of: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with serving() as server:
        server.by_prompt["prompt 1"] = lambda handler: (server.end.wait(), says("late")(handler))[0]
        store = Store.open(file)
        with pytest.raises(KeyboardInterrupt):
            judge_all(TASKS[:2], server.judge(at_once=2), store, stops)
        store.close()
        before = file.read_bytes()
        server.end.set()
    assert file.read_bytes() == before and len(stored(file)) == 1


def test_two_judges_do_not_write_to_one_file(tmp_path: Path) -> None:
    with Store.open(tmp_path / "v.jsonl"), pytest.raises(UsageError, match="another run") as caught:
        Store.open(tmp_path / "v.jsonl")
    assert caught.value.hint == "wait for it to end"


def test_a_disk_that_is_full_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with serving() as server, Store.open(tmp_path / "v.jsonl") as store:
        monkeypatch.setattr("pllava_cli.batch.disk.os.write", full)
        with pytest.raises(UsageError, match="no space left"):
            judge_all(TASKS, server.judge(), store)
        monkeypatch.undo()
    assert stored(tmp_path / "v.jsonl") == []


def test_nothing_to_judge_asks_nobody(tmp_path: Path) -> None:
    with serving() as server:
        assert run(server, tmp_path / "v.jsonl", []) == {}
    assert not server.asked


def test_a_benchmark_is_judged_by_its_own_instructions(tmp_path: Path) -> None:
    with serving() as server, Store.open(tmp_path / "v.jsonl") as store:
        _, said = answered.vcgbench()
        graded = judge_all(vcgbench.tasks(said, load_instructions()), server.judge(), store)
        assert len(graded.judgements) == 3 + 1 + 1
        _, said = answered.videoqa()
        decided = judge_all(videoqa.tasks(said, load_instructions()), server.judge(), store)
        assert len(decided.judgements) == 2
    assert {each.dimension for each in decided.judgements.values()} == {"videoqa"}
