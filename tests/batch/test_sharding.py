"""Shards: each clip in exactly one, and the same one whatever else there is."""

from pathlib import Path

import pytest

from pllava_cli.batch.sharding import Shard, parse_shard, shard
from pllava_cli.batch.work import Work
from pllava_cli.errors import UsageError
from pllava_cli.inputs import Clip, clip_id
from pllava_cli.records import Segment


def works(count: int) -> list[Work]:
    paths = [Path(f"/clips/{number}.mp4") for number in range(count)]
    return [Work(Clip(path, clip_id(path)), Segment(index)) for path in paths for index in (0, 1)]


def test_shards_share_out_everything_about_evenly() -> None:
    everything = works(1000)
    shards = [list(shard(everything, Shard(index, 4))) for index in (1, 2, 3, 4)]
    assert sorted(work.clip.id for part in shards for work in part) == sorted(
        work.clip.id for work in everything
    )
    for part in shards:
        assert 2 * 200 < len(part) < 2 * 300  # 250 clips; 50 more or fewer are 3.6 standard deviations
    for one in range(4):
        ids = {work.clip.id for work in shards[one]}
        assert not any(work.clip.id in ids for other in range(4) if other != one for work in shards[other])


def test_a_shard_stays_when_clips_are_added() -> None:
    before, after = (set(shard(works(count), Shard(2, 3))) for count in (100, 200))
    assert before <= after and after - before <= set(works(200)[200:])


def test_one_shard_is_everything_and_ids_decide_for_good() -> None:
    assert list(shard(works(5), Shard(1, 1))) == works(5)
    # Journals of earlier runs rely on it: its SHA-256 begins with 16 digits that are 2 modulo 4.
    assert [index for index in (1, 2, 3, 4) if Shard(index, 4).holds("clip-0123456789")] == [3]


@pytest.mark.parametrize(("text", "index", "count"), [("1/1", 1, 1), ("3/4", 3, 4), (" 10 / 10 ", 10, 10)])
def test_flags(text: str, index: int, count: int) -> None:
    assert parse_shard(text, {"SLURM_ARRAY_TASK_ID": "oops"}) == Shard(index, count)


@pytest.mark.parametrize(
    "text",
    ["", "1", "0/4", "5/4", "-1/4", "1/0", "a/b", "1/4/2", "1.0/4", "1/99999999", "٣/٤", "9" * 5000 + "/1"],
)
def test_flags_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--shard") as caught:
        parse_shard(text, {})
    assert "1/4" in caught.value.hint


def array(**values: object) -> dict[str, str]:
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


def test_without_either_there_are_no_shards() -> None:
    assert parse_shard(None, {}) is None
    assert parse_shard(None, array(COUNT=4)) is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (array(ID=0, COUNT=4, MIN=0, MAX=3, STEP=1), Shard(1, 4)),
        (array(ID=3, COUNT=4, MIN=0), Shard(4, 4)),
        (array(ID=1, COUNT=4, MIN=1), Shard(1, 4)),
        (array(ID=7, COUNT=4, MIN=1, MAX=7, STEP=2), Shard(4, 4)),
        (array(ID=0, COUNT=1, MIN=0, MAX=0), Shard(1, 1)),
        (array(ID=1, COUNT=1, MIN=1, MAX=1), Shard(1, 1)),
    ],
)
def test_job_arrays(environment: dict[str, str], expected: Shard) -> None:
    assert parse_shard(None, environment) == expected


@pytest.mark.parametrize(
    "environment",
    [
        array(ID=3, COUNT=3, MIN=3, MAX=9),  # --array=3,7,9: some tasks of an earlier array again
        array(ID=9, COUNT=3, MIN=3),
        array(ID=7, COUNT=1, MIN=7, MAX=7),  # --array=7
        array(ID=2, COUNT=4, MIN=1, MAX=7, STEP=2),
        array(ID=0, COUNT=4, MIN=1),
        array(ID=0, COUNT=0, MIN=0),
        array(ID=1, COUNT=4),
        array(ID=1, MIN=1),
        array(ID="x", COUNT=4, MIN=1),
        array(ID=1, COUNT=4, MIN=1, MAX=""),
    ],
)
def test_job_arrays_that_tell_no_shard(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_shard(None, environment)
    assert "--shard" in caught.value.hint
