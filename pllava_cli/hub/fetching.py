"""Fetching one file: gone on with where it was broken off, and in the cache only once its hash is right.

The library's own download begins a file anew in each process, which for a shard of 5 GB on a slow line
never ends. Its transport can go on, so the bytes are kept in a file of a lasting name until they are all
there; then they are put where the library looks for them.
"""

import io
import os
from contextlib import suppress
from pathlib import Path

from pllava_cli.errors import CheckpointError, UsageError
from pllava_cli.hub.failures import overlong, stranger, told
from pllava_cli.hub.hashing import Told, digest
from pllava_cli.hub.listing import RemoteFile
from pllava_cli.locks import lock, opened

_RANGE_REFUSED = 416


def partial_of(blob: Path) -> Path:
    """Return where the bytes of a blob are kept until all are there; the hub's own name for it."""
    return blob.with_name(f"{blob.name}.incomplete")


def fetch(repo: str, commit: str, file: RemoteFile, blob: Path, on_bytes: Told) -> None:
    """Have a file in the cache: its blob, and the snapshot's link to it.

    Args:
        repo: The repository.
        commit: Its commit.
        file: What to fetch.
        blob: Where its bytes belong; its folder exists.
        on_bytes: Told the bytes that have come; a negative number for those that are given up.

    Raises:
        CheckpointError: The hub cannot be reached, or gives something else than it has promised.
        UsageError: The disk is full, or another run fetches the same file.
    """
    with told(repo, commit):
        if not blob.exists():
            _complete(repo, commit, file, blob, on_bytes)
        _show(blob, blob.parents[1] / "snapshots" / commit / file.name)


def _show(blob: Path, link: Path) -> None:
    """Let a blob appear as a file of the snapshot: by a relative link, or moved there where there are none.

    The library would ask for the file's ETag first, and where a mirror gives another than the hub's it
    would fetch the file once more and look at no hash. Without links it would keep the bytes twice.
    """
    from huggingface_hub.file_download import are_symlinks_supported

    if link.exists():
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)  # which led to nothing
    if are_symlinks_supported(blob.parents[2]):
        with suppress(FileExistsError):  # another run was quicker
            link.symlink_to(os.path.relpath(blob, link.parent))
    else:
        blob.replace(link)


def _complete(repo: str, commit: str, file: RemoteFile, blob: Path, on_bytes: Told) -> None:
    partial = partial_of(blob)
    busy = UsageError(f"another run is fetching {file.name}", "wait for it to end")
    with _Receiving(partial, file, on_bytes) as stream:
        lock(stream.fileno(), partial, busy)
        if blob.exists():  # another run has just come to its end
            partial.unlink()
            return
        begun = stream.tell()
        if begun > file.size:
            stream.forget()
            begun = 0
        _receive(repo, commit, file, stream)
        found = digest(partial, file.hash)
        if found != file.hash and begun:
            stream.forget()  # what an earlier run has left was not of this file
            _receive(repo, commit, file, stream)
            found = digest(partial, file.hash)
        if found != file.hash:
            partial.unlink()
            raise CheckpointError(
                f"what came as {file.name} of {repo} is not the file that the hub lists: its hash is another",
                "try again; a proxy or a mirror (HF_ENDPOINT) may change what it passes on",
            )
        os.fsync(stream.fileno())
        partial.replace(blob)


def _receive(repo: str, commit: str, file: RemoteFile, stream: "_Receiving") -> None:
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    if file.size > constants.MAX_HTTP_DOWNLOAD_SIZE:
        raise CheckpointError(
            f"{file.name} is larger than what the hub gives in one piece", f"run: hf download {repo}"
        )
    begun = stream.tell()
    if begun == file.size:
        return
    try:
        http_get(
            hf_hub_url(repo, file.name, revision=commit, endpoint=constants.ENDPOINT),
            stream,
            resume_size=begun,
            # Else a small file comes compressed, and its bytes cannot be counted.
            headers=build_hf_headers() | {"Accept-Encoding": "identity"},
            expected_size=file.size,
            displayed_filename=file.name,
        )
    except HfHubHTTPError as error:
        if error.response.status_code == _RANGE_REFUSED:
            stream.forget()
        raise
    except CheckpointError:  # the stream's own: of which piece on the bytes are wrong, nobody knows
        stream.forget()
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        stream.forget()  # the library's own error for another size: a page of a proxy, most likely
        raise stranger() from error
    finally:
        stream.flush()


class _Receiving(io.BufferedWriter):
    """The file that bytes come into, behind those that are there already.

    The library's own progress bars know nothing of other files, so whatever is written is told from here.
    """

    def __init__(self, path: Path, file: RemoteFile, on_bytes: Told) -> None:
        super().__init__(io.FileIO(opened(path, os.O_APPEND), "a"))
        self._file, self._on_bytes = file, on_bytes

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write at the end.

        Raises:
            CheckpointError: With it there would be more than the file has: an answer need not end.
        """
        if self.tell() + len(data) > self._file.size:
            raise overlong(self._file.name, self._file.size)
        count = super().write(data)
        self._on_bytes(count)
        return count

    def truncate(self, size: int | None = None) -> int:
        """Cut the file off, as the library does where a server cannot go on in the midst of a file."""
        self.flush()
        before = os.fstat(self.fileno()).st_size
        after = super().truncate(size)
        self._on_bytes(after - before)
        return after

    def forget(self) -> None:
        """Give up all that has come."""
        self.truncate(0)
        self.seek(0)
