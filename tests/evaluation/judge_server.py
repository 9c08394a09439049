"""A judge on this machine: what an OpenAI-compatible server says, and what servers and lines do wrong."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

from pllava_cli.evaluation.judging.judge import Judge
from pllava_cli.evaluation.judging.judgements import Task
from tests.processes import PATIENCE_S

Act = Callable[["Handler"], None]
"""What the server does with a request."""


@dataclass
class Server:
    """The server: what it does, and what it was asked."""

    usual: Act
    """With every request for which nothing else is planned."""
    port: int = 0
    planned: list[Act] = field(default_factory=list)
    """With the next requests, one each."""
    by_prompt: dict[str, Act] = field(default_factory=dict)
    """With requests whose prompt is this."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of the requests."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Their headers, by lower-case name."""
    paths: list[str] = field(default_factory=list)
    end: Event = field(default_factory=Event)
    """Lets go of all that hang."""
    lock: Lock = field(default_factory=Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def prompts(self) -> list[str]:
        return [each["messages"][-1]["content"] for each in self.asked]

    def judge(self, **options: Any) -> Judge:
        """A judge that asks this server, and does not sleep between tries."""
        return Judge(self.url, "small-judge", **{"backoff_s": 0.0, "timeout_s": PATIENCE_S} | options)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        state = self.server_state
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with state.lock:
            state.asked.append(self.body)
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            state.paths.append(self.path)
            act = state.by_prompt.get(self.body["messages"][-1]["content"])
            if act is None:
                act = state.planned.pop(0) if state.planned else state.usual
        try:
            act(self)
        except OSError:  # whoever asked has gone
            self.close_connection = True

    def answer(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        headers: Mapping[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def says(content: Any, model: str = "small-judge-2026") -> Act:
    """A good answer that holds these words."""
    message = {"role": "assistant", "content": content}
    plain = {"model": model, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    return sends(200, json.dumps(plain).encode())


def sends(status: int, body: bytes = b"{}", kind: str = "application/json", **headers: str) -> Act:
    """Any answer; of a header's name `_` stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.answer(status, body, kind, named)


def refuses(status: int, words: str, **headers: str) -> Act:
    """An error as such servers tell it."""
    return sends(status, json.dumps({"error": {"message": words, "type": "x"}}).encode(), **headers)


def breaks_off(body: bytes = b'{"choices": [{"mess') -> Act:
    """The connection ends in the midst of the answer."""

    def act(handler: Handler) -> None:
        handler.answer(200, body, length=10 * len(body))
        handler.close_connection = True

    return act


def says_nothing(handler: Handler) -> None:
    """The connection ends before the answer."""
    handler.close_connection = True
    handler.wfile.close()


def hangs(handler: Handler) -> None:
    """Nothing comes until the test ends."""
    handler.server_state.end.wait()
    handler.close_connection = True


def drips(handler: Handler) -> None:
    """A byte now and then, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    while not handler.server_state.end.wait(0.02):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def drips_in(beginning: bytes, piece: bytes) -> Act:
    """A piece now and then, for ever, behind a beginning of the answer that says that more is to come."""

    def act(handler: Handler) -> None:
        handler.wfile.write(beginning)
        while not handler.server_state.end.wait(0.02):
            handler.wfile.write(piece)
            handler.wfile.flush()

    return act


def in_pieces(act_body: bytes, *, is_whole: bool = True) -> Act:
    """An answer whose length is not told before, as servers send that make it as they go."""

    def act(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for start in range(0, len(act_body), 7):
            piece = act_body[start : start + 7]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n" if is_whole else b"")
        handler.close_connection = True

    return act


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """With the usual five, connections that come at once wait a second for the next try."""


@contextmanager
def serving(usual: Act | None = None) -> Iterator[Server]:
    """Run a server for as long as it lasts."""
    state = Server(usual or says('{"pred": "yes", "score": 4}'))
    server = _Listening(("127.0.0.1", 0), type("Bound", (Handler,), {"server_state": state}))
    state.port = server.server_address[1]
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield state
    finally:
        state.end.set()
        server.shutdown()
        server.server_close()


def task(number: int, prompt: str | None = None) -> Task:
    content = f"prompt {number}" if prompt is None else prompt
    return Task(f"task/{number}", f"item/{number}", "correctness", ({"role": "user", "content": content},))
