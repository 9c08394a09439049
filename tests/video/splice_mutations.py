"""Mutate a clip's index over and over; run as a program, so that a crash is seen and not suffered.

`python -m tests.video.splice_mutations CLIP SCRATCH_FOLDER SEED COUNT` prints how many mutants gave frames
and how many were refused, and fails at the first that gave a wrong one: where a full decode of the mutant
shows a picture of the intact clip, the splice must show the same. What a decoder makes of a damaged picture
is not defined; OpenCV shows other pixels with one thread than with two.
"""

import hashlib
import random
import resource
import struct
import sys
from pathlib import Path

import numpy as np

from pllava_cli.video.splice import SpliceRefused, open_spliced
from tests.video.splice_helpers import decode_all

MAX_MEMORY_BYTES = 4 << 30
CLUSTER = b"\x1f\x43\xb6\x75"
ODD_NUMBERS = (0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutate(data: bytes, start: int, end: int, rng: random.Random) -> bytes:
    """Change one to four places between `start` and `end`."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(start, end - 4)
        kind = rng.random()
        if kind < 0.4:
            changed[at] = rng.randrange(256)
        elif kind < 0.6:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind < 0.9:
            changed[at : at + 4] = struct.pack(">I", rng.choice((*ODD_NUMBERS, rng.randrange(1 << 32))))
        else:
            del changed[at : at + rng.randrange(1, 9)]
    return bytes(changed)


def index_span(data: bytes) -> tuple[int, int]:
    """Where the index of an MP4 lies, or the head of a Matroska file up to its first block."""
    if b"moof" in data:
        return data.index(b"moov") - 4, data.index(b"mdat")
    return (data.index(b"moov") - 4, len(data)) if b"moov" in data else (0, data.index(CLUSTER) + 20)


def check(path: Path, intact: set[bytes], rng: random.Random) -> bool:
    """Whether the mutant gave frames; raises AssertionError if they are not a full decode's."""
    try:
        clip = open_spliced(path)
        indices = sorted(rng.sample(range(len(clip.times_s)), min(3, len(clip.times_s))))
        frames = clip.read(indices)
    except SpliceRefused:
        return False
    whole = decode_all(path)
    if len(whole.frames) < len(clip.times_s):
        return True
    times_s = whole.times_s - whole.times_s[0]
    for frame, index in zip(frames, indices, strict=True):
        nearest = int(np.argmin(abs(times_s - clip.times_s[index])))
        assert abs(times_s[nearest] - clip.times_s[index]) < 2e-3, "a wrong time"
        if fingerprint(whole.frames[nearest]) in intact:
            assert np.array_equal(frame, whole.frames[nearest]), "a wrong picture"
    return True


def fingerprint(frame: np.ndarray) -> bytes:
    """A hash of a picture."""
    return hashlib.sha256(frame).digest()


def main() -> None:
    """Try the mutants."""
    clip, folder, seed, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    data = clip.read_bytes()
    rng = random.Random(seed)
    intact = {fingerprint(frame) for frame in decode_all(clip).frames}
    spliced = 0
    for number in range(count):
        path = folder / f"{number}{clip.suffix}"
        path.write_bytes(mutate(data, *index_span(data), rng))
        try:
            spliced += check(path, intact, rng)
        except Exception as error:
            raise SystemExit(f"mutant {number} of {clip.name}, seed {seed}: {error!r}") from error
    print(spliced, count - spliced)


if __name__ == "__main__":
    main()
