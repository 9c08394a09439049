"""The checkpoint that another one is made from: by packing it, or by folding its LoRA into it."""

from dataclasses import dataclass
from typing import Any

from pllava_cli.loader import Checked, check_checkpoint


@dataclass(frozen=True)
class Source:
    """A checkpoint, and what is to be read of it."""

    model: str
    """A name of weights.toml or a folder."""
    alpha: float | None = None
    """Strength of LoRA; None: the checkpoint's own."""
    base: str | None = None
    """For an adapter: its base; None: the one that it names."""
    offline: bool = False
    """Say in errors that nothing may be fetched (nothing ever is)."""

    def check(self, **runtime: Any) -> Checked:
        """Find and check it, whether or not it could run here; the rest is as of `check_checkpoint`."""
        return check_checkpoint(
            self.model, alpha=self.alpha, base=self.base, offline=self.offline, must_fit=False, **runtime
        )
