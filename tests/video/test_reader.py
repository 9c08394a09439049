"""The door to video: arguments, silence, isolation from crashes, hangs and interruptions."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from pllava_cli.errors import ClipError, UsageError
from pllava_cli.video.limits import MAX_DECODER_BYTES
from pllava_cli.video.reader import Decoder, decoder_pid, sample_frames, start_decoder, stop_decoder
from tests.clips import write_clip
from tests.processes import PATIENCE_S, until, until_ended
from tests.video.amid import HANG, INTERRUPT, killing

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 pictures of 64x48 at 30 frames a second; picture i has the brightness i."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 30, (64, 48))
    for index in range(90):
        writer.write(np.full((48, 64, 3), index, np.uint8))
    writer.release()
    return path


@pytest.fixture
def pid(clip: Path) -> Iterator[int]:
    """Process id of a worker that is ready."""
    sample_frames(clip, 1)
    pid = decoder_pid()
    assert pid is not None
    yield pid
    stop_decoder()


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    """One of its own, of which nobody else has had a worker killed."""
    decoder = Decoder()
    decoder.start()
    yield decoder
    decoder.stop()


def works(clip: Path, sample: Callable[..., Any] = sample_frames) -> bool:
    frames, _, report = sample(clip, 8)
    return frames[:, 0, 0, 0].tolist() == report.indices


def test_numbers_of_numpy_are_numbers(clip: Path) -> None:
    frames, _, report = sample_frames(clip, np.int64(3), np.float32(0.5), np.float64(2.0))
    assert frames.shape[0] == 3
    assert report.indices == sample_frames(clip, 3, 0.5, 2.0)[2].indices


@pytest.mark.parametrize(
    ("n", "start", "timeout_s"),
    [(1.5, None, 60), (None, None, 60), (3, "soon", 60), (3, None, -1), (3, None, float("nan"))],
)
def test_what_is_no_number_is_refused(clip: Path, n: object, start: object, timeout_s: float) -> None:
    with pytest.raises(UsageError) as caught:
        sample_frames(clip, n, start, timeout_s=timeout_s)  # type: ignore[arg-type]
    assert caught.value.hint


def run_script(source: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [(0,), (-1,), (10**9,), (4, -1.0), (4, 2.0, 2.0), (4, 3.0, 1.0), (4, float("nan")), (4, None, 0.0),
     (4, None, float("inf"))],
)  # fmt: skip
def test_arguments_that_cannot_be_meant(clip: Path, arguments: tuple) -> None:
    with pytest.raises(UsageError):
        sample_frames(clip, *arguments)


def test_exactly_the_frames_asked_for(clip: Path) -> None:
    frames, times, report = sample_frames(clip, 4)
    assert report.indices == [11, 33, 55, 78]
    assert (frames == np.array(report.indices, np.uint8)[:, None, None, None]).all()
    assert times == pytest.approx([index / 30 for index in report.indices])
    assert report.timestamps_s == times
    assert (report.frames_decoded, report.frames_header) == (90, 90)
    assert report.duration_s == pytest.approx(3.0)
    assert (report.codec, report.rotation_deg, report.warnings) == ("ffv1", 0, ())


def test_a_short_clip_repeats_its_frames(clip: Path) -> None:
    frames, _, report = sample_frames(clip, 300)
    assert frames.shape == (300, 48, 64, 3)
    assert frames[:, 0, 0, 0].tolist() == report.indices
    assert report.warnings


def test_frames_belong_to_the_caller(clip: Path) -> None:
    first, _, _ = sample_frames(clip, 4)
    kept = first.copy()
    first[0] = 255
    kept[0] = 255
    second, _, _ = sample_frames(clip, 5)
    assert (first == kept).all()
    del first
    assert second[-1, 0, 0, 0] != 255


def test_import_is_light() -> None:
    done = run_script(
        """
        import sys
        import pllava_cli.video.reader
        heavy = {"cv2", "torch", "transformers", "av"} & set(sys.modules)
        assert not heavy, heavy
        """
    )
    assert done.returncode == 0, done.stderr.decode()


def test_nothing_is_printed_and_no_main_guard_is_needed(corpus: Path) -> None:
    done = run_script(
        """
        import sys
        from pathlib import Path
        from pllava_cli.errors import ClipError
        from pllava_cli.video.reader import sample_frames
        for path in sorted(Path(sys.argv[1]).glob("*")):
            if path.name.startswith(("scribbled", "cut", "noise", "interlaced", "no_moov", "av1", "header")):
                try:
                    sample_frames(path, 4)
                except ClipError:
                    pass
        """,
        corpus,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_nothing_is_imported_from_the_current_folder(clip: Path, tmp_path: Path) -> None:
    for name in ("cv2", "numpy", "json", "psutil"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w')\n")
    source = f"import os; os.chdir({str(tmp_path)!r})\n" + textwrap.dedent(
        """
        import sys
        from pllava_cli.video.reader import sample_frames
        sample_frames(sys.argv[1], 2)
        """
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", source, clip], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == 0
    assert not (tmp_path / "imported").exists()


def test_one_worker_serves_all_calls(clip: Path, pid: int) -> None:
    start_decoder()
    assert works(clip)
    assert decoder_pid() == pid


def test_calls_from_many_threads(clip: Path) -> None:
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(works(clip))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 6


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_crash_is_an_error_of_the_clip_and_the_next_call_works(
    clip: Path, decoder: Decoder, number: signal.Signals
) -> None:
    before = decoder.pid
    with pytest.raises(ClipError, match=rf"clip\.avi: the decoder crashed \(killed by {number.name}\)"):
        decoder.sample(clip, 4, transform=killing(number))
    assert works(clip, decoder.sample)
    assert decoder.pid != before


def test_errors_name_the_clip_as_it_was_named(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cut.avi").write_bytes(clip.read_bytes()[:500])
    Path("frames").mkdir()
    Path("frames/0001.png").write_bytes(b"no picture")
    for name in ("cut.avi", "frames"):
        with pytest.raises(ClipError) as caught:
            sample_frames(name, 4)
        assert caught.value.message.startswith(name) and str(tmp_path) not in caught.value.message


def test_a_worker_that_died_between_calls_is_replaced(clip: Path, pid: int) -> None:
    worker = psutil.Process(pid)
    worker.kill()
    worker.wait(PATIENCE_S)
    assert works(clip)


def test_a_hang_is_an_error_after_the_timeout_and_the_next_call_works(clip: Path, decoder: Decoder) -> None:
    worker = psutil.Process(decoder.pid)
    with pytest.raises(ClipError, match=r"clip\.avi: the decoder made no progress for 0\.3 s"):
        decoder.sample(clip, 4, timeout_s=0.3, transform=HANG)
    until_ended(worker)
    assert works(clip, decoder.sample)


def test_an_interrupted_call_leaves_nothing_behind(clip: Path, decoder: Decoder) -> None:
    worker = psutil.Process(decoder.pid)
    with pytest.raises(KeyboardInterrupt):
        decoder.sample(clip, 4, transform=INTERRUPT)
    until_ended(worker)
    assert works(clip, decoder.sample)


def test_ctrl_c_in_a_terminal_makes_no_noise(clip: Path) -> None:
    """Ctrl-C goes to the whole process group; the worker is not in it and has nothing to say."""
    source = """
        import sys, time
        from pllava_cli.video.reader import decoder_pid, sample_frames
        sample_frames(sys.argv[1], 2)
        try:
            print(decoder_pid(), flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            sample_frames(sys.argv[1], 2)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source), str(clip)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    worker = psutil.Process(int(process.stdout.readline()))
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, err) == (0, b"", b"")
    until_ended(worker)


def test_the_worker_ends_with_a_parent_that_is_killed(clip: Path) -> None:
    source = """
        import sys
        from pllava_cli.video.reader import decoder_pid, sample_frames
        sample_frames(sys.argv[1], 2)
        print(decoder_pid(), flush=True)
        sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(source), str(clip)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    until_ended(worker)


def test_a_fork_gets_a_worker_of_its_own(clip: Path) -> None:
    done = run_script(
        """
        import os, sys
        from pllava_cli.video.reader import decoder_pid, sample_frames, stop_decoder

        def works():
            frames, _, report = sample_frames(sys.argv[1], 8)
            return frames[:, 0, 0, 0].tolist() == report.indices

        assert works()
        pid = decoder_pid()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if works() and decoder_pid() != pid else 2
                stop_decoder()
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert works() and decoder_pid() == pid
        """,
        clip,
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_many_calls_keep_no_descriptors_and_no_memory(clip: Path, pid: int) -> None:
    def usage() -> list[int]:
        return [len(list(Path(f"/proc/{process}/fd").iterdir())) for process in ("self", pid)]

    before, memory = usage(), psutil.Process(pid).memory_info().rss
    for _ in range(60):
        sample_frames(clip, 200)  # 1.8 MB
    until(lambda: all(now <= then for now, then in zip(usage(), before, strict=True)))
    assert psutil.Process(pid).memory_info().rss - memory < 20 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="the limit exists on Linux")
def test_the_decoder_s_memory_is_bounded(clip: Path, tmp_path: Path) -> None:
    large = write_clip(tmp_path / "large.mp4", seed=1, enlarged=30)
    stop_decoder()  # one that has decoded has memory left
    sample_frames(clip, 1)
    worker = psutil.Process(decoder_pid())
    soft, hard = worker.rlimit(psutil.RLIMIT_DATA)
    assert soft <= MAX_DECODER_BYTES
    worker.rlimit(psutil.RLIMIT_DATA, (1 << 20, hard))
    with pytest.raises(ClipError):
        sample_frames(large, 8)
    with suppress(psutil.NoSuchProcess):  # it may not have survived that
        worker.rlimit(psutil.RLIMIT_DATA, (soft, hard))
    assert works(clip)


def test_frames_come_through_a_temporary_file_where_memory_cannot_be_shared(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delattr(os, "memfd_create", raising=False)
    stop_decoder()
    assert works(clip)
    stop_decoder()
    assert list(tmp_path.iterdir()) == []


def test_opencv_that_cannot_be_loaded_is_no_fault_of_the_clip(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pllava_cli.errors import PllavaError

    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    stop_decoder()
    with pytest.raises(PllavaError, match=r"libGL\.so\.1") as caught:
        sample_frames(clip, 4)
    assert not isinstance(caught.value, ClipError)
    stop_decoder()
