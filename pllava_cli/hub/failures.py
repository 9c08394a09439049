"""What can go wrong between here and the hub, each as one sentence and a cure."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from pllava_cli.errors import CheckpointError, PllavaError, UsageError

_CURES = dict.fromkeys(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space; the same command goes on"
) | {errno.ENOENT: "another program has deleted from the cache meanwhile; try again"}
"""What to do where something cannot be written, but for missing permissions."""
_AGAIN = "try again: what is here already is not fetched twice"
_STRANGER = (
    "a proxy or a sign-in page may stand between; open the address in a browser, and see HTTPS_PROXY and"
    " HF_ENDPOINT"
)


@contextmanager
def told(repo: str, revision: str) -> Iterator[None]:
    """Tell whatever the hub's library raises as an error of ours.

    Raises:
        CheckpointError: The hub cannot be reached, or does not give what was asked for.
        UsageError: The disk is full or may not be written to.
    """
    try:
        yield
    except PllavaError:
        raise
    except Exception as error:
        meant = failure(error, repo, revision)
        if meant is None:
            raise
        raise meant from error


def failure(error: BaseException, repo: str, revision: str) -> PllavaError | None:
    """Return what an exception means to the user; None for one that should not happen."""
    from huggingface_hub import errors as hub

    if isinstance(error, hub.LocalEntryNotFoundError) and error.__cause__ is not None:
        return failure(error.__cause__, repo, revision)  # the library's own words for many reasons
    match error:
        case hub.OfflineModeIsEnabled():
            return CheckpointError(
                f"{repo} cannot be fetched: HF_HUB_OFFLINE forbids requests", "unset HF_HUB_OFFLINE"
            )
        case hub.GatedRepoError():
            return CheckpointError(
                f"{repo} is given only to who has accepted its terms",
                f"accept them at {_endpoint()}/{repo}, then run: hf auth login",
            )
        case hub.RevisionNotFoundError():
            return CheckpointError(
                f"{repo} has no revision {revision}",
                "correct it in weights.toml, or take what the repository has now with --newest",
            )
        case hub.RepositoryNotFoundError():
            return _unknown(repo)
        case hub.EntryNotFoundError():
            return CheckpointError(f"{repo} lacks a file that its own listing names", _AGAIN)
        case hub.HfHubHTTPError():
            return _answered(error.response.status_code, repo)
        case hub.FileMetadataError():
            return CheckpointError(f"what answers at {_endpoint()} is not the hub", _STRANGER)
    if type(error).__module__.partition(".")[0] in ("httpx", "httpx2"):  # one or the other, by its version
        return _connection(error)
    if isinstance(error, OSError) and error.errno is not None:
        cure = _CURES.get(error.errno, "check permissions")
        return UsageError(f"cannot write {error.filename or 'the cache'}: {error.strerror}", cure)
    return None


def _endpoint() -> str:
    """The hub's address, without the name and password that may stand in it."""
    from huggingface_hub import constants

    return re.sub(r"(?<=//)[^/]*@", "", constants.ENDPOINT)


def stranger() -> CheckpointError:
    """Return the error for an answer that is not the hub's."""
    return CheckpointError(f"the answer from {_endpoint()} is not the hub's", _STRANGER)


def unending(so_far: str) -> CheckpointError:
    """Return the error for an answer that does not end; `so_far` says what has come of it."""
    return CheckpointError(
        f"the answer from {_endpoint()} does not end: {so_far}",
        f"a checkpoint's repository is described in less; {_STRANGER}",
    )


def overlong(name: str, size: int) -> CheckpointError:
    """Return the error for a file that goes on behind its end."""
    return CheckpointError(
        f"the answer from {_endpoint()} is not the hub's: more comes of {name} than its {size} bytes",
        _STRANGER,
    )


def unlisted(name: str, lacking: str) -> CheckpointError:
    """Return the error for a listing that lacks the size or the hash of a file."""
    return CheckpointError(
        f"{_endpoint()} lists {name} without its {lacking}, and nothing is fetched that cannot be checked",
        "if HF_ENDPOINT names a mirror, leave it out, or name one that lists what the hub does",
    )


def _unknown(repo: str) -> CheckpointError:
    return CheckpointError(
        f"the hub has no repository {repo}, or it is a private one",
        "check the name; for a private repository run first: hf auth login",
    )


def _answered(status: int, repo: str) -> CheckpointError:
    if status in (401, 403, 404):
        return _unknown(repo)
    if status == 407:
        return CheckpointError("the proxy asks for a name and a password", "give them in HTTPS_PROXY")
    if status == 429:
        return CheckpointError("the hub asks for fewer requests", "try again in some minutes")
    what = "is out of order" if status >= 500 else "refuses the request"
    return CheckpointError(f"{_endpoint()} {what} (status {status})", _AGAIN)


def _connection(error: BaseException) -> CheckpointError:
    reason = " ".join(str(error).split()) or type(error).__name__
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "ProxyError" in kinds:
        return CheckpointError(f"the proxy lets nothing through: {reason}", "see HTTPS_PROXY")
    if "TimeoutException" in kinds:
        return CheckpointError(f"{_endpoint()} does not answer in time", _AGAIN)
    if "ConnectError" in kinds or "InvalidURL" in kinds or "UnsupportedProtocol" in kinds:
        return CheckpointError(
            f"cannot connect to {_endpoint()}: {reason}", "check the network, HTTPS_PROXY and HF_ENDPOINT"
        )
    return CheckpointError(f"the connection to {_endpoint()} broke off: {reason}", _AGAIN)
