"""Sidecars: where they go, what becomes of what is there, and that no two clips share one."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.batch.sidecar import Existing, Sidecars
from pllava_cli.batch.wording import Wording
from pllava_cli.batch.work import Work
from pllava_cli.errors import ClipError, ExitStatus, UsageError
from pllava_cli.inputs import Clip
from pllava_cli.records import Segment
from tests.disks import read_only_folder

WHOLE = Segment()


def work(path: Path | str, segment: Segment = WHOLE, **options: Any) -> Work:
    return Work(Clip(Path(path), str(path)), segment, **options)


@pytest.mark.parametrize(
    ("clip", "segment", "options", "expected"),
    [
        ("a/b.mp4", WHOLE, {}, "a/b.txt"),
        ("a/b.mp4", WHOLE, {"suffix": "caption"}, "a/b.caption"),
        ("a/b.c.mp4", WHOLE, {}, "a/b.c.txt"),
        ("a/b", WHOLE, {}, "a/b.txt"),
        ("a/.mp4", WHOLE, {}, "a/.mp4.txt"),
        ("a/b.mp4", Segment(0, 0.0, 10.0), {}, "a/b.0-10.txt"),
        ("a/b.mp4", Segment(3, 1234.5678, None), {}, "a/b.1234.568-end.txt"),
        ("a/b.mp4", Segment(0, None, 2.5), {}, "a/b.0-2.5.txt"),
    ],
)
def test_names(clip: str, segment: Segment, options: dict[str, Any], expected: str) -> None:
    assert Sidecars(**options).path(Path(clip), segment) == Path(expected)


@pytest.mark.parametrize("suffix", ["", ".", "a/b", "../x", "a\n", " ", "\0", "txt "])
def test_what_is_no_suffix(suffix: str) -> None:
    with pytest.raises(UsageError, match="--sidecar"):
        Sidecars(suffix=suffix)


def test_unknown_ways_and_texts_that_are_none() -> None:
    with pytest.raises(UsageError, match="--existing"):
        Sidecars(existing="replace")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--prefix"):
        Wording(prefix=os.fsdecode(b"\xff"))


@pytest.mark.parametrize(
    ("existing", "before", "expected"),
    [
        ("skip", None, "A bird."),
        ("skip", "old", "old"),
        ("skip", "", ""),
        ("overwrite", "old\n", "A bird."),
        ("append", None, "A bird."),
        ("append", "old\n", "old A bird."),
        ("prepend", "old\n", "A bird. old"),
        ("append", "old A bird.\n", "old A bird."),
        ("prepend", "A bird. old\n", "A bird. old"),
        ("append", "old A bird. It is mine.\n", "old A bird. It is mine."),
        ("prepend", "new A bird.\told\n", "new A bird.\told"),
        ("append", "A bird.s\n", "A bird.s A bird."),
        ("append", "\ufeffä\r\n", "ä A bird."),
    ],
)
def test_existing_files(tmp_path: Path, existing: Existing, before: str | None, expected: str) -> None:
    file = tmp_path / "a.txt"
    if before is not None:
        file.write_text(before, encoding="utf-8", newline="")
    sidecars = Sidecars(existing=existing)
    changed = sidecars.write(tmp_path / "a.mp4", WHOLE, " A bird.\n")
    assert file.read_text(encoding="utf-8").removesuffix("\n") == expected
    assert changed == (expected != (before or "").strip() and not (existing == "skip" and before == ""))
    assert not sidecars.write(tmp_path / "a.mp4", WHOLE, " A bird.\n")
    assert file.read_text(encoding="utf-8").removesuffix("\n") == expected
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("existing", ["overwrite", "append", "prepend"])
@pytest.mark.parametrize(
    ("wording", "text", "expected"),
    [
        (Wording(trigger="sks"), "A bird.", "sks, A bird."),
        (Wording(trigger="sks"), "A sks bird.", "A sks bird."),
        (Wording(trigger="sks"), "A sksy bird.", "sks, A sksy bird."),
        (Wording(prefix="A video of "), "a bird.", "A video of a bird."),
        (Wording(prefix="A video of "), "A video of a bird.", "A video of a bird."),
        (Wording(suffix=", sharp "), "a bird", "a bird, sharp"),
        (Wording(suffix=", sharp"), "a bird, sharp", "a bird, sharp"),
        (Wording("sks", " film: ", " End."), "a bird.", "sks, film: a bird. End."),
        (Wording("C++", "(", ")"), "x", "C++, (x)"),
    ],
)
def test_what_is_added_is_never_doubled(
    tmp_path: Path, wording: Wording, text: str, expected: str, existing: Existing
) -> None:
    sidecars = Sidecars(existing=existing, wording=wording)
    for _ in range(3):
        sidecars.write(tmp_path / "a.mp4", WHOLE, text)
        assert (tmp_path / "a.txt").read_text() == expected + "\n"


def test_what_is_added_stands_once_around_both_texts(tmp_path: Path) -> None:
    sidecars = Sidecars(existing="append", wording=Wording("sks", "film: ", " End."))
    for text in ("one.", "film: two.", "film: two."):
        sidecars.write(tmp_path / "a.mp4", WHOLE, text)
    assert (tmp_path / "a.txt").read_text() == "sks, film: one. two. End.\n"


def test_nothing_is_written_of_nothing(tmp_path: Path) -> None:
    assert not Sidecars(wording=Wording(prefix="x")).write(tmp_path / "a.mp4", WHOLE, " \n")
    assert list(tmp_path.iterdir()) == []


def test_long_names_fit(tmp_path: Path) -> None:
    clip = tmp_path / ("n" * 251 + ".mp4")
    assert Sidecars().write(clip, WHOLE, "A bird.")
    assert (tmp_path / ("n" * 251 + ".txt")).read_text() == "A bird.\n"
    with pytest.raises(ClipError, match="file name too long"):
        Sidecars(suffix=".caption").write(clip, WHOLE, "A bird.")
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_no_text_is_left_alone(tmp_path: Path) -> None:
    contents = {"a": b"\0\0\0\x20ftypisom", "b": b"\xff\xfea\0", "c": b"x" * (1 << 21), "d": b"\xe9t\xe9"}
    for name, content in contents.items():
        (tmp_path / f"{name}.txt").write_bytes(content)
        for existing in ("overwrite", "append", "prepend"):
            with pytest.raises(ClipError) as caught:
                Sidecars(existing=existing).write(tmp_path / f"{name}.mp4", WHOLE, "A bird.")
            assert f"{name}.mp4: cannot write" in caught.value.message and caught.value.hint
        assert (tmp_path / f"{name}.txt").read_bytes() == content
    (tmp_path / "e.txt").mkdir()
    with pytest.raises(ClipError, match="no regular file"):
        Sidecars(existing="overwrite").write(tmp_path / "e.mp4", WHOLE, "A bird.")


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "a.txt").symlink_to("kept")
    Sidecars(existing="overwrite").write(tmp_path / "a.mp4", WHOLE, "A bird.")
    assert (tmp_path / "kept").read_text() == "kept" and (tmp_path / "a.txt").read_text() == "A bird.\n"
    (tmp_path / "b.txt").symlink_to("gone")
    assert not Sidecars().write(tmp_path / "b.mp4", WHOLE, "A bird.")


def test_a_kill_in_between_leaves_nothing_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("old\n")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # as a SIGKILL would leave it
        with pytest.raises(KeyboardInterrupt):
            Sidecars(existing="overwrite").write(tmp_path / "a.mp4", WHOLE, "A bird.")
    assert (tmp_path / "a.txt").read_text() == "old\n"
    Sidecars(existing="overwrite").write(tmp_path / "a.mp4", WHOLE, "A bird.")
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "A bird.\n"


def test_a_full_disk_ends_the_run(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from pllava_cli.batch.sidecar import Sidecars;"
        "from pllava_cli.records import Segment\n"
        "try: Sidecars().write(Path(sys.argv[1]), Segment(), 'word ' * 1000)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.mp4"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.startswith("UsageError cannot write") and "file too large" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "works",
    [
        [work("a.mp4"), work("a.mov")],
        [work("a.mp4"), work("b.mp4"), work("b.mkv")],
        [work("x/../a.mp4"), work("a.mov")],
        [work("a.mp4", Segment(0, 0.0, 1.0)), work("a.mp4", Segment(1, 0.0, 1.0001))],
        [work("a.mp4", Segment(0, 0.0, 10.0)), work("a.0-10.mp4")],
        [work("a.mp4", questions=("Who?", "Where?"))],
        [work("a.mp4", questions=("x" * 80 + "1", "x" * 80 + "2"))],
    ],
)
def test_two_inputs_never_share_a_sidecar(
    works: list[Work], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x").mkdir()
    with pytest.raises(UsageError) as caught:
        Sidecars().check(works)
    assert "would both write" in caught.value.message and caught.value.status == ExitStatus.USAGE
    for each in works[-2:]:
        assert str(each.clip.path) in caught.value.message


def test_clips_of_one_name_share_none_but_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x", "y"):
        Path(name).mkdir()
    works = [work("x/a.mp4"), work("y/a.mp4")]
    Sidecars().check(works)
    Path("z").symlink_to("x")
    with pytest.raises(UsageError, match="would both write"):
        Sidecars().check([*works, work("z/a.mov")])


def test_what_shares_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Sidecars().check(
        [
            work("a.mp4"),
            work("a.mp4"),  # the same again
            work("a.mp4", Segment(0, 0.0, 1.0)),
            work("a.mp4", Segment(1, 1.0, 2.0)),
            work("b.mp4"),
            work("b.mov", fault=ClipError("it is gone")),
        ]
    )


def test_a_sidecar_is_never_a_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for works in ([work("a.mp4"), work("b.mov")], [work("b.mov"), work("b.mp4")]):
        with pytest.raises(UsageError, match=r"would overwrite the clip|would both write"):
            Sidecars(suffix=".mp4").check(works)


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that an ordinary user cannot write to, and such a user."""
    with read_only_folder() as folder:
        yield folder


def test_a_folder_that_cannot_be_written_is_found_before(read_only: Path) -> None:
    with pytest.raises(UsageError, match="cannot write sidecars into") as caught:
        Sidecars().check([work(read_only / "a.mp4")])
    assert caught.value.hint == "change its permissions, or leave --sidecar out: the records hold all texts"
    with pytest.raises(ClipError, match="permission denied"):
        Sidecars().write(read_only / "a.mp4", WHOLE, "A bird.")


def test_a_folder_that_cannot_be_written_is_no_hindrance_where_nothing_is_to_be() -> None:
    with read_only_folder("a.txt") as folder:
        done, new = work(folder / "a.mp4"), work(folder / "b.mp4")
        Sidecars().check([done])
        for sidecars, works in ((Sidecars(), [done, new]), (Sidecars(existing="append"), [done])):
            with pytest.raises(UsageError, match="cannot write sidecars into"):
                sidecars.check(works)
