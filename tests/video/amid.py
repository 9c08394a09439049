"""Things that happen in the middle of a clip, of which nobody can be earlier or later than that."""


class Amid:
    """Passes for what a decoder is to make of a clip's frames, and has it do something else then.

    Its process comes to this with the frames in hand, before it tells anybody.

    Args:
        source: Python that the decoder's process runs; `parent` is the process that waits for it.
    """

    def __init__(self, source: str) -> None:
        self.source = f"import os, signal; parent = os.getppid(); {source}"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Run where it is unpickled, which is in the decoder."""
        return exec, (self.source,)

    def __call__(self, _: object) -> object:
        raise AssertionError("it is for another process")


def killing(number: int) -> Amid:
    """A signal ends the decoder."""
    return Amid(f"signal.raise_signal({int(number)})")


HANG = Amid("signal.raise_signal(signal.SIGSTOP)")
"""The decoder stands still, for ever."""
INTERRUPT = Amid("os.kill(parent, signal.SIGINT); signal.raise_signal(signal.SIGSTOP)")
"""The same, as Ctrl-C reaches the process that waits for it."""
