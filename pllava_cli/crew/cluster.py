"""Workers as actors of a Ray cluster, and a small Ray of our own where no cluster is named.

Ray places the workers, carries clips' names and records, and tells of deaths; what is done about a death
the crew decides, as on one machine. Nothing is sent to Ray's makers, no dashboard is opened.
"""

import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self

from pllava_cli.crew.address import HINT, Address, check_installed
from pllava_cli.crew.events import LAST, Died, Event, Ticket
from pllava_cli.crew.sharing import Node, Share
from pllava_cli.crew.worker import Opener, Worker, tried
from pllava_cli.errors import DeviceError, PllavaError

START_HINT = "the machine may be too busy for it; --devices needs no Ray"
START_S = 300.0
"""A Ray of our own starts half a dozen processes: seconds where nothing else runs, minutes elsewhere."""
START_ATTEMPTS = 3
"""Ray gives its own processes 30 s (ray/_private/node.py), too few on a machine that is busy otherwise."""
CONNECT_S = 60.0
SLOW_S = 60.0
POLL_S = 30.0
"""How long an actor waits for something to tell before it says that there is nothing."""
STORE_BYTES = 80 << 20
"""Ray's least: only names and records pass through the store."""
LONGEST_FOLDER = 30
"""Characters. A socket lies 64 below Ray's folder, and its path has 107 (man 7 unix)."""
VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "error",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # else a call that comes after the end would start another Ray
    "RAY_worker_niceness": "0",  # else 15: beside anything else a worker would starve
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a warning of a change to come
}
"""Read by Ray when it is imported."""


class Cluster:
    """A connection to a Ray cluster for the length of a `with` block; one for each process at a time.

    Args:
        address: Where it is; `local` starts one of our own and ends it.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._folder: str | None = None
        self._ray: Any = None
        self._is_left = threading.Event()

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            DeviceError: There is no cluster at the address, or Ray cannot be started.
        """
        check_installed()
        self._address.knock()
        for name, value in VARIABLES.items():
            os.environ.setdefault(name, value)
        import ray

        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self._address.is_local:
            place = None if len(tempfile.gettempdir()) <= LONGEST_FOLDER else "/tmp"
            self._folder = tempfile.mkdtemp(prefix="pllava-ray-", dir=place)
            options |= {
                "include_dashboard": False,
                "object_store_memory": STORE_BYTES,
                "_temp_dir": self._folder,
            }
        self._ray = ray
        try:
            self._connect(lambda: ray.init(address=self._address.text, **options))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._ray is not None:
            with suppress(Exception):
                self._ray.shutdown()
        self._is_left.set()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def nodes(self) -> list[Node]:
        """Its machines."""
        found = [each["Resources"] for each in self._ray.nodes() if each["Alive"]]
        return [Node(int(each.get("CPU", 0)), int(each.get("GPU", 0))) for each in found]

    def do(self, task: Callable[[], Any], share: Share, note: Callable[[str], None]) -> Any:
        """Do something on one of its machines, and return what comes of it.

        Args:
            task: What; must be one that pickles.
            share: What it is given.
            note: Told if it has to wait for long.

        Raises:
            PllavaError: As the task does.
            DeviceError: It cannot be done there.
        """
        # One call: the process it changes to its surroundings is to do nothing else.
        options = {"num_cpus": share.processors, "num_gpus": share.gpus, "max_retries": 1, "max_calls": 1}
        remote = self._ray.remote(**options)(tried)
        reference = remote.remote(task)
        try:
            if not self._ray.wait([reference], timeout=SLOW_S)[0]:
                note("the cluster has not answered yet, perhaps for want of room; still waiting")
            done = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raise _cannot(_cause(error)) from None
        if isinstance(done, PllavaError):
            raise done
        return done

    def hire(self, opener: Opener, share: Share, report: Callable[[Event], None]) -> "ActorMember":
        """Start a worker on one of its machines.

        Args:
            opener: What it begins with.
            share: What it is given.
            report: Called with all that is heard of it, from another thread.
        """
        actor = self._ray.remote(Worker).options(
            num_cpus=share.processors,
            num_gpus=share.gpus,
            max_concurrency=4,  # one call waits for what there is to tell, others bring more to do
            max_restarts=0,
            scheduling_strategy="SPREAD",
        )
        return ActorMember(self._ray, actor.remote(opener), report)

    def _connect(self, connect: Callable[[], object]) -> None:
        """Connect in a thread, so that waiting can end; what Ray writes meanwhile is kept from the terminal.

        The thread stays: the kernel ends the processes that Ray starts when the thread that started
        them ends, so that none is left when we are killed (PR_SET_PDEATHSIG, man 2 prctl).
        """
        if self._address.is_local:
            what, hint, attempts, patience_s = "Ray cannot be started", START_HINT, START_ATTEMPTS, START_S
        else:
            what, hint, attempts, patience_s = f"no Ray cluster at {self._address.text}", HINT, 1, CONNECT_S
        failures: list[BaseException] = []
        is_over = threading.Event()

        def attempt() -> None:
            for left in reversed(range(attempts)):
                try:
                    connect()
                    break
                except Exception as error:
                    self._ray.shutdown()
                    if not left:
                        failures.append(error)
                except BaseException as error:
                    failures.append(error)
                    break
            is_over.set()
            self._is_left.wait()

        threading.Thread(target=attempt, daemon=True, name="pllava-ray").start()
        with _silent():
            is_over.wait(patience_s)
        _take_signals_back()
        if not is_over.is_set():
            raise DeviceError(f"{what}: it does not answer", hint)
        if failures:
            if not isinstance(failures[0], Exception):
                raise failures[0]
            raise DeviceError(f"{what}: {_first_line(failures[0])}", hint)


class ActorMember:
    """A worker as an actor, as the crew sees it.

    Args:
        ray: The module.
        actor: A handle of `Worker`.
        report: Called with all that is heard of it, from another thread.
    """

    def __init__(self, ray: Any, actor: Any, report: Callable[[Event], None]) -> None:
        self._ray, self._actor, self._report = ray, actor, report
        threading.Thread(target=self._listen, daemon=True, name="pllava-crew").start()

    def give(self, tickets: Sequence[Ticket]) -> None:
        """Give it more to do."""
        self._actor.give.remote(tickets)

    def finish(self) -> None:
        """Let it end once all is done."""
        self._actor.finish.remote()

    def stop(self) -> None:
        """Let it end once what is under way is done."""
        self._actor.stop.remote()

    def kill(self) -> None:
        """End it now."""
        with suppress(Exception):  # the cluster itself may be gone
            self._ray.kill(self._actor)

    def _listen(self) -> None:
        try:
            for event in self._events():
                self._report(event)
        except Exception as error:  # Ray's own, or whatever comes of its end
            self._report(Died(_cause(error), str(error)))
        finally:
            self.kill()

    def _events(self) -> Iterator[Event]:
        """Yield what the worker tells, to the last of it."""
        event: Event | None = None
        while not isinstance(event, LAST):
            for event in self._ray.get(self._actor.take.remote(POLL_S)):
                yield event


def _cannot(cause: str) -> DeviceError:
    if "No module named 'pllava_cli" in cause:
        return DeviceError(
            "a node of the cluster cannot import pllava", "install the same version on every node"
        )
    return DeviceError(f"a node of the cluster failed: {cause}", "`ray status` tells how the cluster is")


def _cause(error: Exception) -> str:
    """Say in one line why an actor or task is no more."""
    text = str(error)
    detail = text.partition("Worker exit detail: ")[2].partition(". ")[0]
    if detail:
        return detail[:200]
    for telling in ("No module named 'pllava_cli", "OutOfMemory", "out-of-memory"):
        line = next((each.strip() for each in text.splitlines() if telling in each), None)
        if line is not None:
            return line[:200]
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


def _take_signals_back() -> None:
    """Have signals come to Python again: Ray puts a handler of its own before Python's."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.getsignal(number))


@contextmanager
def _silent() -> Iterator[None]:
    """Keep libraries that write past Python from the terminal."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
