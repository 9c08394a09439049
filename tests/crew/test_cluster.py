"""Where a cluster is and how its machines are divided, without one; with one, in tests/commands."""

import socket

import pytest

from pllava_cli.crew.address import Address
from pllava_cli.crew.sharing import Node, Share, share_out
from pllava_cli.errors import DeviceError, UsageError


@pytest.mark.parametrize(
    ("nodes", "actors", "on_gpus", "share"),
    [
        ([Node(16, 4)], None, None, Share(4, 4, 1, 4)),
        ([Node(16, 4), Node(8, 1), Node(64, 0)], None, None, Share(5, 4, 1, 4)),
        ([Node(16, 4)], 2, True, Share(2, 4, 1, 4)),
        ([Node(2, 4)], None, None, Share(4, 1, 1, 4)),
        ([Node(16, 4)], None, False, Share(1, 16, 0, 1)),
        ([Node(8, 0), Node(4, 0)], None, None, Share(2, 4, 0, 2)),
        ([Node(2, 0)], 2, None, Share(2, 1, 0, 2)),
        ([Node(3, 0), Node(3, 0)], 3, None, Share(3, 1, 0, 3)),
        ([Node(3, 0), Node(3, 0)], 2, None, Share(2, 3, 0, 1)),
        ([Node(0, 0), Node(4, 0)], None, None, Share(1, 4, 0, 1)),
    ],
)
def test_actors_share_a_cluster(
    nodes: list[Node], actors: int | None, on_gpus: bool | None, share: Share
) -> None:
    made = share_out(nodes, actors, on_gpus=on_gpus)
    assert made == share
    have = [node for node in nodes if node.gpus or not share.gpus]
    fit = sum(min(node.processors // made.processors, node.gpus or 10**6) for node in have)
    assert fit >= made.actors or made.processors == 1


def test_more_actors_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(UsageError, match="--actors 5: the cluster has 4 GPUs"):
        share_out([Node(16, 4)], 5, on_gpus=None)
    with pytest.raises(UsageError, match=r"has 1 processor$"):
        share_out([Node(1, 0)], 2, on_gpus=None)
    with pytest.raises(DeviceError, match="no GPU"):
        share_out([Node(16, 0)], None, on_gpus=True)
    with pytest.raises(DeviceError, match="no processor"):
        share_out([Node(0, 0)], None, on_gpus=None)


@pytest.mark.parametrize("text", ["local", "auto", "10.0.0.1:6379", "head.example.org:1", "[fe80::1]:6379"])
def test_addresses(text: str) -> None:
    assert Address.parse(text).text == text


@pytest.mark.parametrize(
    "text", ["", "head", "head:", ":6379", "head:port", "head:65536", "ray://head:10001", "http://head:8265"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="is no address of a Ray cluster"):
        Address.parse(text)


def test_a_job_of_a_cluster_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert Address.parse(None).is_local
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert Address.parse(None).text == "10.0.0.1:6379"
    assert Address.parse("local").is_local


def test_where_nobody_listens_there_is_no_cluster() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = Address.parse(f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(DeviceError, match="no Ray cluster at") as raised:
            address.knock()
        taken.listen()
        address.knock()
    assert "ray status" in raised.value.hint
