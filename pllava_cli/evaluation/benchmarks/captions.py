"""Clips that people have described: each is captioned, and the captions compared with theirs.

Where people have described parts of a clip, each part is captioned by itself. The comparison stands in
`scoring.captions`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pllava_cli import prompts
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks import references
from pllava_cli.evaluation.benchmarks.clips import AmbiguousError, ClipsBelow
from pllava_cli.evaluation.benchmarks.references import Described
from pllava_cli.evaluation.items import Benchmark, Fault, Item, Manner
from pllava_cli.video.probe import shown_name

NAME = "captions"
MAX_NEW_TOKENS = 256
"""As `pllava caption` has it: a paragraph."""
OF_SEGMENTS = (
    "Each annotated segment is captioned by itself and compared with its own sentence: not with another"
    " annotator's file, nor with segments that overlap it. Figures of dense captioning, where a model finds"
    " the segments, are something else."
)
"""What a reader must know where parts of clips are described."""


def read(file: Path, data: Path | None, split: str | None = None) -> Benchmark:
    """Read what people say of clips, and find the clips.

    Args:
        file: In one of the forms of `references`.
        data: The folder below which the clips are; None: they are taken as named, for captions that
            were made before. A clip that is not there stays an item, whose question then fails.
        split: Only the clips that the file puts in this one; None: all.

    Raises:
        UsageError: The file cannot be used or has no such split, or the folder is none or holds none of
            the clips.
    """
    described, faults = references.read(file, split)
    items = list(_items(described, faults, ClipsBelow(data) if data is not None else None))
    of = "" if split is None else f" of the split {split}"
    if data is not None and not any(is_there for _, is_there in items):
        raise UsageError(
            f"none of the clips that {shown_name(file)} names{of} is below {shown_name(data)}, the first"
            f" being {described[0].name!r}"
            if items
            else f"no clip can be told from others: {faults[-1].message}",
            "name the folder that holds them with --data" + (", or another --split" if of else ""),
        )
    manner = Manner(prompts.SYSTEM, max_new_tokens=MAX_NEW_TOKENS)
    return Benchmark(
        NAME,
        [item for item, _ in items],
        manner,
        faults,
        [OF_SEGMENTS] if any(each.part is not None for each in described) else (),
        splits={each.id: each.split for each in described if each.split is not None},
        clip_names={each.id: each.other_names for each in described if each.other_names},
    )


def _items(
    described: Iterable[Described], faults: list[Fault], files: ClipsBelow | None
) -> Iterator[tuple[Item, bool]]:
    """Yield the items, and whether each one's clip is there; a clip that may be either of two is a fault."""
    for each in described:
        try:
            found = _find(files, each) if files is not None else None
        except AmbiguousError as error:
            faults.append(Fault(each.where, f"{each.name!r}: {error}"))
            continue
        start_s, end_s = each.part or (None, None)
        item = Item(
            id=each.id,
            group=NAME,
            clip=found or (files.data / each.name if files is not None else Path(each.name)),
            question=prompts.CAPTION,
            answer=each.captions[0],
            prompt=prompts.CAPTION,
            start_s=start_s,
            end_s=end_s,
            references=tuple(each.captions),
        )
        yield item, found is not None


def _find(files: ClipsBelow, described: Described) -> Path | None:
    names = (described.name, *described.other_names)
    return next((found for name in names if (found := files.find(name)) is not None), None)
