"""An entry on its way to the disk and back."""

from dataclasses import replace
from math import inf

import pytest
import torch

from pllava_cli.model.visual import VisualTokens
from pllava_cli.video.report import DecodeReport
from pllava_cli.visualstore.entry import Entry, from_bytes, to_bytes

REPORT = DecodeReport(
    indices=[0, 3, 6],
    timestamps_s=[0.0, 0.1, 1 / 3],
    duration_s=0.7,
    fps=29.97002997002997,
    width_px=64,
    height_px=48,
    rotation_deg=90,
    codec="h264",
    frames_header=None,
    frames_decoded=20,
    warnings=("the frame rate varies", "Ünïcode\n"),
    method="splice",
)
KEY = "0123456789abcdef" * 4


def entry(dtype: torch.dtype = torch.float32, *, is_thinned: bool = False) -> Entry:
    tokens = torch.randn(5, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    return Entry(VisualTokens(tokens, torch.tensor([1, 2, 1, 1, 3]) if is_thinned else None), REPORT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("is_thinned", [False, True])
def test_comes_back_to_the_bit(dtype: torch.dtype, is_thinned: bool) -> None:
    made = entry(dtype, is_thinned=is_thinned)
    found = from_bytes(to_bytes(made, KEY), KEY)
    assert found.report == made.report
    assert found.visual.tokens_SD.dtype == dtype
    assert torch.equal(found.visual.tokens_SD, made.visual.tokens_SD)
    if is_thinned:
        assert made.visual.widths_S is not None and found.visual.widths_S is not None
        assert torch.equal(found.visual.widths_S, made.visual.widths_S)
    else:
        assert found.visual.widths_S is None


def test_numbers_that_json_lacks_come_back() -> None:
    made = replace(entry(), report=replace(REPORT, fps=inf))
    assert from_bytes(to_bytes(made, KEY), KEY).report.fps == inf


def test_tokens_that_are_part_of_more() -> None:
    whole = torch.randn(2, 5, 8)
    content = to_bytes(Entry(VisualTokens(whole[1].T), REPORT), KEY)
    assert torch.equal(from_bytes(content, KEY).visual.tokens_SD, whole[1].T)
    assert len(content) < 2000


def test_of_another_key_is_refused() -> None:
    with pytest.raises(ValueError, match="another's"):
        from_bytes(to_bytes(entry(), KEY), KEY[::-1])


def test_torn_is_refused() -> None:
    content = to_bytes(entry(), KEY)
    for length in range(0, len(content), 7):
        with pytest.raises(ValueError):
            from_bytes(content[:length], KEY)
    with pytest.raises(ValueError):
        from_bytes(content + b"\0", KEY)


def test_no_byte_may_change() -> None:
    """Padding of the header apart, a changed byte is never taken for the entry."""
    content = to_bytes(entry(is_thinned=True), KEY)
    header = 8 + int.from_bytes(content[:8], "little")
    for place in range(0, len(content), 3):
        if content[place : place + 1] == b" " and content[place:header].strip() == b"":
            continue
        damaged = bytearray(content)
        damaged[place] ^= 0x11
        with pytest.raises(ValueError):
            from_bytes(bytes(damaged), KEY)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 100,
        bytes(100),
        (2).to_bytes(8, "little") + b"{}",
        (4).to_bytes(8, "little") + b"null",
        (1 << 60).to_bytes(8, "little") + b"{}",
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
        (60).to_bytes(8, "little") + b'{"__metadata__":{"schema":"pllava.visual/1","key":"x"}}'.ljust(60),
    ],
    ids=lambda value: str(value[:12]),
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        from_bytes(content, KEY)
