"""MSVD's descriptions, which are plain text."""

from pathlib import Path

import pytest

from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.evaluation.benchmarks import references
from tests.evaluation.published import MSVD, written

GOOD = "-4wsuPCjDBc_5_15 a squirrel is eating\n"


@pytest.mark.parametrize(
    "text", [MSVD, "\ufeff" + MSVD, MSVD.replace("\n", "\r\n"), MSVD.replace("15 ", "15\t")]
)
def test_the_sentences_of_each_clip(tmp_path: Path, text: str) -> None:
    described, faults = references.read(written(tmp_path, text))
    assert faults == []
    assert [(each.id, each.name, each.captions) for each in described] == [
        (
            "-4wsuPCjDBc_5_15",
            "-4wsuPCjDBc_5_15",
            ["a squirrel is eating a peanut in it's shell", "a chipmunk is eating"],
        ),
        ("-7KMZQEsJW4_205_208", "-7KMZQEsJW4_205_208", ["a man is lifting a car"]),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"vid1 a cat sits", "'vid1' is not a clip's name"),
        (b"../4wsuPCjD_5_15 a cat sits", "'../4wsuPCjD_5_15' is not a clip's name"),
        (b"-4wsuPCjDBc_5 a cat sits", "is not a clip's name: YouTube's id, start and end"),
        (b"-4wsuPCjDBc_5_15_7 a cat sits", "is not a clip's name"),
        (b"-4wsuPCjDBc_-5_15 a cat sits", "is not a clip's name"),
        (b"-7KMZQEsJW4_205_208", "nothing is said of '-7KMZQEsJW4_205_208'"),
        (b"-7KMZQEsJW4_205_208 ...", "holds no word"),
        (b"-7KMZQEsJW4_205_208 caf\xe9", "is not UTF-8"),
        (b"\xff\xfe_5_15 x", "is not a clip's name"),
        (b"-7KMZQEsJW4_205_208 " + b"word " * 5000, "longer than"),
        (b'{"video": "a.mp4", "caption": "x"}', "is not a clip's name"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_the_rest_is(
    tmp_path: Path, line: bytes, message: str
) -> None:
    file = tmp_path / "references"
    file.write_bytes(GOOD.encode() + line + b"\n")
    described, faults = references.read(file)
    assert [each.name for each in described] == ["-4wsuPCjDBc_5_15"]
    assert faults and {fault.where for fault in faults} == {"references, line 2"}
    assert any(message in fault.message for fault in faults)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD.encode() + b"-7KMZQEsJW4_205_208 " + bytes(9), "line 2 holds a NUL byte"),
        (GOOD.encode() + b"x" * (1 << 20), "line 2 is longer than"),
        (
            b"-4wsuPCjDBc_5_15 ...\n",
            "can be used: references, line 1: the caption '...' holds no word",
        ),
        (GOOD.encode("utf-16"), "is not UTF-8"),
        (b"# nothing but a comment\n", "is not JSON"),
        (b"vid1 a cat sits\n", "is not JSON"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "references"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=message) as raised:
        references.read(file)
    assert raised.value.status == ExitStatus.USAGE and raised.value.hint
    assert "references" in raised.value.message and "\n" not in raised.value.message
