"""A judge: any language model behind an OpenAI-compatible endpoint, asked with patience and within bounds."""

import json
import os
import random
from collections.abc import Mapping, Sequence
from hashlib import sha256
from threading import Event

from pllava_cli import __version__
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.judging.endpoint import Answer, Endpoint, ExchangeError
from pllava_cli.evaluation.judging.judgements import Task
from pllava_cli.evaluation.judging.patience import AT_ONCE, MAX_TOKENS, RETRIES, TIMEOUT_S
from pllava_cli.evaluation.judging.responses import KEY_VARIABLE, MAX_PAUSE_S, Failure, Reader, Reply

KEY_VARIABLES = (KEY_VARIABLE, "OPENAI_API_KEY")
"""Where the key for the endpoint is looked for. It is no flag: those, other users of a machine can see."""
MOST_AT_ONCE = 256


class Stopped(Exception):  # noqa: N818 (nothing is wrong: the run ends)
    """The run ends before there was a reply."""


class Judge:
    """A language model that judges.

    Args:
        url: Where it is: a server's address, its API's, or that of its chat completions.
        model: Its name there.
        api_key: The key for the endpoint; none if empty.
        at_once: Questions asked at the same time.
        timeout_s: Seconds that one may take.
        retries: How often one is asked again if the line or the server fails.
        max_tokens: Of a reply. A model that reasons before it replies needs some hundreds.
        backoff_s: Seconds before the first retry, doubled before each further one; a random part of it,
            from a half on, so that many askers do not come back together.
        offline: Whether anything but this machine is out of bounds.

    Raises:
        UsageError: The address is none, or not on this machine though it must be; or a number is out of
            range.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str = "",
        at_once: int = AT_ONCE,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        max_tokens: int = MAX_TOKENS,
        backoff_s: float = 1.0,
        offline: bool = False,
    ) -> None:
        self.endpoint = Endpoint.parse(url)
        if offline and not self.endpoint.is_loopback:
            raise UsageError(
                f"the judge at {self.endpoint.host} is not on this machine, and --offline is given",
                "start a judge on this machine, or leave --offline out",
            )
        _check(model, at_once, timeout_s, retries, max_tokens)
        self.model, self.at_once, self.max_tokens = model, at_once, max_tokens
        self._timeout_s, self._retries, self._backoff_s = timeout_s, retries, backoff_s
        self._api_key = _checked_key(api_key)
        self._reader = Reader(model, api_key, timeout_s, is_loopback=self.endpoint.is_loopback)

    def body(self, task: Task) -> bytes:
        """Return the request for a task: everything that its reply depends on, but for the endpoint."""
        plain = {
            "model": self.model,
            "messages": list(map(dict, task.messages)),
            "temperature": 0,
            "max_tokens": self.max_tokens,
        }
        return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()

    def key(self, task: Task) -> str:
        """Return what tasks share that need to be asked only once."""
        return sha256(self.body(task)).hexdigest()

    def ask(self, task: Task, stop: Event) -> Reply:
        """Ask, again if need be, and return the reply.

        Args:
            task: What to ask.
            stop: Ends the waiting between tries when set.

        Raises:
            Failure: There is no reply.
            Stopped: There is none yet.
        """
        body, tried = self.body(task), 0
        while not stop.is_set():
            try:
                return self._reader.read(self._post(body))
            except Failure as failure:
                tried += 1
                if tried > self._retries or (failure.tries is not None and tried >= failure.tries):
                    raise
                pause_s = self._pause_s(tried) if failure.pause_s is None else failure.pause_s
            stop.wait(pause_s)
        raise Stopped

    def failed(self, failure: Failure) -> UsageError:
        """Return the error that a failure is for the run."""
        return UsageError(f"the judge at {self.endpoint.host} {failure.reason}", failure.hint)

    def _pause_s(self, tried: int) -> float:
        whole = min(self._backoff_s * 2.0 ** (tried - 1), MAX_PAUSE_S)
        return whole * random.uniform(0.5, 1)

    def _post(self, body: bytes) -> Answer:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": f"pllava/{__version__}",
        }
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        try:
            return self.endpoint.post(body, headers, self._timeout_s)
        except ExchangeError as error:
            raise self._reader.no_answer(error) from None


def key_for(url: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the key that the environment has for an endpoint; empty if there is none.

    That of OpenAI, which many have set for other purposes, goes out only encrypted or to this machine.

    Raises:
        UsageError: The address is none.
    """
    own, openai = (environment.get(name, "").strip() for name in KEY_VARIABLES)
    endpoint = Endpoint.parse(url)
    return own or (openai if endpoint.is_encrypted or endpoint.is_loopback else "")


def _checked_key(key: str) -> str:
    if key and not (key.isascii() and key.isprintable() and not key.isspace()):
        raise UsageError(
            f"the key in {' or '.join(KEY_VARIABLES)} holds what no key can", "set it anew, on one line"
        )
    return key


def _check(model: str, at_once: int, timeout_s: float, retries: int, max_tokens: int) -> None:
    ranges: Sequence[tuple[str, float, float, float]] = (
        ("questions at once", at_once, 1, MOST_AT_ONCE),
        ("the timeout in seconds", timeout_s, 0.001, 86400),
        ("retries", retries, 0, 100),
        ("tokens of a reply", max_tokens, 1, 1 << 20),
    )
    if not model.strip():
        raise UsageError("no judge's model is named", "name it as its server does")
    for name, value, least, most in ranges:
        if not least <= value <= most:
            raise UsageError(f"{name}: {value:g} is out of range", f"give {least:g} to {most:g}")
