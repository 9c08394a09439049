"""Colour tags that OpenCV must not see: those that make it map tones and gamuts, slowly.

OpenCV >= 4.13 maps HDR and wide-gamut pictures to the screen's colours with tables that take 3 to 20
seconds to build, in every capture; decord, PyAV and torchcodec, and so the pictures that checkpoints were
trained on, leave the numbers alone. Tagged "unspecified", they are left alone here too: the matrix, which
decides how chroma becomes colour, is kept. Tags swscale cannot convert at all are refused, because OpenCV
then returns whatever was in its buffer.

Source: each code point of ITU-T H.273 tried on one clip with opencv-python 4.14.0.94.
"""

from pllava_cli.video.boxes import map_children
from pllava_cli.video.index import SpliceRefused

UNSPECIFIED = 2
MAPPED_PRIMARIES = frozenset({8, 9, 10, 11, 12, 22})
"""Film, BT.2020, XYZ, DCI-P3, Display P3 and EBU 3213 primaries: mapped to BT.709."""
MAPPED_TRANSFERS = frozenset({9, 10, 16, 18})
"""PQ and HLG are mapped to an SDR curve; the two logarithmic curves are not convertible."""
CONVERTIBLE_MATRICES = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 9})
"""Matrices swscale can convert from; with any other the picture is not written at all."""


def is_mapped(primaries: int, transfer: int) -> bool:
    """Whether OpenCV would change the picture because of these tags."""
    return primaries in MAPPED_PRIMARIES or transfer in MAPPED_TRANSFERS


def check_matrix(matrix: int) -> None:
    """Refuse pictures that OpenCV cannot turn into RGB.

    Raises:
        SpliceRefused: The matrix is not among `CONVERTIBLE_MATRICES`.
    """
    if matrix not in CONVERTIBLE_MATRICES:
        raise SpliceRefused(f"OpenCV cannot convert colours with matrix {matrix}")


def neutral_entry(entry: bytes) -> bytes:
    """A sample entry whose `colr` and `vpcC` boxes no longer ask for a mapping."""
    return map_children(entry, {b"colr": _neutral_colr, b"vpcC": _neutral_vpcc})


def _neutral_colr(contents: bytes) -> bytes:
    if contents[:4] not in (b"nclx", b"nclc") or len(contents) < 10:
        return contents
    tags = [int.from_bytes(contents[at : at + 2], "big") for at in (4, 6, 8)]
    check_matrix(tags[2])
    if not is_mapped(tags[0], tags[1]):
        return contents
    return contents[:4] + 2 * UNSPECIFIED.to_bytes(2, "big") + contents[8:]


def _neutral_vpcc(contents: bytes) -> bytes:
    if len(contents) < 10:
        return contents
    check_matrix(contents[9])
    if not is_mapped(contents[7], contents[8]):
        return contents
    return contents[:7] + bytes((UNSPECIFIED, UNSPECIFIED)) + contents[9:]
