"""What else the user could ask for where a model does not fit or takes long, and what that would take."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from pllava_cli.model import device as devices
from pllava_cli.model.footprint import Footprint

NAMED = frozenset({"device", "frames", "model", "pooling_shape", "preset", "quantize"})
"""Options that an error or a warning may name, by the names of settings, where nothing else is said."""
WORTH_AN_OFFER = 0.75
"""Share of the work for a clip up to which another option is named because it takes less time; and of the
memory up to which another checkpoint is named because it takes less."""
PACKING = "--quantize 4bit"
LOOK = "`pllava doctor` shows what fits"
NOTHING_LEFT = f"close other programs, or take a machine with more memory; {LOOK}"
"""What to do where no option takes less memory than is taken already."""


@dataclass(frozen=True)
class Offer:
    """Something else that the user could ask for, and what it would take."""

    option: str
    """As it is written on the command line."""
    need: Footprint
    """What is then needed, if no weights are kept a second time in 8 bits."""
    products: int | None = None
    """Multiplications that encoding a clip would take; None: not known, or of another checkpoint."""


@dataclass(frozen=True)
class Relief:
    """What the user could ask for where the memory of a model that was to fit does not suffice after all.

    Each is written as after "use", and takes less than is taken now; of every kind there may be none.
    """

    packing: tuple[str, ...] = ()
    """What makes the weights smaller."""
    clip: tuple[str, ...] = ()
    """What makes a clip smaller, the best first."""
    checkpoint: tuple[str, ...] = ()
    """A checkpoint that is smaller."""
    may_leave_gpu: bool = False
    """Whether it could be tried on the CPU, whose memory is another."""


def may_pack(named: Collection[str]) -> bool:
    """Whether the user, who has these options, can ask for quantisation here."""
    return "quantize" in named and devices.quantization_backend()[0]


def relief(
    need: Footprint,
    option: tuple[str, str],
    lighter: Sequence[Offer],
    smaller: Sequence[Offer],
    *,
    may_pack: bool,
) -> Relief:
    """Return what would take less than a model does, of packing, lighter clips and other checkpoints.

    Args:
        need: The model's footprint.
        option: Its precision and quantisation.
        lighter: Other options for a clip, the best first; those that change nothing are left out.
        smaller: Other checkpoints, the largest first; those that are not clearly smaller are left out.
        may_pack: Whether the user could ask for quantisation in 4 bits.
    """
    most = WORTH_AN_OFFER * need.bytes(*option)
    return Relief(
        packing=(PACKING,) if may_pack and option[1] != "4bit" else (),
        clip=tuple(each.option for each in lighter if each.need.working < need.working),
        checkpoint=tuple(each.option for each in smaller if each.need.bytes(*option) <= most)[:1],
    )


def first_that_fits(
    need: Footprint, option: tuple[str, str], room: int, offers: Sequence[Offer], *, may_pack: bool
) -> str | None:
    """The first option, or two together, with which a model would fit; `None` where there is none.

    Args:
        need: The model's footprint; weights that it keeps a second time in 8 bits it would keep with other
            options, too.
        option: The precision and quantisation in which it does not fit.
        room: Bytes that may be planned for.
        offers: What else the user could ask for, the best first.
        may_pack: Whether the user could ask for quantisation in 4 bits.
    """
    dtype, quantize = option
    packs = may_pack and quantize != "4bit"
    if packs and need.bytes(dtype, "4bit") <= room:
        return PACKING
    for offer in offers:
        then = replace(offer.need, is_rounded=need.is_rounded)
        if then.bytes(dtype, quantize) <= room:
            return offer.option
        if packs and then.bytes(dtype, "4bit") <= room:
            return f"{PACKING} {offer.option}"
    return None


def less_work(need: Footprint, offers: Sequence[Offer]) -> str | None:
    """Say with which option a clip takes clearly less time, and what share; `None` where there is none."""
    for offer in offers:
        share = 1.0 if offer.products is None else offer.products / need.products
        if share <= WORTH_AN_OFFER:
            return f"{offer.option} takes {100 * share:.0f} % of that"
    return None
