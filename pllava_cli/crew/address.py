"""Where a Ray cluster is, and whether anyone is there.

Ray itself tries for two minutes to reach an address at which there is nothing, and nothing stops it.
"""

import importlib.util
import os
import socket
from dataclasses import dataclass

from pllava_cli.errors import DeviceError, UsageError

INSTALL_HINT = "pip install 'pllava[ray]'"
KNOCK_S = 10.0
"""How long a cluster may take to accept a connection."""
HINT = "`ray status` on a node of the cluster tells its address; without --address one is started here"


def check_installed() -> None:
    """Make sure that there is Ray.

    Raises:
        UsageError: There is none.
    """
    if importlib.util.find_spec("ray") is None:
        raise UsageError("--engine ray needs Ray, which is not installed", INSTALL_HINT)


@dataclass(frozen=True)
class Address:
    """An address as Ray takes it."""

    text: str

    @classmethod
    def parse(cls, given: str | None) -> "Address":
        """Read an address; None: the one that RAY_ADDRESS names, as in a job of a cluster, else none.

        Raises:
            UsageError: It is no address.
        """
        text = given if given is not None else os.environ.get("RAY_ADDRESS") or "local"
        host, _, port = text.rpartition(":")
        if text in ("local", "auto") or (
            "/" not in host and host and port.isdecimal() and int(port) < 1 << 16
        ):
            return cls(text)
        hint = "give HOST:PORT, or auto for the cluster that this machine is a node of"
        if text.startswith("ray://"):
            hint = "run the command on a node of the cluster, and " + hint
        raise UsageError(f"{text!r} is no address of a Ray cluster", hint)

    @property
    def is_local(self) -> bool:
        """Whether a Ray of our own is meant."""
        return self.text == "local"

    def knock(self) -> None:
        """Make sure that something listens at the address.

        Raises:
            DeviceError: Nothing does.
        """
        if self.text in ("local", "auto"):
            return
        host, _, port = self.text.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()
        except OSError as error:
            cause = error.strerror or str(error) or "no answer"
            raise DeviceError(f"there is no Ray cluster at {self.text}: {cause}", HINT) from None
