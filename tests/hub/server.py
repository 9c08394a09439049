"""A model hub on this machine: what fetching needs of the real one's HTTP interface, and its failures.

As the real one does, it gives small files itself, with git's hash as their ETag, and sends for large ones to
another host, with their SHA-256 and size in headers of its own.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE_BYTES = 1000
"""Files of at least this many bytes are kept apart from git, as weights are on the real hub."""


Data = bytes | memoryview
"""What a file holds: in memory, or mapped from a disk, where it may be larger than the memory."""


@cache
def git_hash(data: Data) -> str:
    digest = hashlib.sha1(b"blob %d\0" % len(data))
    digest.update(data)
    return digest.hexdigest()


@cache
def sha256(data: Data) -> str:
    return hashlib.sha256(data).hexdigest()


def hub_hash(data: Data) -> str:
    return sha256(data) if len(data) >= LARGE_BYTES else git_hash(data)


@dataclass
class Repo:
    """A repository, and what is wrong with it."""

    files: dict[str, Data]
    commit: str = COMMIT
    refusal: tuple[int, str] | None = None
    """Status and error code of every answer."""


@dataclass
class Hub:
    """The hub: what it has, what is wrong with it and what it was asked."""

    port: int = 0
    repos: dict[str, Repo] = field(default_factory=dict)
    page: bytes | None = None
    """What a proxy in between answers in its stead."""
    page_for_files: bytes | None = None
    """The same, for the contents of large files alone."""
    breaks: dict[str, list[int]] = field(default_factory=dict)
    """By file: after how many bytes the connections break off, one after the other."""
    changed: dict[str, Data] = field(default_factory=dict)
    """By file: what is sent in place of what is listed."""
    stalls: dict[str, int] = field(default_factory=dict)
    """By file: after how many bytes the connection says nothing more until this is emptied."""
    endless: set[str] = field(default_factory=set)
    """Files that are sent again and again, in pieces whose number no header tells."""
    unlisted: tuple[str, ...] = ()
    """What listings leave out of each file: keys of its entry, or of "lfs" in it."""
    listing: "Callable[[_Handler, str], bool] | None" = None
    """Answers instead, where it returns true, what is in the repository of a name."""
    tags_differ: bool = False
    """Whether files have other ETags than the hub's, as those of a mirror may."""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and Range header of each."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked(self, method: str, ending: str) -> list[str]:
        """The Range headers of the requests for paths of this ending."""
        return [sent for kind, path, sent in self.requests if kind == method and path.endswith(ending)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        if self.hub.page is not None:
            self._send(200, self.hub.page, {"Content-Type": "text/html"})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            self._list(match[1], match[2] or "main")
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
            self._tree(match[1], match[2])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(match[1], match[2], match[3])
        elif match := re.fullmatch(r"/large/([^/]+/[^/]+)/(.+)", path):
            self._large(match[1], match[2])
        else:
            self._send(404, b"", {})

    def _repo(self, name: str, revision: str) -> Repo | None:
        repo = self.hub.repos.get(name)
        if repo is None:
            self._send(401, b"Repository not found", {"X-Error-Code": "RepoNotFound"})
        elif repo.refusal is not None:
            self._send(repo.refusal[0], b"", {"X-Error-Code": repo.refusal[1]})
        elif revision not in ("main", repo.commit):
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        else:
            return repo
        return None

    def _list(self, name: str, revision: str) -> None:
        if self.hub.listing is not None and self.hub.listing(self, name):
            return
        if repo := self._repo(name, revision):
            siblings = []
            for file, data in repo.files.items():
                entry: dict[str, Any] = {"rfilename": file, "size": len(data), "blobId": git_hash(data)}
                if len(data) >= LARGE_BYTES:
                    digest = sha256(data)
                    entry["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 134}
                for part in (entry, entry.get("lfs", {})):
                    for key in self.hub.unlisted:
                        part.pop(key, None)
                siblings.append(entry)
            answer = {"id": name, "sha": repo.commit, "private": False, "siblings": siblings}
            self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _tree(self, name: str, revision: str) -> None:
        """What other programs list a repository by."""
        if repo := self._repo(name, revision):
            entries = []
            for file, data in repo.files.items():
                entry: dict[str, Any] = {
                    "type": "file",
                    "path": file,
                    "size": len(data),
                    "oid": git_hash(data),
                }
                if len(data) >= LARGE_BYTES:
                    digest = sha256(data)
                    entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 134}
                entries.append(entry)
            self._send(200, json.dumps(entries).encode(), {"Content-Type": "application/json"})

    def _resolve(self, name: str, revision: str, file: str) -> None:
        if repo := self._repo(name, revision):
            data = repo.files.get(file)
            if data is None:
                self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repo.commit})
            elif len(data) < LARGE_BYTES:
                headers = {"ETag": f'"{git_hash(data)}"', "X-Repo-Commit": repo.commit}
                if file in self.hub.endless:
                    self.send_for_ever(data, headers)
                    return
                self._send(200, self.hub.changed.get(file, data), headers)
            else:
                headers = {
                    "X-Repo-Commit": repo.commit,
                    "X-Linked-Size": str(len(data)),
                    "X-Linked-ETag": '"of-a-mirror"' if self.hub.tags_differ else f'"{sha256(data)}"',
                    # Another host by its name, as the real hub's storage is.
                    "Location": f"http://localhost:{self.hub.port}/large/{name}/{file}",
                }
                self._send(302, b"", headers)

    def _large(self, name: str, file: str) -> None:
        assert "authorization" not in self.headers, "the token is for the hub alone"
        if self.hub.page_for_files is not None:
            self._send(200, self.hub.page_for_files, {"Content-Type": "text/html"})
            return
        data = self.hub.changed.get(file, self.hub.repos[name].files[file])
        if file in self.hub.endless:
            self.send_for_ever(data, {})
            return
        status, begin = 200, 0
        headers = {"ETag": '"of-the-storage"', "Accept-Ranges": "bytes"}
        if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            status, begin = 206, int(match[1])
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        breaks = self.hub.breaks.get(file)
        stall_at = self.hub.stalls.get(file)
        if stall_at is not None:
            self._send(status, data[begin:], headers, break_at=stall_at)
            while self.hub.stalls:
                time.sleep(0.02)
        else:
            self._send(status, data[begin:], headers, break_at=breaks.pop(0) if breaks else None)

    def send_for_ever(
        self, body: Data, headers: dict[str, str], status: int = 200, pause_s: float = 0.0
    ) -> None:
        self.send_response(status)
        for name, value in (headers | {"Transfer-Encoding": "chunked"}).items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        with suppress(ConnectionError):  # the other side has had enough
            while True:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(body), body))
                time.sleep(pause_s)

    def _send(self, status: int, body: Data, headers: dict[str, str], break_at: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[:break_at])
        self.wfile.flush()
        if break_at is not None:
            self.close_connection = True


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """With the usual five, connections that come at once wait a second for the next try."""


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve an empty hub."""
    hub = Hub()
    server = _Listening(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.port = server.server_address[1]
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def folder_files(folder: Path) -> dict[str, Data]:
    """The files of a folder, as a repository has them."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
