"""The four sets of open questions that the paper reports: what their folders and files are called."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class QuestionSet:
    """One of the four sets."""

    name: str
    title: str
    folders: Sequence[str]
    """Its own within DATA: the reference's name first, then those of others who use its files."""
    videos: Sequence[str]
    """Folders of videos within its own, the published one first."""
    suffixes: Sequence[str]
    """Of videos, in the order in which they are tried, the published one first."""
    prefixes: Sequence[str] = ("",)
    """What a file's name has before the name that the set gives, in that order."""


SETS = {
    each.name: each
    for each in (
        QuestionSet(
            "msvd", "MSVD-QA", ("MSVD_Zero_Shot_QA",), ("videos",), (".avi", ".mp4", ".mov", ".mkv", ".webm")
        ),
        QuestionSet(
            "msrvtt",
            "MSRVTT-QA",
            ("MSRVTT_Zero_Shot_QA",),
            ("videos/all", "videos"),
            (".mp4", ".avi", ".mov", ".mkv", ".webm"),
        ),
        QuestionSet(
            "activitynet",
            "ActivityNet-QA",
            ("ActivityNet", "Activitynet_Zero_Shot_QA"),
            ("all_test", "videos"),
            (".mp4", ".mkv", ".webm", ".avi", ".mov"),
            ("v_", ""),
        ),
        QuestionSet(
            "tgif",
            "TGIF-QA",
            ("TGIF_QA", "TGIF_Zero_Shot_QA"),
            ("tgif_videos", "mp4", "videos"),
            (".gif", ".mp4", ".avi", ".mov", ".mkv", ".webm"),
        ),
    )
}
"""Source: magic-research/PLLaVA (6f49fd2), tasks/eval/videoqabench, after mbzuai-oryx/Video-ChatGPT."""
