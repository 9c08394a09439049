"""Where the model of a run works: in this process, on several devices, or on the machines of a cluster.

Each is asked first what records will say, from a look at the checkpoint, and then opened.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

from pllava_cli import processors
from pllava_cli.batch.pipeline import Runner
from pllava_cli.commands import fitting, running
from pllava_cli.commands.held import Held
from pllava_cli.commands.staffing import Needs
from pllava_cli.crew import process
from pllava_cli.crew.address import Address
from pllava_cli.crew.assignment import Assignment, Opening, Surroundings, Within
from pllava_cli.crew.cluster import Cluster
from pllava_cli.crew.crew import Crew, Voice
from pllava_cli.crew.events import Event
from pllava_cli.crew.post import Hire, Member
from pllava_cli.crew.sharing import Share, share_out
from pllava_cli.errors import DeviceError
from pllava_cli.phrases import counted
from pllava_cli.recording import Recording
from pllava_cli.settings import Settings
from pllava_cli.terminal import Terminal

LIBRARY_VARIABLES = (
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "TRANSFORMERS_VERBOSITY",
    "TOKENIZERS_PARALLELISM",
)
"""What `fitting.prepare_libraries` has set, for the libraries of other machines too."""


class Place(Protocol):
    """Where models run."""

    def foresee(self) -> Recording:
        """Say what all records will have in common, from a look at the checkpoint without its weights.

        Raises:
            PllavaError: It cannot be loaded.
        """

    def open(self) -> tuple[Recording, Runner]:
        """Load the checkpoint.

        Raises:
            PllavaError: It cannot be loaded, or what is to be asked cannot be.
        """


def find(stack: ExitStack, terminal: Terminal, needs: Needs, fitted: Settings) -> Place:
    """Return the place that is asked for; whatever is started there ends with the stack.

    Raises:
        DeviceError: There is no device of the kind.
    """
    if needs.staffing.engine == "ray":
        return OnCluster(stack, terminal, needs, fitted)
    devices = needs.staffing.devices
    if devices == ("all",):
        devices = process.do(_gpus, {})
    if len(devices) > 1:
        return OnDevices(stack, terminal, needs, fitted, devices)
    return Here(terminal, needs, replace(fitted, device=devices[0]) if devices else fitted)


def _gpus() -> tuple[str, ...]:
    """All GPUs of this machine, by the names that `--devices` takes.

    Raises:
        DeviceError: There is none.
    """
    gpus = _gpus_there()
    if not gpus:
        raise DeviceError("--devices all: there is no CUDA device that torch can use", "see `pllava doctor`")
    return gpus


def _gpus_there() -> tuple[str, ...]:
    from pllava_cli.model.device import devices

    return tuple(f"cuda:{index}" for index in range(sum(info.kind == "cuda" for info in devices())))


def _foresee_on(names: tuple[str, ...], settings: Settings) -> Recording:
    """See that all devices are there, and say what the first one makes of the checkpoint."""
    gpus = _gpus_there()
    gone = next((name for name in names if name not in (*gpus, "cpu")), None)
    if gone is not None:
        found = f"{len(gpus)} CUDA device(s)" if gpus else "no CUDA device"
        raise DeviceError(
            f"--devices {gone}: this machine has {found} that torch can use", "see `pllava doctor`"
        )
    return fitting.foresee(replace(settings, device=names[0]))


@dataclass(frozen=True)
class Here:
    """This process, which is all there is on one device."""

    terminal: Terminal
    needs: Needs
    fitted: Settings

    def foresee(self) -> Recording:
        """Say what all records will have in common."""
        return replace(fitting.foresee(self.fitted), turn=self.needs.turn)

    def open(self) -> tuple[Recording, Runner]:
        """Load the checkpoint."""
        held = self.needs.held or Held(self.needs.visual_store)
        captioner = held.captioner(self.terminal, self.fitted)
        recording = replace(running.recording_of(self.fitted, captioner), turn=self.needs.turn)
        decoders = self.needs.decoders(processors.usable())
        pipeline = _assignment(self.needs, self.fitted, recording, decoders).pipeline(captioner)
        self.terminal.detail(
            f"{counted(pipeline.batch_size, 'clip')} at once, {counted(decoders, 'decoder')}"
        )
        return recording, pipeline


@dataclass(frozen=True)
class OnDevices:
    """A process for each of several devices of this machine."""

    stack: ExitStack
    terminal: Terminal
    needs: Needs
    fitted: Settings
    devices: tuple[str, ...]

    def foresee(self) -> Recording:
        """Say what all records will have in common: what fits the first device holds for all."""
        return self._foreseen

    def open(self) -> tuple[Recording, Runner]:
        """Start the processes."""
        recording = self._foreseen
        each = max(1, processors.usable() // len(self.devices))
        decoders = self.needs.decoders(each)
        assignment = _assignment(self.needs, self.fitted, recording, decoders)

        def hire(number: int, report: Callable[[Event], None]) -> Member:
            device = self.devices[number]
            surroundings = _surroundings(_alone(device) | _threads(each))
            checkpoint = _checkpoint(self.needs, self.fitted, recording, device.partition(":")[0])
            opening = Opening(checkpoint, assignment, self.devices.count(device), device)
            return process.ProcessMember(Within(surroundings, opening), report, surroundings.environment)

        return recording, _crew(self.stack, self.terminal, hire, len(self.devices), recording)

    @cached_property
    def _foreseen(self) -> Recording:
        self.terminal.progress.update("looking at the checkpoint", 0, 0)
        recording: Recording = process.do(partial(_foresee_on, self.devices, self.fitted), {})
        return replace(recording, turn=self.needs.turn)


@dataclass(frozen=True)
class OnCluster:
    """Actors of a Ray cluster, which is connected with when it is first asked."""

    stack: ExitStack
    terminal: Terminal
    needs: Needs
    fitted: Settings

    def foresee(self) -> Recording:
        """Say what all records will have in common: what one machine of the cluster finds holds for all."""
        return self._foreseen

    def open(self) -> tuple[Recording, Runner]:
        """Start the actors."""
        recording, cluster, share = self._foreseen, self._cluster, self._share
        decoders = self.needs.decoders(share.processors)
        assignment = _assignment(self.needs, self.fitted, recording, decoders)
        checkpoint = _checkpoint(self.needs, self.fitted, recording, self._settings(share).device)
        opening = Opening(checkpoint, assignment, 1 if share.gpus else share.on_one_node)
        opener = Within(_surroundings({}), opening)

        def hire(number: int, report: Callable[[Event], None]) -> Member:
            return cluster.hire(opener, share, report)

        return recording, _crew(self.stack, self.terminal, hire, share.actors, recording)

    @cached_property
    def _cluster(self) -> Cluster:
        self.terminal.progress.update("connecting with the cluster", 0, 0)
        return self.stack.enter_context(Cluster(Address.parse(self.needs.staffing.address)))

    @cached_property
    def _share(self) -> Share:
        device = self.fitted.device
        on_gpus = None if device == "auto" else device != "cpu"
        return share_out(self._cluster.nodes, self.needs.staffing.actors, on_gpus=on_gpus)

    @cached_property
    def _foreseen(self) -> Recording:
        share = self._share
        self.terminal.progress.update("looking at the checkpoint", 0, 0)
        look = Within(_surroundings({}), partial(fitting.foresee, self._settings(share)))
        recording: Recording = self._cluster.do(look, share, self.terminal.note)
        return replace(recording, turn=self.needs.turn)

    def _settings(self, share: Share) -> Settings:
        """The settings on a machine of the cluster, where an actor sees no GPU but its own."""
        return replace(self.fitted, device="cuda" if share.gpus else "cpu")


def _assignment(needs: Needs, fitted: Settings, recording: Recording, decoders: int) -> Assignment:
    return Assignment(recording, needs.questions, fitted.decode_timeout_s, decoders, needs.batch_size)


def _checkpoint(needs: Needs, fitted: Settings, recording: Recording, device: str) -> Mapping[str, Any]:
    """Arguments of `Captioner`, with what has been chosen for all: one run's records must be alike."""
    chosen = replace(fitted, device=device, dtype=recording.model.dtype, quantize=recording.model.quantize)
    return running.captioner_arguments(chosen, needs.visual_store)


def _surroundings(environment: dict[str, str]) -> Surroundings:
    variables = {name: os.environ[name] for name in LIBRARY_VARIABLES if name in os.environ}
    return Surroundings(str(Path.cwd()), variables | environment)


def _threads(count: int) -> dict[str, str]:
    """Variables of a process that is to have so many threads, or fewer if the user has said so.

    In a cluster Ray sets them, by the processors that an actor is given.
    """
    said = os.environ.get("OMP_NUM_THREADS", "")
    return {"OMP_NUM_THREADS": str(max(1, min(count, int(said)) if said.isdecimal() else count))}


def _alone(device: str) -> dict[str, str]:
    """Variables of a process that is to see one device: on each that it sees, torch takes half a gigabyte."""
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return {"CUDA_VISIBLE_DEVICES": ""}
    seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return {"CUDA_VISIBLE_DEVICES": seen[int(number)] if seen else number}


def _crew(stack: ExitStack, terminal: Terminal, hire: Hire, count: int, recording: Recording) -> Crew:
    terminal.progress.update(f"loading the checkpoint {counted(count, 'time')}", 0, 0)
    voice = Voice(warn=terminal.warn, note=terminal.note, detail=terminal.detail)
    crew = stack.enter_context(Crew(hire, count, recording, voice))
    terminal.pause()
    return crew
