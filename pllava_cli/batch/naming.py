"""What file names tell: which are videos, which are manifests, and in which order people count.

A folder holds other things than clips, so only known suffixes are taken from it; a file that is named
by itself is taken as it is.
"""

import re

VIDEO_SUFFIXES = frozenset(
    (  # noqa: SIM905 (a list would take forty lines)
        ".3g2 .3gp .3gp2 .3gpp .asf .avi .divx .dv .f4v .flv .m1v .m2t .m2ts .m2v .m4v .mk3d .mkv .mov .mp4"
        " .mpe .mpeg .mpg .mts .mxf .ogm .ogv .qt .rm .rmvb .ts .vob .webm .wmv"
    ).split()
)
"""What is taken from a folder.

Source: chosen from the patterns of `video/*`, MXF, ASF and RealMedia in freedesktop.org's shared-mime-info
2.2, and FFmpeg's `.m1v` and `.m2v`. Left out are playlists and indices of discs, games' formats, names that
sound has too (`.ogg`, `.mp2`), and `.lrv`, the small copy that a camera keeps beside its `.mp4`.
"""

MANIFEST_SUFFIXES = frozenset({".jsonl", ".ndjson", ".csv", ".tsv"})

_DIGITS = re.compile("([0-9]+)")


def suffix(name: str) -> str:
    """Return the suffix of a file's name with its dot, in lower case; empty if there is none."""
    stem, dot, end = name.rpartition(".")
    return (dot + end).lower() if stem else ""


def is_wanted(name: str) -> bool:
    """Whether a file of this name is taken from a folder: a video, and not hidden."""
    return not name.startswith(".") and suffix(name) in VIDEO_SUFFIXES


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a key that sorts names as people count: `clip2` before `clip10`, capitals apart."""
    # A capturing split alternates between text and digits, so that like is compared with like.
    parts = _DIGITS.split(name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name
