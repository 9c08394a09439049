"""A checkpoint that stays loaded from one setting of a sweep to the next.

Loading a checkpoint again takes longer than asking it the questions of a small benchmark. Where only the
weight of its LoRA differs, only the tensors that it changes are read.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from pllava_cli.commands import running
from pllava_cli.settings import Settings
from pllava_cli.terminal import Terminal

if TYPE_CHECKING:
    from pllava_cli.engine import Captioner
    from pllava_cli.visualstore.store import VisualStore


class Held:
    """The checkpoint that was loaded last, if it is of use for the next setting.

    Args:
        visual_store: Where visual tokens are kept; None: nowhere.
    """

    def __init__(self, visual_store: "VisualStore | None" = None) -> None:
        self._visual_store = visual_store
        self._settings: Settings | None = None
        self._captioner: Captioner | None = None

    def captioner(self, terminal: Terminal, fitted: Settings) -> "Captioner":
        """Return the checkpoint with settings from `fitting.fit`; what was handed out before is no more.

        Raises:
            PllavaError: As `running.load`.
        """
        captioner, before = self._captioner, self._settings
        self._captioner = self._settings = None  # of no use if an error ends this
        if captioner is None or before is None or not _is_adapted(captioner, before, fitted):
            if captioner is not None:
                captioner = None  # its memory is to be free before another is loaded
                running.release()
            captioner = running.load_captioner(terminal, fitted, self._visual_store)
        self._captioner, self._settings = captioner, fitted
        return captioner


def differ_in_alpha(one: Settings, other: Settings) -> bool:
    """Whether settings are the same but for alpha."""
    return replace(one, alpha=None, origins={}) == replace(other, alpha=None, origins={})


def _is_adapted(captioner: "Captioner", before: Settings, now: Settings) -> bool:
    """Adapt a loaded checkpoint to other settings, if only alpha differs; says whether it was."""
    return now.alpha is not None and differ_in_alpha(before, now) and captioner.set_alpha(now.alpha)
