"""What is asked, as a run's folder notes it."""

from pathlib import Path
from typing import Any

import pytest

from pllava_cli.evaluation.asked import Asked


@pytest.mark.parametrize(
    "wrong",
    [{"sample": -1}, {"sample": 0}, {"split": False}, {"clips": 0}, {"instruction": []}, {"made": ["x"]}],
)
def test_a_note_of_what_cannot_be_asked_is_none(wrong: dict[str, Any]) -> None:
    plain = Asked("vcgbench", Path("data")).as_dict()
    assert Asked.of(plain) == Asked("vcgbench", Path("data"))
    with pytest.raises((TypeError, ValueError)):
        Asked.of(plain | wrong)
