"""Clips as entries tell of them: what they say of one clip, or of one part of it, comes together."""

from dataclasses import dataclass
from typing import Any

from pllava_cli.evaluation.benchmarks.references.told import Entries, Part, Told, checked_text
from pllava_cli.evaluation.items import Fault
from pllava_cli.evaluation.reading import EntryError


@dataclass
class Described:
    """A clip or a part of one, and what people say of it."""

    id: str
    """Unique in the file: its `id`, or its name."""
    name: str
    """Of its file, as it stands there."""
    captions: list[str]
    where: str
    """The entry that first names it."""
    split: str | None = None
    """That which this entry says it is of."""
    part: Part | None = None
    """The part of the clip; None: all of it."""
    other_names: tuple[str, ...] = ()
    """What the file may be called instead."""


class Gathered:
    """Clips as their entries come in.

    Args:
        faults: What could not be used before; more are added.
        split: Of this one alone; None: all that is told of.
    """

    def __init__(self, faults: list[Fault], split: str | None) -> None:
        self.faults = faults
        self.splits: dict[str, None] = {}
        """Those that entries name, in that order."""
        self._wanted = split
        self._by_name: dict[tuple[str, Part | None], Described] = {}
        self._by_id: dict[str, Described] = {}

    def take(self, entries: Entries) -> None:
        """Take up entries, and name those that cannot be."""
        for where, told in entries:
            try:
                if isinstance(told, EntryError):
                    raise told
                self._add(where, told)
            except EntryError as error:
                self.faults.append(Fault(where, str(error)))

    def described(self) -> list[Described]:
        """The clips of which anything is said; the others are named."""
        for each in self._by_name.values():
            if not each.captions:
                self.faults.append(Fault(each.where, f"nothing is said of {each.name!r}"))
        return [each for each in self._by_name.values() if each.captions]

    def _add(self, where: str, told: Told) -> None:
        if told.split is not None:
            self.splits[told.split] = None
        if self._wanted not in (None, told.split):
            if told.split is None:
                raise EntryError("names no split")
            return
        clip = self._known(told) or self._new(where, told)
        if told.id is not None:
            self._by_id.setdefault(told.id, clip)
        for caption in told.captions:
            self._say(clip, where, caption)

    def _say(self, clip: Described, where: str, caption: Any) -> None:
        try:
            clip.captions.append(checked_text(caption))
        except EntryError as error:
            self.faults.append(Fault(where, str(error)))

    def _known(self, told: Told) -> Described | None:
        """The clip of an entry; one that has an id only tells of another's, or of a name that stood alone."""
        if told.name is not None:
            return self._by_name.get((told.name, told.part))
        return None if told.id is None else self._by_id.get(told.id) or self._by_name.get((told.id, None))

    def _new(self, where: str, told: Told) -> Described:
        known_as = told.id if told.id is not None else told.name
        assert known_as is not None, "an entry has the one or the other"
        if known_as in self._by_id:
            raise EntryError(f"{known_as!r} is the id of another clip")
        name = told.name if told.name is not None else known_as
        clip = Described(known_as, name, [], where, told.split, told.part, told.other_names)
        self._by_name[name, told.part] = self._by_id[known_as] = clip
        return clip
