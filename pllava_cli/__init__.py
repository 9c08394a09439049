"""Caption videos and answer questions about them, locally, with PLLaVA.

The names below are the stable Python API. They are imported on first use, so that
`import pllava_cli` costs nothing: no torch, no transformers, no OpenCV.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pllava_cli.answers import Answer as Answer
    from pllava_cli.engine import Captioner as Captioner
    from pllava_cli.engine import EncodedClip as EncodedClip
    from pllava_cli.errors import PllavaError as PllavaError
    from pllava_cli.loader import load_model as load_model
    from pllava_cli.model.heap import keep_freed as keep_freed
    from pllava_cli.video.reader import sample_frames as sample_frames

_HOMES = {
    "Answer": "answers",
    "Captioner": "engine",
    "EncodedClip": "engine",
    "keep_freed": "model.heap",
    "load_model": "loader",
    "PllavaError": "errors",
    "sample_frames": "video.reader",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
