"""What decoders are spared where visual tokens of clips are kept."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pllava_cli.errors import ClipError, UsageError
from pllava_cli.model.visual import VisualTokens
from pllava_cli.video.reader import Decoder
from pllava_cli.visualstore.shelf import Shelf
from pllava_cli.visualstore.store import VisualStore
from tests.batch.running import LOOK, job
from tests.clips import write_clip


def test_no_decoder_is_started_for_what_is_kept(tmp_path: Path) -> None:
    look = replace(LOOK, shelf=Shelf(VisualStore(tmp_path / "visual"), "a way"))
    clip, visual = write_clip(tmp_path / "clip.mp4", seed=0), VisualTokens(torch.ones(3, 4))
    first, second = Decoder(), Decoder()
    made = look(job(clip), first)
    assert first.pid is not None and made.pictures is not None and made.key is not None
    assert (made.pictures == LOOK(job(clip), first).pictures).all()
    first.stop()
    assert look.shelf is not None
    look.shelf.keep(made.key, visual, made.report)
    found = look(job(clip), second)
    assert second.pid is None
    assert found.visual is not None and torch.equal(found.visual.tokens_SD, visual.tokens_SD)
    assert (found.path, found.report, found.pictures) == (clip, made.report, None)


def test_what_is_wrong_is_told_as_ever(tmp_path: Path) -> None:
    look = replace(LOOK, shelf=Shelf(VisualStore(tmp_path / "visual"), "a way"))
    (tmp_path / "empty.mp4").touch()
    decoder = Decoder()
    for clip, error in (("empty.mp4", ClipError), ("gone.mp4", UsageError)):
        with pytest.raises(error):
            look(job(tmp_path / clip), decoder)
    with pytest.raises(UsageError, match="no such thing"):
        look(job(tmp_path / "gone.mp4", fault=UsageError("no such thing", "")), decoder)
    decoder.stop()
