"""MSVD's descriptions as a table."""

from pathlib import Path

import pytest

from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.evaluation.benchmarks import references

HEADER = "VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description\n"
GOOD = "-4wsuPCjDBc,5,15,1,clean,52,English,a squirrel is eating\n"


def read(folder: Path, content: str | bytes) -> tuple[list[references.Described], list[tuple[str, str]]]:
    file = folder / "references"  # a name that tells nothing of its form
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    described, faults = references.read(file)
    return described, [(fault.where, fault.message) for fault in faults]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_english_sentences_of_each_clip(tmp_path: Path, mark: str, end: str) -> None:
    rows = [
        GOOD,
        "-4wsuPCjDBc,5,15,2,unverified,9,Slovene,veverica je\n",
        '-4wsuPCjDBc,5,15,3,clean,20,English,"a chipmunk, in short,\nis eating"\n',
        "-7KMZQEsJW4,205,208,4,clean,8,English,a man is lifting a car\n",
    ]
    described, faults = read(tmp_path, mark + (HEADER + "".join(rows)).replace("\n", end))
    assert faults == []
    assert [(each.id, each.name, each.captions) for each in described] == [
        ("-4wsuPCjDBc_5_15", "-4wsuPCjDBc_5_15", ["a squirrel is eating", "a chipmunk, in short, is eating"]),
        ("-7KMZQEsJW4_205_208", "-7KMZQEsJW4_205_208", ["a man is lifting a car"]),
    ]


def test_columns_may_stand_in_any_order_and_the_language_be_left_out(tmp_path: Path) -> None:
    described, faults = read(tmp_path, "id,Description,End,Start,VideoID\n7,a cat sits,15,5,-4wsuPCjDBc\n")
    assert [(each.name, each.captions) for each in described] == [("-4wsuPCjDBc_5_15", ["a cat sits"])]
    assert faults == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"vid1,5,15,1,clean,52,English,a cat sits", "'vid1_5_15' is not a clip's name"),
        (b"../4wsuPCjD,5,15,1,clean,52,English,x", "'../4wsuPCjD_5_15' is not a clip's name"),
        (b"-4wsuPCjDBc,-5,15,1,clean,52,English,x", "is not a clip's name: YouTube's id, start and end"),
        (b"-4wsuPCjDBc", "'-4wsuPCjDBc__' is not a clip's name"),
        (b"-7KMZQEsJW4,205,208,1,clean,52,English", "holds no word"),
        (b"-7KMZQEsJW4,205,208,1,clean,52,English,...", "holds no word"),
        (b"-7KMZQEsJW4,205,208,1,clean,52,English,a man, lifting", "has more cells than the first line"),
        (b"-7KMZQEsJW4,205,208,1,clean,52,English,caf\xe9", "is not UTF-8"),
        (b"-7KMZQEsJW4,205,208,1,clean,52,English," + b"word " * 5000, "longer than"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_and_the_rest_is(tmp_path: Path, row: bytes, message: str) -> None:
    described, faults = read(tmp_path, (HEADER + GOOD).encode() + row + b"\n")
    assert [each.name for each in described] == ["-4wsuPCjDBc_5_15"]
    assert faults and {where for where, _ in faults} == {"references, line 3"}
    assert any(message in each for _, each in faults)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER.encode(), "no caption of .*references can be used: there is none"),
        ((HEADER + GOOD).encode("utf-16"), "is not UTF-8"),
        ((HEADER + GOOD).encode() + b"-4wsuPCjDBc,5,15," + bytes(9), "line 3 holds a NUL byte"),
        ((HEADER + GOOD + '-4wsuPCjDBc,5,15,1,clean,5,English,"' + GOOD * 5000).encode(), "larger than"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        read(tmp_path, content)
    assert raised.value.status == ExitStatus.USAGE and raised.value.hint
    assert "\n" not in raised.value.message
