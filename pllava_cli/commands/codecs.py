"""Which codecs OpenCV and PyAV can decode here, asked of the FFmpeg inside each.

They are asked in a process of their own: a broken build of either may bring down the process that
imports it, and OpenCV itself has no way to list what its FFmpeg was built with.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

DECODERS = {
    "h264": ["h264"],
    "hevc": ["hevc"],
    "vp8": ["vp8"],
    "vp9": ["vp9"],
    "av1": ["libdav1d", "libaom-av1", "libgav1"],  # FFmpeg's own `av1` needs a graphics card
    "mpeg4": ["mpeg4"],
    "mpeg2": ["mpeg2video"],
    "prores": ["prores"],
    "mjpeg": ["mjpeg"],
}
"""The decoders of FFmpeg that serve a codec, by the codec's name; any one will do."""

MODULES = {"opencv": "cv2", "av": "av"}
"""The libraries that decode clips."""

_TIMEOUT_S = 60.0

# The libavcodec that an imported library has loaded is found among the mappings of the process, and
# asked through its C interface (avcodec_find_decoder_by_name, in every FFmpeg since 0.5).
_PROBE = """
import ctypes, json, re, sys
module, decoders = sys.argv[1], json.loads(sys.argv[2])
__import__(module)
maps = open("/proc/self/maps", encoding="utf-8", errors="surrogateescape").read()
paths = sorted(set(re.findall(r"(/[^\\n]*libavcodec[^\\n]*)$", maps, re.M)))
if not paths:
    sys.exit("its FFmpeg was not found")
find = ctypes.CDLL(paths[0]).avcodec_find_decoder_by_name
find.restype, find.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
print(json.dumps({name: any(find(each.encode()) for each in names) for name, names in decoders.items()}))
"""


def examine(modules: Mapping[str, str] = MODULES) -> dict[str, dict[str, Any]]:
    """Return for each library what it decodes: `yes`, `no` or `?` by codec, and the reason for a `?`.

    Args:
        modules: The Python module of each library, by what we call the library.
    """
    return {library: _ask(module) for library, module in modules.items()}


def _ask(module: str) -> dict[str, Any]:
    command = [sys.executable, "-c", _PROBE, module, json.dumps(DECODERS)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        if answer.returncode == 0:
            found = json.loads(answer.stdout)
            return {"codecs": {name: "yes" if found[name] else "no" for name in DECODERS}}
        reason = (answer.stderr.strip().splitlines() or [f"ended with {answer.returncode}"])[-1]
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        reason = str(error)
    return {"codecs": dict.fromkeys(DECODERS, "?"), "reason": reason}
