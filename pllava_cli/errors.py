"""What can go wrong, said once: an error a user can act on, and the exit status it leads to.

Everything the tool refuses or fails at is a `PllavaError`: one line that says what was found, one
that says what to do. `app.py` prints the two lines and exits with the status; a batch writes the
message into the clip's record and goes on. Any other exception is a bug of ours.
"""

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of the `pllava` command."""

    OK = 0
    """All that was asked for was done."""
    BUG = 1
    """An unexpected error."""
    USAGE = 2
    """A bad option, no such file, nothing to do; nowhere to write: a full disk, a read-only folder."""
    SOME_FAILED = 3
    """Some clips failed, others succeeded."""
    ALL_FAILED = 4
    """Every clip failed, or the one clip given."""
    CHECKPOINT = 5
    """The checkpoint is missing, incomplete or of an unknown layout."""
    DEVICE = 6
    """The device is not available or has failed, or the memory does not suffice."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C (128 + SIGINT)."""
    TERMINATED = 143
    """Stopped by SIGTERM (128 + SIGTERM)."""


class PllavaError(Exception):
    """An error with a cure.

    Args:
        message: One line: what was expected and what was found, naming the clip or checkpoint.
        hint: One line: what to do about it.
        status: Exit status when this error ends the run; each subclass has its own default.
    """

    status = ExitStatus.BUG

    def __init__(self, message: str, hint: str = "", status: ExitStatus | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if status is not None:
            self.status = status

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[type, tuple[str, str, ExitStatus]]:
        """Pickle with all three fields, so that the error crosses processes whole."""
        return type(self), (self.message, self.hint, self.status)


class UsageError(PllavaError):
    """The request itself cannot be meant: an option out of range, a file that is not there."""

    status = ExitStatus.USAGE


class ClipError(PllavaError):
    """This clip cannot be decoded or sampled."""

    status = ExitStatus.ALL_FAILED


class CheckpointError(PllavaError):
    """The checkpoint is unknown, not on this machine, incomplete or of a wrong layout."""

    status = ExitStatus.CHECKPOINT


class DeviceError(PllavaError):
    """The device is not there or has failed, or its memory does not suffice."""

    status = ExitStatus.DEVICE


class MemoryFullError(DeviceError):
    """The memory ran out at work; fewer clips at once may fit."""
