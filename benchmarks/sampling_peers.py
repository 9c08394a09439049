"""One way to read given frames of a clip per function, each as its library's users would write it.

Every function takes a `Request` and returns upright RGB frames [k, H, W, 3]; `sampling.py` times them,
each in a process of its own. Importing is not timed, opening the clip is.
"""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Reader = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Request:
    """What to read; found out before and given to every reader alike."""

    path: str
    count: int
    """Frames to sample evenly."""
    indices: list[int]
    """The same as positions in shown order."""
    pts: list[int]
    """Of these pictures, in the container's units (for PyAV)."""
    key_pts: list[int]
    """Of all keyframes (for PyAV)."""
    rotation_deg: int
    """Clockwise turn that makes pictures upright."""


def pllava(request: Request) -> Reader:
    """The public function, with a decode worker that has run before."""
    import cv2

    from pllava_cli import sample_frames

    with tempfile.TemporaryDirectory() as folder:
        name = str(Path(folder, "warm.mp4"))
        writer = cv2.VideoWriter(name, cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 64))
        for _ in range(25):
            writer.write(np.zeros((64, 64, 3), np.uint8))
        writer.release()
        sample_frames(name, 2)
    return lambda: sample_frames(request.path, request.count)[0]


def splice(request: Request) -> Reader:
    """The fast path alone, in this process."""
    from pllava_cli.video.splice import open_spliced

    return lambda: open_spliced(Path(request.path)).read(request.indices, request.rotation_deg)


def opencv(request: Request) -> Reader:
    """OpenCV from front to back, converting the wanted pictures only."""
    import cv2

    def read() -> np.ndarray:
        capture = cv2.VideoCapture(request.path, cv2.CAP_FFMPEG)
        wanted, frames = set(request.indices), []
        for at in range(request.indices[-1] + 1):
            if not capture.grab():
                raise RuntimeError("a grab failed")
            if at in wanted:
                frames.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB))
        return np.stack(frames)

    return read


def decord(request: Request) -> Reader:
    """Read by decord, in one batch."""
    from decord import VideoReader, cpu

    return lambda: VideoReader(request.path, ctx=cpu(0)).get_batch(request.indices).asnumpy()


def pyav(request: Request) -> Reader:
    """PyAV, seeking only where a keyframe lies between here and the next picture; its index given."""
    import av

    def read() -> np.ndarray:
        frames: list[np.ndarray] = []
        at = -(1 << 62)
        with av.open(request.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            decoded = container.decode(stream)
            for pts in request.pts:
                key = max((key for key in request.key_pts if key <= pts), default=at)
                if key > at:
                    container.seek(key, stream=stream)
                    decoded = container.decode(stream)
                frame = next(frame for frame in decoded if frame.pts >= pts)
                at = frame.pts
                turned = np.rot90(frame.to_ndarray(format="rgb24"), -request.rotation_deg // 90)
                frames.append(turned)
        return np.stack(frames)

    return read


def torchcodec(request: Request) -> Reader:
    """Read by torchcodec in its exact mode."""
    from torchcodec.decoders import VideoDecoder

    def read() -> np.ndarray:
        decoder = VideoDecoder(request.path, dimension_order="NHWC", seek_mode="exact")
        frames: np.ndarray = decoder.get_frames_at(request.indices).data.numpy()
        return frames

    return read


READERS: dict[str, Callable[[Request], Reader]] = {
    "pllava": pllava,
    "splice": splice,
    "opencv": opencv,
    "decord": decord,
    "pyav": pyav,
    "torchcodec": torchcodec,
}
PACKAGES = {"pyav": "av", "opencv": "opencv-python"}
"""Distributions whose names differ from the readers'."""


def cpu_s() -> float:
    """CPU seconds of this process and, where there is one, of the decode worker."""
    from pllava_cli.video.reader import decoder_pid

    pid = decoder_pid()
    # Linux: the clock of another process is its number, negated and shifted, with the type of clock below.
    worker = time.clock_gettime(~pid << 3 | 2) if pid else 0.0
    return time.process_time() + worker


def quiet() -> None:
    """Keep the libraries' chatter out of the table."""
    os.environ |= {"OPENCV_FFMPEG_LOGLEVEL": "-8", "OPENCV_LOG_LEVEL": "SILENT"}
