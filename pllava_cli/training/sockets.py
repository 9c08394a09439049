"""Where processes that prepare batches hand them over: at sockets, whose names must be short.

They lie in the folder for temporary files. Where its own name is too long a thread fails that nobody hears
(python/cpython#132124), and the run would wait for its first batch for ever.
"""

import os
import tempfile
from multiprocessing import util

from pllava_cli.errors import UsageError

MOST_BYTES = 103
"""Of a socket's name: what `sun_path` holds on macOS, less its end; on Linux it is four more."""
_NAME = "/pymp-12345678/listener-12345678"
"""What multiprocessing adds to the name of the folder."""
_ELSEWHERE = ("/tmp", "/var/tmp")


def make_room() -> None:
    """Choose the folder for this process's sockets, if it has none yet.

    Raises:
        UsageError: There is none of a name that is short enough.
    """
    before = tempfile.gettempdir()
    for folder in (before, *_ELSEWHERE):
        if len(os.fsencode(folder)) + len(_NAME) > MOST_BYTES:
            continue
        tempfile.tempdir = folder
        try:
            util.get_temp_dir()  # which the process keeps, and removes at its end
            return
        except OSError:  # it is not there, or not ours to write to
            continue
        finally:
            tempfile.tempdir = before
    raise UsageError(
        f"the name of the folder {before} is too long for sockets", "set TMPDIR to a shorter one"
    )
