"""What things and happenings are called in questions and answers, open or with a choice."""

from pllava_cli.shapes.captions import VERBS, detail
from pllava_cli.shapes.scene import PAIRED, Action, Kind, Scene, Thing


def does(action: Action) -> str:
    """What an action of one thing is called: always the first of its wordings."""
    return VERBS[action.kind][0].format(detail(action))


def doing(thing: Thing, kind: Kind) -> list[Action]:
    """What a thing does of a kind."""
    return [action for action in thing.actions if action.kind == kind]


def paired(thing: Thing) -> bool:
    """Whether a thing swaps or collides with another."""
    return any(action.kind in PAIRED for action in thing.actions)


def in_turn(scene: Scene) -> list[tuple[Thing, Action]]:
    """What happens, in order of time, where one thing follows another; else nothing."""
    events = [(thing, action) for thing in scene.things for action in thing.actions if action.kind != "still"]
    return sorted(events, key=lambda event: event[1].start) if scene.staged else []


def names_ever(scene: Scene) -> set[str]:
    """The names that things of a scene have at any time: a new colour is a new name."""
    later = {f"{each.colour} {thing.shape}" for thing in scene.things for each in doing(thing, "recolour")}
    return {thing.name for thing in scene.things} | later


def with_article(name: str) -> str:
    """A name with "a" or "an"."""
    return f"{'an' if name.startswith('o') else 'a'} {name}"
