"""What an exchange with a judge came to: a reply, or a failure that says what was the matter and what helps.

Servers differ in how they fail. A status, a body that is none, a page in its place: each is told in one
line, with how often it is worth another try and whether every other question would fare the same.
"""

import email.utils
import json
import time
from dataclasses import dataclass
from typing import Any, NoReturn

from pllava_cli.evaluation.judging.endpoint import PATH, Answer, ExchangeError

KEY_VARIABLE = "PLLAVA_JUDGE_KEY"
"""The environment's variable that holds the key for the endpoint."""
MAX_REPLY_CHARACTERS = 4096
"""Of a reply that is kept: its end, where a judge that reasons at length gives its verdict."""
MAX_PAUSE_S = 60.0
"""Between two tries, whatever a server asks for: nobody should wait an hour without being told."""
_UNREACHABLE_TRIES = 3
_SLOW_TRIES = 3
"""Each takes the whole of its time: minutes go by before anyone is told."""
_ODD_TRIES = 2
"""An answer that is JSON and no reply is often a server's hiccup, but not five times."""
_OF_PROMPT = (400, 413, 422)
"""Statuses by which servers refuse single prompts, as too long or for what they hold."""
_SECRET_CHARACTERS = 8
"""A shorter key is a stand-in, such as EMPTY, and perhaps a word of a reply."""
_SHOWN = 200
"""Characters of a server's own words in a message."""
_TRY_AGAIN = "run the command again: what is judged already is not asked again"
_ADDRESS = f"check the address: it is to be the API's, to which {PATH} is added"


class Failure(Exception):  # noqa: N818 (one of two outcomes, told apart by its fields)
    """There is no reply.

    Attributes:
        reason: What was the matter, to stand after "the judge at HOST".
        hint: What to do about it.
        tries: How often it is worth trying, in all; None: as often as the judge has patience.
        is_final: Whether every other question would fare the same.
        is_of_prompt: Whether it may be for what this question holds: a filter, or its length.
        pause_s: How long the server asks to be left alone; None: it does not.
    """

    def __init__(
        self,
        reason: str,
        hint: str,
        tries: int | None,
        *,
        is_final: bool = False,
        is_of_prompt: bool = False,
        pause_s: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason, self.hint, self.tries = reason, hint, tries
        self.is_final, self.is_of_prompt, self.pause_s = is_final, is_of_prompt, pause_s


@dataclass(frozen=True)
class Reply:
    """What a judge said."""

    text: str
    model: str
    """As the endpoint names it; empty if it does not."""


class Reader:
    """Reads what comes back from a judge.

    Args:
        model: The judge's name, for messages.
        api_key: The key that it was asked with, which is taken out of what it says.
        timeout_s: Seconds that it had, for messages.
        is_loopback: Whether it is on this machine.
    """

    def __init__(self, model: str, api_key: str, timeout_s: float, *, is_loopback: bool) -> None:
        self._model, self._api_key, self._timeout_s = model, api_key, timeout_s
        self._is_loopback = is_loopback

    def no_answer(self, error: ExchangeError) -> Failure:
        """Return what it means that there was no answer."""
        reason = str(error)
        match error.kind:
            case "unreachable":
                hint = "start it, or check the address" + ("" if self._is_loopback else " and the network")
                return Failure(f"cannot be reached: {reason}", hint, _UNREACHABLE_TRIES, is_final=True)
            case "untrusted":
                return Failure(f"cannot be trusted: {reason}", "check the address", 1, is_final=True)
            case "slow":
                hint = f"{_TRY_AGAIN}; a slow judge needs fewer questions at once, or a longer timeout"
                return Failure(f"does not answer within {self._timeout_s:g} s", hint, _SLOW_TRIES)
            case "huge":
                return Failure(f"answers at too great a length: {reason}", _ADDRESS, 1)
            case _:
                return Failure(f"does not answer: {reason}", _TRY_AGAIN, None)

    def read(self, answer: Answer) -> Reply:
        """Find the reply in an answer.

        Raises:
            Failure: There is none.
        """
        if answer.status != 200:
            self._refused(answer)
        plain = _json(answer.body)
        if plain is None:
            kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            if "json" in kind:
                raise Failure("sends an answer that is not whole", _TRY_AGAIN, None)
            what = "a web page" if kind == "text/html" else f"something else ({kind[:60] or 'of no type'})"
            hint = f"{_ADDRESS}; a proxy or a sign-in page may stand between"
            raise Failure(f"sends {what} in place of a reply", hint, 1)
        try:
            content = plain["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            words = self._words(plain)
            told = f"sends no reply{words or ' in its answer'}"
            raise Failure(told, _ADDRESS, _ODD_TRIES, is_of_prompt=True) from None
        if content is not None and not isinstance(content, str):
            raise Failure("sends a reply that is no text", "ask another model", _ODD_TRIES, is_of_prompt=True)
        model = plain.get("model")
        return Reply(
            self._without_key(content or "")[-MAX_REPLY_CHARACTERS:],
            self._without_key(model)[:_SHOWN] if isinstance(model, str) else "",
        )

    def _refused(self, answer: Answer) -> NoReturn:
        """Raise what a status means."""
        status, words = answer.status, self._words(_json(answer.body))
        told = f"(status {status}){words}"
        match status:
            case 401 | 403:
                what = "refuses the key" if self._api_key else "asks for a key"
                hint = f"put the right one into {KEY_VARIABLE}, or see what the model may be used for"
                raise Failure(f"{what} {told}", hint, 1, is_final=True)
            case 404 | 405 | 410:
                hint = f"{_ADDRESS}; and check the model's name"
                raise Failure(
                    f"knows no such address, or no model {self._model} {told}", hint, 1, is_final=True
                )
            case 407:
                raise Failure(
                    f"is behind a proxy that refuses us {told}", "see HTTPS_PROXY", 1, is_final=True
                )
            case 408 | 425 | 429:
                pause_s = retry_after_s(answer.headers.get("retry-after"), time.time())
                hint = f"{_TRY_AGAIN}; ask fewer questions at once, and see whether the quota is used up"
                raise Failure(f"asks for patience {told}", hint, None, pause_s=pause_s)
            case _ if 300 <= status < 400:
                hint = "give the address that it sends to, if you trust it"
                raise Failure(f"sends to another address {told}", hint, 1, is_final=True)
            case _ if 400 <= status < 500:
                hint = "see what the server says; the model may not take this prompt, or these parameters"
                raise Failure(f"refuses the request {told}", hint, 1, is_of_prompt=status in _OF_PROMPT)
            case _:
                pause_s = retry_after_s(answer.headers.get("retry-after"), time.time())
                tries = None if status >= 500 else 1
                raise Failure(f"is out of order {told}", _TRY_AGAIN, tries, pause_s=pause_s)

    def _words(self, plain: Any) -> str:
        """Return a server's own words for what is wrong, to stand at a message's end; empty without any."""
        told = plain if isinstance(plain, dict) else {}
        error = next((told[name] for name in ("error", "detail", "message") if name in told), None)
        said = error.get("message") if isinstance(error, dict) else error
        if not isinstance(said, str) or not said.strip():
            return ""
        return f": {self._without_key(' '.join(said.split()))[:_SHOWN]}"

    def _without_key(self, text: str) -> str:
        """Take the key out of what a server says: some repeat it, and what they say is shown and kept."""
        return text.replace(self._api_key, "***") if len(self._api_key) >= _SECRET_CHARACTERS else text


def retry_after_s(value: str | None, now: float) -> float | None:
    """Return how long a server asks to be left alone, at most `MAX_PAUSE_S`; None if it does not say.

    Args:
        value: Of the header `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
        now: The time, in seconds since 1970.
    """
    text = (value or "").strip()
    if not text:
        return None
    try:
        seconds = float(text) if text.isascii() else None
    except ValueError:
        seconds = None
    if seconds is None:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_PAUSE_S) if seconds == seconds else None  # NaN is not itself


def _json(raw: bytes) -> Any:
    """Return what bytes hold as JSON; None if they are none."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):  # bytes that are not UTF-8 are a ValueError too
        return None
