"""The decode worker: a process of its own in which OpenCV and FFmpeg meet files from anywhere.

A decoder that crashes, hangs or floods its memory takes only this process with it. It is started and
asked by `process.py`, reads one request a line from its standard input, and answers with lines of JSON;
frames travel in a memory file whose path the answer names. It ends when its standard input ends, so it
never outlives the process that started it.
"""

import base64
import dataclasses
import gc
import json
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from pllava_cli.errors import PllavaError
from pllava_cli.video.ffmpeg_log import FfmpegLog
from pllava_cli.video.handover import FrameFile
from pllava_cli.video.limits import MAX_DECODER_BYTES, MAX_PICTURE_PIXELS
from pllava_cli.video.sampling import Selection

PROGRESS_EVERY_S = 0.25
ENVIRONMENT = {
    # At any level from 0 on OpenCV prints FFmpeg's log, which `FfmpegLog` then catches; 16 is AV_LOG_ERROR.
    "OPENCV_FFMPEG_LOGLEVEL": "16",
    "OPENCV_LOG_LEVEL": "SILENT",
    # A clip that names other clips must not reach the network; `splice` joins a header to a clip by concat.
    "OPENCV_FFMPEG_CAPTURE_OPTIONS": "protocol_whitelist;file,concat",
    # A picture of a few kilobytes can claim any size, for which memory is taken before it is read.
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(MAX_PICTURE_PIXELS),
}
"""Read by OpenCV when it is imported, or at its first capture or picture."""


class Worker:
    """Answers requests until its input ends."""

    def __init__(self, requests: int, answers: int) -> None:
        """Take the two descriptors of the conversation."""
        self._answers = answers
        self._requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._log = FfmpegLog()
        self._log.catch_standard_streams()
        self._told = 0.0
        threading.Thread(target=self._listen, args=(requests,), daemon=True).start()

    def run(self) -> None:
        """Import the decoders, say so, and work."""
        try:
            import cv2  # noqa: F401
        except ImportError as error:
            self._say(error={"kind": "setup", "library": "OpenCV", "text": str(error)})
            return
        import pllava_cli.video.decode  # noqa: F401 - before somebody waits for it

        self._say(ready=os.getpid())
        while True:
            self._answer(self._requests.get())

    def confess(self) -> None:
        """Hand the exception under way to the other side: it is a bug of ours."""
        self._say(error={"kind": "bug", "text": traceback.format_exc()})

    def _answer(self, request: dict[str, Any]) -> None:
        try:
            if request["task"] == "shots":
                self._find_shots(request)
            else:
                self._take_frames(request)
        except PllavaError as error:
            self._say(error={"kind": "clip", "message": error.message, "hint": error.hint})
        except MemoryError:
            self._say(error={"kind": "memory"})
        except Exception:
            self.confess()
        else:
            return
        gc.collect()  # the errors' frames refer to each other, and to pictures

    def _take_frames(self, request: dict[str, Any]) -> None:
        from pllava_cli.video.decode import ClipReader
        from pllava_cli.video.folder import FolderReader

        frames = FrameFile(request["folder"])
        try:
            selection, clip = Selection(**request["selection"]), Path(request["clip"])
            if clip.is_dir():
                pictures, report = FolderReader(clip, selection, frames.allocate, self._progress).read()
            else:
                reader = ClipReader(clip, selection, self._log, frames.allocate, self._progress)
                pictures, report = reader.read()
            if "transform" in request:
                made = pickle.loads(base64.b64decode(request["transform"]))(pictures)
                pictures = frames.allocate(made.shape)
                pictures[:] = made
                del made
            self._say(frames=frames.path, shape=pictures.shape, report=dataclasses.asdict(report))
            del pictures
            self._requests.get()  # the other side has mapped the frames
        finally:
            frames.release()

    def _find_shots(self, request: dict[str, Any]) -> None:
        try:
            from pllava_cli.video.shots import ShotFinder
        except MemoryError:
            raise
        except Exception as error:  # not ours: whatever an installation in pieces may raise
            self._say(error={"kind": "setup", "library": "PySceneDetect", "text": str(error)})
            return
        self._say(progress=True)  # to import it may have taken longer than a clip is given
        self._say(shots=ShotFinder(Path(request["clip"]), self._log, self._progress).read())

    def _progress(self) -> None:
        now = time.monotonic()
        if now - self._told > PROGRESS_EVERY_S:
            self._told = now
            self._log.trim()
            self._say(progress=True)

    def _say(self, **answer: Any) -> None:
        line = json.dumps(answer).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._answers, line) :]
        except OSError:
            os._exit(0)

    def _listen(self, requests: int) -> None:
        """Pass requests on; at the end of the input leave at once, whatever the decoder is doing."""
        with os.fdopen(requests, "rb") as lines:
            for line in lines:
                self._requests.put(json.loads(line))
        os._exit(0)


def main() -> None:
    """Run the worker on this process's standard input and output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(ENVIRONMENT)
    _limit_memory()
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    worker = Worker(requests, answers)
    try:
        worker.run()
    except Exception:
        worker.confess()
        raise


def _limit_memory() -> None:
    """Bound this process's own memory, where the system can (on Linux without counting reservations)."""
    if sys.platform != "linux":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = MAX_DECODER_BYTES if hard == resource.RLIM_INFINITY else min(hard, MAX_DECODER_BYTES)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


if __name__ == "__main__":
    main()
