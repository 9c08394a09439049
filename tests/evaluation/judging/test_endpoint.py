"""A judge's address, and what of an exchange with it may go wrong."""

import socket
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from threading import Thread
from types import SimpleNamespace
from urllib.request import OpenerDirector

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.judging import endpoint
from pllava_cli.evaluation.judging.endpoint import Endpoint, ExchangeError
from tests.evaluation.judge_server import (
    breaks_off,
    drips,
    drips_in,
    hangs,
    in_pieces,
    says,
    says_nothing,
    sends,
    serving,
)
from tests.processes import PATIENCE_S

BODY = b'{"messages": [{"role": "user", "content": "?"}]}'


@pytest.mark.parametrize(
    ("text", "url", "host"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1/chat/completions", "localhost:8000"),
        ("http://localhost:8000/", "http://localhost:8000/v1/chat/completions", "localhost:8000"),
        ("http://localhost:11434/v1/", "http://localhost:11434/v1/chat/completions", "localhost:11434"),
        ("https://h/a/v1/chat/completions", "https://h/a/v1/chat/completions", "h"),
        ("https://H.example/a?version=3#x", "https://H.example/a/chat/completions?version=3", "h.example"),
        (" http://[::1]:80/v1 ", "http://[::1]:80/v1/chat/completions", "[::1]:80"),
    ],
)
def test_an_address_may_be_given_in_part(text: str, url: str, host: str) -> None:
    found = Endpoint.parse(text)
    assert (found.url, found.host) == (url, host)
    assert "version" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:8000",
        "ftp://localhost/v1",
        "file:///etc/passwd",
        "http://",
        "http://:80/v1",
        "http://[::1/v1",
        "http://h:port/v1",
        "http://h:99999/v1",
        "http://h:0/v1",
        "http://a b/v1",
        "http://h/v1\r\nX-Evil: 1",
        "http://h\x00/v1",
        "http://h\udcff/v1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="address") as caught:
        Endpoint.parse(text)
    assert caught.value.hint


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        Endpoint.parse("https://me:s3cret@h/v1")
    assert "PLLAVA_JUDGE_KEY" in caught.value.hint
    assert "s3cret" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("localhost", True),
        ("judge.localhost", True),
        ("127.0.0.1", True),
        ("127.9.8.7", True),
        ("0.0.0.0", True),
        ("[::1]", True),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("192.168.0.2", False),
        ("api.openai.com", False),
    ],
)
def test_what_is_on_this_machine(host: str, is_here: bool) -> None:
    assert Endpoint.parse(f"http://{host}:8000/v1").is_loopback is is_here


def test_a_request_arrives_and_its_answer_comes_back() -> None:
    with serving(says("fine")) as server:
        answer = Endpoint.parse(server.url).post(BODY, {"X-Own": "1"}, PATIENCE_S)
    assert answer.status == 200 and b"fine" in answer.body
    assert answer.headers["content-type"] == "application/json"
    assert server.paths == ["/v1/chat/completions"] and server.headers[0]["x-own"] == "1"


def test_an_answer_may_come_in_pieces() -> None:
    with serving(in_pieces(b'{"choices": []}')) as server:
        assert Endpoint.parse(server.url).post(BODY, {}, PATIENCE_S).body == b'{"choices": []}'


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_no_proxy_is_asked_for_this_machine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: nobody is there
    monkeypatch.delenv("no_proxy", raising=False)
    with serving() as server:
        assert Endpoint.parse(server.url).post(BODY, {}, PATIENCE_S).status == 200


def test_a_proxy_is_asked_for_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    with serving() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert Endpoint.parse("http://judge.example/v1").post(BODY, {}, PATIENCE_S).status == 200
    assert proxy.paths == ["http://judge.example/v1/chat/completions"]


def test_statuses_are_answers_too_and_redirects_are_not_followed() -> None:
    with serving() as server, serving() as other:
        server.planned = [
            sends(500, b"oh"),
            sends(307, b"", Location=other.url),
            sends(302, Location=other.url),
        ]
        found = [
            Endpoint.parse(server.url).post(BODY, {"Authorization": "Bearer k"}, PATIENCE_S) for _ in range(3)
        ]
    assert [each.status for each in found] == [500, 307, 302] and found[0].body == b"oh"
    assert len(server.asked) == 3 and not other.asked


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        (breaks_off(), "broken", "broke off"),
        (in_pieces(b'{"choices": []}', is_whole=False), "broken", "broke off"),
        (says_nothing, "broken", "broke off"),
        (hangs, "slow", "in time"),
        (drips, "slow", "in time"),
        (drips_in(b"HTTP", b"/"), "slow", "in time"),
        (drips_in(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "slow", "in time"),
        (drips_in(b"HTTP/1.1 200 OK\r\nServer: ", b"x"), "slow", "in time"),
        (drips_in(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"), "slow", "in time"),
        (sends(200, b"x" * (endpoint.MAX_ANSWER_BYTES + 1)), "huge", "1 MiB"),
    ],
    ids=[
        "broken off",
        "broken off in pieces",
        "no answer",
        "hangs",
        "drips",
        "drips its status",
        "puts off without end",
        "drips its head",
        "drips the length of a piece",
        "huge",
    ],
)
def test_an_answer_that_is_not_whole_is_none(act: object, kind: str, words: str) -> None:
    with serving(act) as server:  # type: ignore[arg-type]
        with pytest.raises(ExchangeError, match=words) as caught:
            Endpoint.parse(server.url).post(BODY, {}, 0.2 if kind == "slow" else PATIENCE_S)
        assert caught.value.kind == kind


def test_connecting_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where encryption or a proxy takes long, each step within its own limit."""
    connect = HTTPConnection.connect

    def late(self: HTTPConnection) -> None:
        connect(self)
        monkeypatch.setattr(endpoint.time, "monotonic", lambda: now + 6.0)

    now = time.monotonic()
    monkeypatch.setattr(endpoint, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(HTTPConnection, "connect", late)
    with serving() as server, pytest.raises(ExchangeError, match="in time") as caught:
        Endpoint.parse(server.url).post(BODY, {}, 5.0)
    assert caught.value.kind == "slow"


def test_nobody_is_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = Endpoint.parse(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        with pytest.raises(ExchangeError, match="refused") as caught:
            address.post(BODY, {}, PATIENCE_S)
    assert caught.value.kind == "unreachable"


@pytest.mark.parametrize("host", ["judge.invalid", "a" * 64 + ".localhost", "a..b.localhost"])
def test_a_name_that_leads_nowhere(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    if host.endswith(".invalid"):  # the others are no names, which is found out before anyone is asked
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(ExchangeError) as caught:
        Endpoint.parse(f"http://{host}/v1").post(BODY, {}, PATIENCE_S)
    assert caught.value.kind == "unreachable"


def say(listening: socket.socket, answer: bytes) -> None:
    """Answer so whatever the next connection says, and hear it out: to close before would break it off."""

    def speak() -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.recv(1)
            connection.sendall(answer)
            while connection.recv(1 << 16):
                pass

    Thread(target=speak, daemon=True).start()


def test_what_answers_without_encryption_is_not_trusted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        say(listening, b"HTTP/1.1 200 OK\r\n\r\n")
        with pytest.raises(ExchangeError) as caught:
            Endpoint.parse(f"https://127.0.0.1:{listening.getsockname()[1]}/v1").post(BODY, {}, PATIENCE_S)
    assert caught.value.kind == "untrusted" and "encrypted" in str(caught.value)


def test_a_server_that_speaks_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        say(listening, b"\x00\xff\x01 not http at all\r\n" * 3)
        with pytest.raises(ExchangeError) as caught:
            Endpoint.parse(f"http://127.0.0.1:{listening.getsockname()[1]}/v1").post(BODY, {}, PATIENCE_S)
    assert caught.value.kind == "broken" and "\n" not in str(caught.value)


def test_an_error_that_says_nothing_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise HTTPException

    monkeypatch.setattr(OpenerDirector, "open", breaks)
    with pytest.raises(ExchangeError, match=r"broke off: HTTPException$"):
        Endpoint.parse("http://localhost:1").post(BODY, {}, 1.0)
