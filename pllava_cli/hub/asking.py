"""A short answer of the hub's, read up to a bound.

The library reads whatever comes until it ends, and with a mirror or a proxy in between it need not end:
bytes without number, or a byte now and then.
"""

import time
from collections.abc import Mapping
from typing import Any

from pllava_cli.hub.failures import stranger, unending

TIMEOUT_S = 30.0
"""How long the hub may say nothing; the library itself would wait for ever."""
LONGEST_S = 300.0
"""How long an answer may take in all: at it the longest comes over a line of 1 Mbit/s. Its head, of which the
library takes 100 KiB at most, is waited for first."""
MOST_BYTES = 32 << 20
"""Of an answer. The hub asks for fewer than 100 000 files in a repository, of which it says some 300 bytes
each. Source: https://huggingface.co/docs/hub/storage-limits."""
MOST_REDIRECTS = 5
"""A renamed repository takes one."""


def answer(path: str, parameters: Mapping[str, str]) -> bytes:
    """Return what the hub answers.

    Args:
        path: From the hub's address on.
        parameters: What is asked, as behind a question mark.

    Raises:
        CheckpointError: The answer does not end, or leads to others without end.
        HfHubHTTPError: The hub refuses the request.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        get_session,
        hf_raise_for_status,
    )

    session, until = get_session(), time.monotonic() + LONGEST_S
    request = session.build_request(
        "GET",
        f"{constants.ENDPOINT}{path}",
        params=parameters,
        # What is packed may come to any size, or to nothing for ever.
        headers=build_hf_headers() | {"Accept-Encoding": "identity"},
        timeout=TIMEOUT_S,
    )
    for _ in range(MOST_REDIRECTS + 1):
        # One by one: the library would read all that stands in an answer that leads elsewhere.
        response = session.send(request, stream=True, follow_redirects=False)
        try:
            if response.next_request is None:
                if response.is_error:
                    response.close()  # whatever it says, its status is enough
                hf_raise_for_status(response)
                return _read(response, until)
            request = response.next_request
        finally:
            response.close()
    raise stranger()


def _read(response: Any, until: float) -> bytes:
    """Return all that comes, if it comes to an end."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise stranger()
    read = bytearray()
    for piece in response.iter_raw():
        read += piece
        if len(read) > MOST_BYTES:
            raise unending(f"{MOST_BYTES >> 20} MB of it have come")
        if time.monotonic() > until:
            raise unending(f"it has come for {LONGEST_S:g} s")
    return bytes(read)
