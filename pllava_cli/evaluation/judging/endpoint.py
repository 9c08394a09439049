"""A judge's address, and one exchange with it: a request goes out, an answer of bounded size comes back.

The standard library does the work. The hub's library brings an HTTP client with it, but which one, httpx or
httpx2, changes with its version, and for one POST a dependency of our own would be too much. Redirects are
not followed: the key and the answers that are judged go to the address that was given and nowhere else.
"""

import errno
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from ipaddress import ip_address
from typing import Any
from urllib.error import URLError
from urllib.parse import SplitResult, urlsplit, urlunsplit
from urllib.request import (
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)

from pllava_cli.errors import UsageError

PATH = "/chat/completions"
"""What an OpenAI-compatible server takes conversations at, below its base."""
_DEFAULT_BASE = "/v1"
CONNECT_TIMEOUT_S = 10.0
"""A server that is there takes a connection within moments, however long it then thinks."""
MAX_ANSWER_BYTES = 1 << 20
"""A verdict takes some hundred bytes; 1 MiB leaves room for any server's own additions."""
_CHUNK_BYTES = 1 << 16
_HINT = "give the address as http://HOST:PORT/v1"


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


class ExchangeError(Exception):
    """No whole answer came.

    Attributes:
        kind: `unreachable`: there is no connection; `untrusted`: there is one, but it is not safe; `broken`:
            it broke off; `slow`: it took too long; `huge`: the answer was longer than `MAX_ANSWER_BYTES`.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True)
class Endpoint:
    """Where a judge is."""

    url: str = field(repr=False)
    """All of it, as requested: a query may hold what is not for the eyes of others."""
    host: str
    """Name and port, as told and written down."""
    is_loopback: bool
    """Whether it is on this machine."""
    is_encrypted: bool

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Read an address: a server's (`http://localhost:8000`), its API's (`.../v1`), or the whole.

        Raises:
            UsageError: It is none, or holds a name and a password.
        """
        parts = _split(text)
        path = parts.path.rstrip("/")
        if not path.endswith(PATH):
            path = (path or _DEFAULT_BASE) + PATH
        host = parts.hostname or ""
        return cls(
            urlunsplit((parts.scheme, parts.netloc, path, parts.query, "")),
            parts.netloc.lower(),
            _is_loopback(host),
            parts.scheme == "https",
        )

    @cached_property
    def _opener(self) -> OpenerDirector:
        # This machine's own address is never asked of a proxy; for others the environment decides.
        proxies = ProxyHandler({}) if self.is_loopback else ProxyHandler()
        return build_opener(proxies, _Plain(), _Secure(), _AnyStatus())

    def post(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """Send a request and wait for the whole of its answer, whatever its status.

        Args:
            body: What is sent.
            headers: What is sent with it.
            timeout_s: Seconds that all of it may take.

        Raises:
            ExchangeError: No whole answer came.
        """
        request = Request(self.url, data=body, headers=dict(headers), method="POST")
        try:
            with self._opener.open(request, timeout=timeout_s) as response:
                found = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, found, _read(response))
        except (OSError, HTTPException, ValueError) as error:  # ValueError: a host name that cannot be one
            raise _told(error) from None


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text.strip())
        is_plain = text.isascii() and not any(c.isspace() or not c.isprintable() for c in text.strip())
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not match, a port that is no number
        is_plain = is_address = False
    if not (is_plain and is_address):
        raise UsageError("the judge's address is no http:// or https:// address", _HINT)
    if "@" in parts.netloc:
        raise UsageError(
            "the judge's address holds a name or a password", "leave it out; a key goes into PLLAVA_JUDGE_KEY"
        )
    return parts


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified  # 0.0.0.0 is what servers name themselves


def _read(response: HTTPResponse) -> bytes:
    """Read an answer piece by piece."""
    pieces, length = [], 0
    while piece := response.read1(_CHUNK_BYTES):
        pieces.append(piece)
        length += len(piece)
        if length > MAX_ANSWER_BYTES:
            raise ExchangeError("huge", f"the answer is longer than {MAX_ANSWER_BYTES >> 20} MiB")
    if response.length:  # what was announced and has not come
        raise ExchangeError("broken", "the answer broke off")
    return b"".join(pieces)


def _told(error: OSError | HTTPException | ValueError) -> ExchangeError:
    cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    said = str(getattr(cause, "strerror", None) or cause)
    reason = " ".join(said.split())[:200] or type(cause).__name__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ExchangeError("untrusted", f"its certificate is not trusted: {cause.verify_message}")
    if isinstance(cause, ssl.SSLError) and isinstance(error, URLError):
        return ExchangeError("untrusted", f"no encrypted connection can be made: {reason}")
    is_refused = isinstance(
        cause, ConnectionRefusedError | socket.gaierror | UnicodeError | _NoConnectionError
    )
    if is_refused or getattr(cause, "errno", None) in _NO_WAY:
        return ExchangeError("unreachable", reason[:1].lower() + reason[1:])
    if isinstance(cause, TimeoutError):
        return ExchangeError("slow", "no answer came in time")
    return ExchangeError("broken", f"the connection broke off: {reason}")


_NO_WAY = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.EHOSTDOWN)


class _NoConnectionError(OSError):
    """Nobody has taken the connection in time."""


def _connect(connection: HTTPConnection, connect: Any) -> None:
    """Connect, with a patience of its own for that; what it took, the rest of the exchange lacks."""
    whole_s, began = connection.timeout, time.monotonic()
    assert whole_s is not None, "every exchange has a limit"
    connection.timeout = min(whole_s, CONNECT_TIMEOUT_S)
    try:
        connect()
    except TimeoutError:
        raise _NoConnectionError("nobody takes the connection") from None
    left_s = whole_s - (time.monotonic() - began)
    if left_s <= 0:  # each step of connecting, as a proxy's or that of encryption, has that patience anew
        raise TimeoutError
    connection.sock.settimeout(left_s)


class _TimelyResponse(HTTPResponse):
    """An answer of which all comes in time, from the first byte of its head to the last of its end."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = BufferedReader(_Timely(sock))


class _PlainConnection(HTTPConnection):
    response_class = _TimelyResponse

    def connect(self) -> None:
        _connect(self, super().connect)


class _SecureConnection(HTTPSConnection):
    response_class = _TimelyResponse

    def connect(self) -> None:
        _connect(self, super().connect)


class _Timely(RawIOBase):
    """What comes through a socket, as long as the socket itself would wait once, from now on.

    Its own limit begins anew with every byte: a server that drips would be waited for without end.
    """

    def __init__(self, sock: socket.socket) -> None:
        limit_s = sock.gettimeout()
        assert limit_s is not None, "every exchange has a limit"
        self._until = time.monotonic() + limit_s
        self._sock, self._raw = sock, sock.makefile("rb", buffering=0)  # which keeps the socket open

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Plain(HTTPHandler):
    def http_open(self, request: Request) -> HTTPResponse:
        return self.do_open(_PlainConnection, request)


class _Secure(HTTPSHandler):
    def __init__(self) -> None:
        super().__init__()
        self._trusted = ssl.create_default_context()

    def https_open(self, request: Request) -> HTTPResponse:
        return self.do_open(_SecureConnection, request, context=self._trusted)


class _AnyStatus(HTTPErrorProcessor):
    """Passes every answer on: a status is for the judge's client to read, and no redirect is followed."""

    def http_response(self, request: Request, response: Any) -> Any:
        return response

    https_response = http_response
