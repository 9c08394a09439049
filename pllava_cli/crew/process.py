"""A worker in a process of this machine: started, spoken with, ended.

It is started as a plain subprocess, so a script that calls us needs no `if __name__ == "__main__"`, and
in a session of its own, so Ctrl-C reaches only this process. It lives as long as the connection does:
when this process ends, in whatever way, the worker and its decoders end too.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any

from pllava_cli.crew.events import LAST, Died, Event, Ticket
from pllava_cli.crew.worker import Opener, Worker, died_of, tried
from pllava_cli.errors import DeviceError, PllavaError
from pllava_cli.signals import cause_of_death

BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from pllava_cli.crew.process import main; main(int(sys.argv[2]))"
)
"""The worker imports exactly what this process would, wherever the package was found."""


class ProcessMember:
    """A worker in a process of its own, as the crew sees it.

    Args:
        opener: What the worker begins with.
        report: Called with all that is heard of it, from another thread.
        environment: Variables in addition to this process's own.
    """

    def __init__(
        self, opener: Opener, report: Callable[[Event], None], environment: Mapping[str, str]
    ) -> None:
        self._report = report
        self._process, self._connection = _start(environment)
        self._say("open", opener)
        threading.Thread(target=self._listen, daemon=True, name="pllava-crew").start()

    def give(self, tickets: Sequence[Ticket]) -> None:
        """Give it more to do."""
        self._say("give", tickets)

    def finish(self) -> None:
        """Let it end once all is done."""
        self._say("finish", None)

    def stop(self) -> None:
        """Let it end once what is under way is done."""
        self._say("stop", None)

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def _say(self, what: str, value: Any) -> None:
        with suppress(OSError):  # it has ended, which the other thread tells
            self._connection.send((what, value))

    def _listen(self) -> None:
        with self._connection:
            try:
                while not isinstance(event := self._connection.recv(), LAST):
                    self._report(event)
            except (EOFError, OSError):
                event = Died(cause_of_death(self._process.wait()))
        self._process.wait()
        self._report(event)


def do(task: Callable[[], Any], environment: Mapping[str, str]) -> Any:
    """Do something in a process that ends with it, and return what comes of it.

    What looks at GPUs takes memory on each of them for as long as its process lives.

    Args:
        task: What; must be one that pickles, as must its result.
        environment: Variables in addition to this process's own.

    Raises:
        PllavaError: As the task does.
        DeviceError: The process ended before it was done.
        RuntimeError: Whatever else the task raised, as a text.
    """
    process, connection = _start(environment)
    with connection:
        try:
            connection.send(("do", task))
            done = connection.recv()
        except (EOFError, OSError):
            cause = cause_of_death(process.wait())
            raise DeviceError(f"a look at the devices failed: {cause}", "see `pllava doctor`") from None
        except BaseException:  # Ctrl-C
            process.kill()
            raise
        finally:
            process.wait()
    if isinstance(done, PllavaError):
        raise done
    if isinstance(done, Died):
        raise RuntimeError(done.detail)
    return done


def _start(environment: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start a process, and connect with it."""
    connection, theirs = Pipe()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", BOOT, json.dumps(sys.path), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # ours may be where the records go
            stderr=subprocess.DEVNULL,
            env=os.environ | environment,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return process, connection


def main(descriptor: int) -> None:
    """Do at the other end of a connection what is asked: one task, or all that a worker does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(descriptor)
    try:
        what, value = connection.recv()
        if what == "do":
            connection.send(tried(value))
            return
        worker = Worker(value)
    except Exception as error:  # a bug, as where it cannot be imported here
        connection.send(died_of(error))
        return
    threading.Thread(target=_obey, args=(connection, worker), daemon=True).start()
    try:
        while True:
            for event in worker.take(None):
                connection.send(event)
                if isinstance(event, LAST):
                    return
    except OSError:
        os._exit(0)


def _obey(connection: Connection, worker: Worker) -> None:
    """Pass on what is asked; when nobody can ask any more leave at once, whatever the model is doing."""
    try:
        while True:
            what, value = connection.recv()
            if what == "give":
                worker.give(value)
            elif what == "finish":
                worker.finish()
            else:
                worker.stop()
    except (EOFError, OSError):
        os._exit(0)
