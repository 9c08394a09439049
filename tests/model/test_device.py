"""The devices of this machine."""

from pllava_cli.model.device import DeviceInfo, devices


def test_this_machine_has_a_cpu_with_memory() -> None:
    *_, cpu = devices()
    assert cpu.kind == "cpu"
    assert 0 < cpu.free_bytes <= cpu.total_bytes


def test_some_of_what_is_free_is_left_to_the_libraries() -> None:
    assert DeviceInfo("cpu", "2 threads", 1000, 500).room == 450
