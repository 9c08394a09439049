"""What a scene shows, in words: captions worded in many ways, and the same facts read back from text.

Things are told as a page is read, by where they stand when the clip begins, or in order of time where one
thing happens after another. `tell` and `read` are inverse to each other: what a caption says can be
compared with the truth as facts, however it is worded.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from pllava_cli.shapes.scene import BACKGROUNDS, COLOURS, PAIRED, SHAPES, SIZES, Action, Scene, Thing

Happening = tuple[str, ...]
"""What happens to a thing, however it is worded: ("move", "left"), ("blink", "2"), ("swap", "red circle")."""
Told = tuple[str, str, str, tuple[Happening, ...]]
"""Size, colour and shape of a thing, and what happens to it."""

TIMES = ("once", "twice", "three times")
DIRECTION_WORDS = {
    "left": ("to the left", "left"),
    "right": ("to the right", "right"),
    "up": ("up", "upwards"),
    "down": ("down", "downwards"),
    "upper left": ("to the upper left", "up and to the left"),
    "upper right": ("to the upper right", "up and to the right"),
    "lower left": ("to the lower left", "down and to the left"),
    "lower right": ("to the lower right", "down and to the right"),
}
VERBS = {
    "still": ("stays still", "does not move", "stays in place"),
    "move": ("moves {}", "drifts {}", "glides {}"),
    "grow": ("grows", "gets bigger"),
    "shrink": ("shrinks", "gets smaller"),
    "spin": ("spins", "rotates"),
    "blink": ("blinks {}",),
    "appear": ("appears", "comes into view"),
    "disappear": ("disappears", "vanishes"),
    "recolour": ("turns {}", "changes colour to {}"),
}
"""By kind of action, how it may be worded of one thing; {} is the direction, the times or the colour."""
TOGETHER = {
    "swap": ("swap places", "trade places"),
    "collide": ("collide", "bump into each other"),
}
"""How it is worded of two."""
_ORDINALS = ("first, ", "then ")
"""What leads the sentences of things that act one after the other."""


@dataclass(frozen=True)
class Facts:
    """What a caption says, apart from its wording."""

    things: tuple[Told, ...]
    """The things, in no order that means anything."""
    background: tuple[str, ...]
    """The background's colour, and the one it changes to."""


def facts(scene: Scene) -> Facts:
    """The truth of a scene."""
    things = tuple(
        (thing.size, thing.colour, thing.shape, tuple(happening(scene, action) for action in thing.actions))
        for thing in scene.things
    )
    later = (scene.background_later,) if scene.background_later else ()
    return Facts(tuple(sorted(things)), (scene.background, *later))


def happening(scene: Scene, action: Action) -> Happening:
    """What an action is, apart from its wording."""
    match action.kind:
        case "move":
            return "move", action.direction or ""
        case "blink":
            return "blink", str(len(action.gone))
        case "recolour":
            return "recolour", action.colour or ""
        case "swap" | "collide":
            return action.kind, scene.things[action.partner or 0].name
    return (action.kind,)


def telling_order(scene: Scene) -> list[int]:
    """The order in which a caption tells the things: by time if staged, else as a page is read."""

    def key(index: int) -> tuple[int, tuple[int, float]]:
        thing = scene.things[index]
        begins = min((a.start for a in thing.actions if a.kind != "still"), default=1.0)
        turn = 2 if begins >= 1.0 else int(begins >= 0.5)
        return turn if scene.staged else 0, reading_place(thing.x, thing.y)

    return sorted(range(len(scene.things)), key=key)


def reading_place(x: float, y: float) -> tuple[int, float]:
    """What comes first when a picture is read like a page, in four lines from left to right."""
    return min(int(y * 4), 3), x


def tell(scene: Scene, rng: Random) -> str:
    """A caption of a scene, worded as `rng` draws it."""
    style = _Style(rng)
    sentences, told = [], set[int]()
    order = telling_order(scene)
    happens = [sum(action.kind != "still" for action in thing.actions) for thing in scene.things]
    one_after_another = scene.staged and max(happens) == 1 and sum(happens) == 2
    for place, index in enumerate(order):
        if index in told:
            continue
        thing = scene.things[index]
        partner = thing.actions[0].partner
        if partner is not None and thing.actions[0].kind in PAIRED:
            told.add(partner)
            both = f"a {noun(thing)} and a {noun(scene.things[partner])}"
            sentences.append(f"{both} {style.together[thing.actions[0].kind]}")
            continue
        lead = _ORDINALS[place] if one_after_another and place < 2 else ""
        says = ", then ".join(style.says(action) for action in thing.actions)
        sentences.append(f"{lead}a {noun(thing)} {says}")
    return " ".join(sentence(text) for text in style.with_background(scene, sentences))


def noun(thing: Thing) -> str:
    """Size, colour and shape."""
    return f"{thing.size} {thing.colour} {thing.shape}"


def sentence(text: str) -> str:
    """A text with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


class _Style:
    """The wording of one caption: drawn once, so that a caption is worded alike from end to end."""

    def __init__(self, rng: Random) -> None:
        self.verbs = {kind: rng.choice(words) for kind, words in VERBS.items()}
        self.together = {kind: rng.choice(words) for kind, words in TOGETHER.items()}
        self.direction = rng.choice((0, 1))
        self.lead = rng.choice((True, False))
        self.changes = rng.choice(("changes", "turns"))

    def says(self, action: Action) -> str:
        return self.verbs[action.kind].format(detail(action, self.direction))

    def with_background(self, scene: Scene, sentences: list[str]) -> Sequence[str]:
        if scene.background_later:
            return [
                *sentences,
                f"the background {self.changes} from {scene.background} to {scene.background_later}",
            ]
        if self.lead and not sentences[0].startswith(_ORDINALS[0]):
            return [f"on a {scene.background} background, {sentences[0]}", *sentences[1:]]
        return [*sentences, f"the background is {scene.background}"]


def detail(action: Action, way: int = 0) -> str:
    """The word that an action's verb takes: a direction, how often, a colour; "" if none."""
    match action.kind:
        case "move":
            return DIRECTION_WORDS[action.direction or "left"][way]
        case "blink":
            return TIMES[len(action.gone) - 1]
        case "recolour":
            return action.colour or ""
    return ""


def _any(words: Sequence[str]) -> str:
    return "(?:" + "|".join(sorted(map(re.escape, words), key=len, reverse=True)) + ")"


_NOUN = re.compile(rf"\ban? (?P<size>{_any(SIZES)}) (?P<colour>{_any(COLOURS)}) (?P<shape>{_any(SHAPES)})")
_BACKGROUND = re.compile(
    rf"(?:on a (?P<lead>{_any(BACKGROUNDS)}) background"
    rf"|background is (?P<only>{_any(BACKGROUNDS)})"
    rf"|background (?:changes|turns) from (?P<before>{_any(BACKGROUNDS)}) to (?P<after>{_any(BACKGROUNDS)}))"
)
_WAYS = {word: name for name, words in DIRECTION_WORDS.items() for word in words}
_DETAILS = {"move": _any(list(_WAYS)), "blink": _any(TIMES), "recolour": _any(COLOURS)}


def _phrase(kind: str, wording: str) -> re.Pattern[str]:
    """What recognises a wording; its one group is the detail, "" where there is none."""
    text = wording.format(f"({_DETAILS[kind]})") if kind in _DETAILS else f"{wording}()"
    return re.compile(rf"\b{text}\b")


_PHRASES = [(_phrase(kind, wording), kind) for kind, wordings in VERBS.items() for wording in wordings]


def read(caption: str) -> Facts:
    """The facts that a caption tells; words that say nothing of this world are passed over."""
    text = caption.lower()
    things: list[Told] = []
    for sentence in text.split("."):
        found = list(_NOUN.finditer(sentence))
        together = next((k for k, words in TOGETHER.items() if any(word in sentence for word in words)), None)
        if together and len(found) == 2:
            for one, other in (found, found[::-1]):
                things.append((*_named(one), ((together, f"{other['colour']} {other['shape']}"),)))
        elif len(found) == 1:
            things.append((*_named(found[0]), _happenings(sentence[found[0].end() :])))
        else:
            things += [(*_named(each), ()) for each in found]
    return Facts(tuple(sorted(things)), _background(text))


def _named(found: re.Match[str]) -> tuple[str, str, str]:
    return found["size"], found["colour"], found["shape"]


def _happenings(text: str) -> tuple[Happening, ...]:
    found = []
    for pattern, kind in _PHRASES:
        for match in pattern.finditer(text):
            word = match.group(1)
            word = _WAYS[word] if kind == "move" else str(TIMES.index(word) + 1) if kind == "blink" else word
            found.append((match.start(), (kind, word) if word else (kind,)))
    return tuple(each for _, each in sorted(found))


def _background(text: str) -> tuple[str, ...]:
    found = _BACKGROUND.search(text)
    return tuple(colour for colour in found.groups() if colour) if found else ()
