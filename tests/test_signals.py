"""Signals are heeded while the main thread waits."""

import signal
import threading
import time
from queue import Empty, SimpleQueue

import pytest

from pllava_cli import signals


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to single threads here")
def test_a_signal_that_does_not_wake_the_main_thread_is_heeded_all_the_same() -> None:
    queue: SimpleQueue[str] = SimpleQueue()

    def interrupt() -> None:
        time.sleep(0.1)  # until the main thread waits
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    with signals.Signals(lambda *_: queue.put("stop")):
        threading.Thread(target=interrupt).start()
        assert signals.take(queue) == "stop"


@pytest.mark.parametrize("timeout_s", [-1.0, 0.0, 0.01, signals.HEED_S + 0.01])
def test_an_item_is_not_waited_for_longer_than_wanted(timeout_s: float) -> None:
    queue: SimpleQueue[str] = SimpleQueue()
    with pytest.raises(Empty):
        signals.take(queue, timeout_s)
    queue.put("there")
    assert signals.take(queue, timeout_s) == "there"


@pytest.mark.parametrize(
    ("status", "said"), [(1, "exit status 1"), (-9, "killed by SIGKILL"), (-37, "killed by signal 37")]
)
def test_how_a_process_died_is_told_of_every_signal(status: int, said: str) -> None:
    """Of those for real time only two have names."""
    assert signals.cause_of_death(status) == said
