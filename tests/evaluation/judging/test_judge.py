"""The judge's client: what it asks, what it understands, when it tries again, what it says of failures."""

import json
from threading import Event, Thread

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.judging.endpoint import Answer, Endpoint
from pllava_cli.evaluation.judging.judge import Judge, Stopped, key_for
from pllava_cli.evaluation.judging.responses import MAX_PAUSE_S, Failure, retry_after_s
from tests.evaluation.judge_server import (
    Act,
    breaks_off,
    hangs,
    refuses,
    says,
    says_nothing,
    sends,
    serving,
    task,
)
from tests.processes import PATIENCE_S, until

LOCAL = "http://127.0.0.1:1/v1"


def ask(judge: Judge, number: int = 0) -> str:
    return judge.ask(task(number), Event()).text


def test_what_is_asked() -> None:
    with serving() as server:
        judge = server.judge(api_key="k-1")
        reply = judge.ask(task(7), Event())
    assert server.asked == [
        {
            "model": "small-judge",
            "messages": [{"role": "user", "content": "prompt 7"}],
            "temperature": 0,
            "max_tokens": 64,
        }
    ]
    assert server.headers[0]["authorization"] == "Bearer k-1"
    assert server.headers[0]["content-type"] == "application/json"
    assert (reply.text, reply.model) == ('{"pred": "yes", "score": 4}', "small-judge-2026")
    assert "k-1" not in repr(judge) + repr(vars(judge.endpoint))


def test_without_a_key_none_is_sent() -> None:
    with serving() as server:
        ask(server.judge())
    assert "authorization" not in server.headers[0]


def test_the_key_of_a_prompt_holds_all_that_its_reply_depends_on() -> None:
    judge = Judge(LOCAL, "a")
    keys = [
        judge.key(task(0)),
        judge.key(task(1)),
        Judge(LOCAL, "b").key(task(0)),
        Judge(LOCAL, "a", max_tokens=512).key(task(0)),
    ]
    assert len(set(keys)) == len(keys) and all(len(each) == 64 for each in keys)
    assert keys[0] == judge.key(task(9, "prompt 0")) == Judge("http://h/v1", "a", retries=1).key(task(0))


RETRIED: dict[str, Act] = {
    "patience, in seconds": refuses(429, "slow down", Retry_After="0"),
    "patience, by date": refuses(429, "slow down", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"),
    "patience": refuses(429, "slow down"),
    "error": sends(500, b"<html>oops", "text/html"),
    "gateway": sends(502, b""),
    "overload": refuses(503, "loading model", Retry_After="0"),
    "break": breaks_off(),
    "silence": says_nothing,
    "half an answer": sends(200, b'{"choices": [{"message": {"con'),
    "no choices": sends(200, b'{"choices": []}'),
    "an error in its stead": sends(200, b'{"error": {"message": "upstream is busy"}}'),
}


@pytest.mark.parametrize("name", RETRIED)
def test_what_passes_is_tried_again(name: str) -> None:
    with serving() as server:
        server.planned = [RETRIED[name]]
        assert ask(server.judge()) == '{"pred": "yes", "score": 4}'
    assert len(server.asked) == 2 and server.asked[0] == server.asked[1]


def test_what_is_slow_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    post = Endpoint.post
    with serving() as server:

        def impatient_at_first(
            self: Endpoint, body: bytes, headers: dict[str, str], timeout_s: float
        ) -> Answer:
            try:
                return post(self, body, headers, timeout_s if server.asked else 0.2)
            finally:
                until(lambda: server.asked)

        server.planned = [hangs]
        monkeypatch.setattr(Endpoint, "post", impatient_at_first)
        assert ask(server.judge())
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("act", "reason", "tries", "is_final"),
    [
        (refuses(401, "no such key"), "refuses the key (status 401): no such key", 1, True),
        (refuses(403, "not for you"), "refuses the key (status 403): not for you", 1, True),
        (refuses(404, "no model"), "knows no such address, or no model small-judge (status 404)", 1, True),
        (sends(405, b"no"), "knows no such address", 1, True),
        (sends(307, b"", Location="http://127.0.0.1:1/"), "sends to another address (status 307)", 1, True),
        (refuses(400, "temperature: bad"), "refuses the request (status 400): temperature: bad", 1, False),
        (sends(413, b'{"detail": "too long"}'), "refuses the request (status 413): too long", 1, False),
        (sends(200, b"<html>Sign in</html>", "text/html; charset=x"), "sends a web page in place", 1, False),
        (sends(200, b"Ollama is running", "text/plain"), "sends something else (text/plain)", 1, False),
        (sends(200, b"x" * ((1 << 20) + 1)), "answers at too great a length", 1, False),
        (sends(200, b'{"models": []}'), "sends no reply in its answer", 2, False),
        (sends(200, b"[1, 2]"), "sends no reply", 2, False),
        (says(["no", "text"]), "sends a reply that is no text", 2, False),
        (sends(200, b'{"a": ' + b"[" * 100_000), "sends an answer that is not whole", 4, False),
        (refuses(429, "quota"), "asks for patience (status 429): quota", 4, False),
        (sends(500, b""), "is out of order (status 500)", 4, False),
        (breaks_off(), "does not answer: the answer broke off", 4, False),
        (hangs, "does not answer within 0.2 s", 3, False),
    ],
)
def test_what_does_not_pass_is_told(act: Act, reason: str, tries: int, is_final: bool) -> None:
    with serving(act) as server:
        judge = server.judge(retries=3, api_key="k-1", timeout_s=0.2 if act is hangs else PATIENCE_S)
        with pytest.raises(Failure) as caught:
            ask(judge)
        told = judge.failed(caught.value)
        until(lambda: len(server.asked) >= tries)  # it may come to one only after the judge has given it up
    assert caught.value.reason.startswith(reason) and caught.value.is_final is is_final
    assert len(server.asked) == tries
    assert told.message.startswith(f"the judge at 127.0.0.1:{server.port} ") and told.hint
    assert "\n" not in told.message + told.hint


def test_a_judge_that_wants_a_key() -> None:
    with serving(refuses(401, "who are you?")) as server, pytest.raises(Failure) as caught:
        ask(server.judge())
    assert "asks for a key" in caught.value.reason and "PLLAVA_JUDGE_KEY" in caught.value.hint


def test_a_judge_that_cannot_be_reached_is_given_up_soon() -> None:
    judge = Judge(LOCAL, "a", backoff_s=0.0)
    with pytest.raises(Failure, match="cannot be reached: connection refused") as caught:
        ask(judge)
    assert caught.value.is_final


def test_a_server_that_repeats_the_key_does_not_make_it_known() -> None:
    with serving() as server:
        judge = server.judge(api_key="k-secret", retries=0)
        server.planned = [
            refuses(401, "wrong key k-secret"),
            says("your key is k-secret", model="k-secret"),
        ]
        with pytest.raises(Failure) as caught:
            ask(judge)
        reply = judge.ask(task(0), Event())
    assert "k-secret" not in caught.value.reason + judge.failed(caught.value).message
    assert "k-secret" not in reply.text + reply.model and "***" in reply.text


def test_a_stand_in_for_a_key_may_occur_in_a_reply() -> None:
    with serving(says("the box is EMPTY")) as server:
        assert ask(server.judge(api_key="EMPTY")) == "the box is EMPTY"


def test_an_empty_reply_is_a_reply() -> None:
    with serving() as server:
        server.planned = [says(""), says(None)]
        judge = server.judge()
        assert [ask(judge), ask(judge)] == ["", ""]
    assert len(server.asked) == 2


def test_of_a_long_reply_the_end_is_kept() -> None:
    with serving(says("thinking " * 10_000 + '{"score": 2}')) as server:
        reply = ask(server.judge())
    assert len(reply) == 4096 and reply.endswith('{"score": 2}')


def test_waiting_ends_when_the_run_does() -> None:
    with serving(refuses(429, "later", Retry_After="50")) as server:
        stop = Event()
        judge = server.judge()
        outcome: list[BaseException] = []

        def run() -> None:
            try:
                judge.ask(task(0), stop)
            except BaseException as error:
                outcome.append(error)

        thread = Thread(target=run, daemon=True)
        thread.start()
        until(lambda: len(server.asked) == 1)
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive() and isinstance(outcome[0], Stopped)


NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


@pytest.mark.parametrize(
    ("value", "pause_s"),
    [
        (None, None),
        ("", None),
        ("3", 3.0),
        (" 0.25 ", 0.25),
        ("-5", 0.0),
        ("100000", MAX_PAUSE_S),
        ("1e999", MAX_PAUSE_S),
        ("nan", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:20 GMT", 20.0),
        ("Wed, 21 Oct 2015 07:00:00 GMT", 0.0),
        ("Wed, 21 Oct 2099 07:28:00 GMT", MAX_PAUSE_S),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("٣", None),
    ],
)
def test_retry_after(value: str | None, pause_s: float | None) -> None:
    assert retry_after_s(value, NOW) == pause_s


def test_offline_only_this_machine_is_asked() -> None:
    assert Judge("http://localhost:8000", "a", offline=True).endpoint.is_loopback
    with pytest.raises(UsageError, match="not on this machine"):
        Judge("http://192.168.0.2:8000/v1", "a", offline=True)


@pytest.mark.parametrize(
    "options",
    [
        {"model": " "},
        {"at_once": 0},
        {"at_once": 1000},
        {"timeout_s": 0.0},
        {"timeout_s": float("nan")},
        {"retries": -1},
        {"max_tokens": 0},
        {"api_key": "two\nlines"},
        {"api_key": "schlüssel"},
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        Judge(LOCAL, **{"model": "a"} | options)  # type: ignore[arg-type]
    assert caught.value.hint
    assert str(options.get("api_key", "never")) not in caught.value.message


@pytest.mark.parametrize(
    ("url", "environment", "key"),
    [
        (LOCAL, {}, ""),
        (LOCAL, {"OPENAI_API_KEY": "o"}, "o"),
        ("https://api.openai.com/v1", {"OPENAI_API_KEY": " o\n"}, "o"),
        ("https://h/v1", {"OPENAI_API_KEY": "o", "PLLAVA_JUDGE_KEY": "p"}, "p"),
        ("http://192.168.0.2/v1", {"OPENAI_API_KEY": "o"}, ""),
        ("http://192.168.0.2/v1", {"OPENAI_API_KEY": "o", "PLLAVA_JUDGE_KEY": "p"}, "p"),
    ],
)
def test_which_key_goes_where(url: str, environment: dict[str, str], key: str) -> None:
    assert key_for(url, environment) == key


def test_a_body_is_plain_ascii_whatever_was_said() -> None:
    odd = task(0, 'a "quote"\u2028\x1b[31m 🙂')
    body = Judge(LOCAL, "a").body(odd)
    assert body.isascii() and json.loads(body)["messages"][0]["content"] == 'a "quote"\u2028\x1b[31m 🙂'
