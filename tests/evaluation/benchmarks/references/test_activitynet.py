"""ActivityNet Captions: segments of videos."""

from pathlib import Path
from typing import Any

import pytest

from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.evaluation.benchmarks import captions, references
from tests.evaluation.published import ACTIVITYNET, written

GOOD = {"duration": 9, "timestamps": [[0, 5]], "sentences": ["A man jumps."]}


def test_every_segment_stands_by_itself(tmp_path: Path) -> None:
    described, faults = references.read(written(tmp_path, ACTIVITYNET))
    assert faults == []
    assert [(each.id, each.name, each.part, each.captions) for each in described] == [
        ("v_uqiMw7tQ1Cc/1", "v_uqiMw7tQ1Cc", (0.0, 1.15), ["A weight lifting tutorial is given."]),
        ("v_uqiMw7tQ1Cc/2", "v_uqiMw7tQ1Cc", (0.1, 0.4), ["The coach helps the man in red."]),
        ("v_uqiMw7tQ1Cc/3", "v_uqiMw7tQ1Cc", (0.7, 1.1), ["The man lifts the weight."]),
        ("v_bXdq2zI1Ms0/1", "v_bXdq2zI1Ms0", (0.25, 0.9), ["Three men jump."]),
    ]


def test_one_segment_that_is_there_twice_has_two_sentences(tmp_path: Path) -> None:
    video = {"timestamps": [[0, 5], [2, 3], [0.0, 5.0]], "sentences": ["One.", "Two.", "Three."]}
    described, faults = references.read(written(tmp_path, {"v_a": video}))
    assert [(each.id, each.captions) for each in described] == [
        ("v_a/1", ["One.", "Three."]),
        ("v_a/2", ["Two."]),
    ]
    assert faults == []


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (7, "is 7, not an object"),
        (None, "is null, not an object"),
        ({}, "has no timestamps"),
        (GOOD | {"timestamps": None}, "has no timestamps"),
        (GOOD | {"timestamps": {"0": 5}}, "timestamps is an object, not a list"),
        ({"timestamps": [[0, 5]]}, "has no sentences"),
        (GOOD | {"sentences": "A man jumps."}, "sentences is 'A man jumps.', not a list"),
        (GOOD | {"sentences": ["One.", "Two."]}, "has 1 timestamps and 2 sentences"),
        ({"timestamps": [], "sentences": []}, "has no segments"),
    ],
)
def test_a_video_that_cannot_be_used_is_named_and_the_rest_is(
    tmp_path: Path, video: Any, message: str
) -> None:
    described, faults = references.read(written(tmp_path, {"v_good": GOOD, "v_odd": video}))
    assert [each.id for each in described] == ["v_good/1"]
    assert [(fault.where, fault.message) for fault in faults] == [("references, 'v_odd'", message)]


@pytest.mark.parametrize(
    ("times", "sentence", "message"),
    [
        (7, "x", "its times are 7, not a start and an end"),
        ([1], "x", "its times are a list, not a start and an end"),
        ([1, 2, 3], "x", "not a start and an end"),
        ([None, 2], "x", "has no start"),
        ([1, None], "x", "has no end"),
        (["1", 2], "x", "start is '1', not a time in seconds"),
        ([True, 2], "x", "start is true, not a time in seconds"),
        ([-0.5, 2], "x", "start is -0.5, not a time in seconds"),
        ([5, 2], "x", "ends at 2 s, which is not after its start at 5 s"),
        ([2, 2], "x", "ends at 2 s, which is not after its start at 2 s"),
        ([0, 10**30], "x", "not a time in seconds"),
        ([1, 2], None, "a caption is null, not text"),
        ([1, 2], "...", "holds no word"),
    ],
)
def test_a_segment_that_cannot_be_used_is_named_and_the_rest_is(
    tmp_path: Path, times: Any, sentence: Any, message: str
) -> None:
    video = {"timestamps": [[0, 5], times], "sentences": ["A man jumps.", sentence]}
    described, faults = references.read(written(tmp_path, {"v_a": video}))
    assert [each.id for each in described] == ["v_a/1"]
    assert faults and {fault.where for fault in faults} == {"references, 'v_a', segment 2"}
    assert message in faults[0].message


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999"])
def test_a_time_that_is_no_number(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, '{"v_a": {"timestamps": [[0, 1.5]], "sentences": ["x"]}}'.replace("1.5", text))
    with pytest.raises(UsageError, match="references") as raised:
        references.read(file)
    assert raised.value.status == ExitStatus.USAGE and "\n" not in raised.value.message


@pytest.mark.parametrize("name", ["../v_a", "/etc/v_a", "..", "", "a\0b", "a\nb/c", "x" * 300])
def test_a_name_that_is_no_clips(tmp_path: Path, name: str) -> None:
    described, faults = references.read(written(tmp_path, {name: GOOD, "v_good": GOOD}))
    assert [each.name for each in described] == ["v_good"]
    (fault,) = faults
    assert "the video's name" in fault.message and fault.where.isprintable()


class TestClips:
    @pytest.fixture
    def data(self, tmp_path: Path) -> Path:
        folder = tmp_path / "data"
        for name in ("v1-3/train_val/v_uqiMw7tQ1Cc.mp4", "v1-3/train_val/bXdq2zI1Ms0.mkv"):
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return folder

    def test_they_are_named_with_or_without_the_first_letters(self, tmp_path: Path, data: Path) -> None:
        benchmark = captions.read(written(tmp_path, ACTIVITYNET), data)
        assert [(item.clip.name, item.start_s, item.end_s) for item in benchmark.items] == [
            ("v_uqiMw7tQ1Cc.mp4", 0.0, 1.15),
            ("v_uqiMw7tQ1Cc.mp4", 0.1, 0.4),
            ("v_uqiMw7tQ1Cc.mp4", 0.7, 1.1),
            ("bXdq2zI1Ms0.mkv", 0.25, 0.9),
        ]
        assert [item.references for item in benchmark.items][1] == ("The coach helps the man in red.",)
        assert list(benchmark.notes) == [captions.OF_SEGMENTS] and not benchmark.faults

    def test_one_that_is_missing_is_sought_by_its_own_name(self, tmp_path: Path, data: Path) -> None:
        file = written(tmp_path, ACTIVITYNET | {"v_gone": GOOD})
        assert captions.read(file, data).items[-1].clip == data / "v_gone"
